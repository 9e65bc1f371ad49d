"""What the README and the docs promise: commands, links, a row and a metafile entry for every config."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
DOCS = sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("configs/*/README.md")), *DOCS]
CONFIGS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "configs").glob("*/**/*.py")
    if not path.relative_to(ROOT / "configs").parts[0].startswith("_")
)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ +(.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("number", [0, 1])
def test_first_two_blocks_are_complete(number):
    """Each makes its environment, ends the installation with the headless OpenCV, stops where it fails."""
    block = BLOCKS[number]
    lines = block.strip().splitlines()
    assert lines[0] == "python3 -m venv .venv &&"
    assert any(line.startswith("pip install -e ") for line in lines)
    installs = [line for line in lines if line.startswith("pip install")]
    assert installs[-1] == "pip install --force-reinstall --no-deps opencv-python-headless &&"
    assert all(line.endswith("&&") for line in lines[:-1])
    assert lines[-1] == ("python tools/quickstart.py", "python -m pytest")[number]
    assert subprocess.run(["bash", "-n", "-c", block], check=False).returncode == 0


def test_quickstart_exists():
    assert (ROOT / "tools" / "quickstart.py").is_file()


def test_there_are_configs():
    assert CONFIGS


@pytest.mark.parametrize("config", CONFIGS)
def test_config_has_a_row_in_the_model_zoo(config):
    zoo = (ROOT / "docs/model_zoo.md").read_text(encoding="utf-8").split("## Commands")[0]
    rows = [line for line in zoo.splitlines() if line.startswith("|") and f"(../{config})" in line]
    assert len(rows) == 1


@pytest.mark.parametrize("config", CONFIGS)
def test_config_has_an_entry_in_its_metafile(config):
    metafile = (ROOT / config).parent / "metafile.yml"
    assert metafile.is_file(), f"{metafile} is missing"
    models = yaml.safe_load(metafile.read_text(encoding="utf-8"))["Models"]
    assert [model["Config"] for model in models].count(config) == 1


def test_every_page_is_in_one_table_of_contents():
    listed = []
    for page in DOCS:
        for tree in re.findall(r"^```{toctree}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S):
            names = [line for line in tree.splitlines() if line and not line.startswith(":")]
            listed += [(page.parent / f"{name}.md").resolve() for name in names if name != "api/modules"]
    assert sorted([*listed, ROOT / "docs/index.md"]) == DOCS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_resolve(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(linked), f"{page}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_paths_in_commands_exist(page):
    """Configs and tools that a page's commands name, except for those of the reader and of MMDetection."""
    others = ("configs/mine/", "tools/misc/", "tools/analysis_tools/")
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"(?:^|[\s`(])((?:tools|configs)/[\w/]+\.(?:py|sh))", text):
        if not name.startswith(others):
            assert (ROOT / name).is_file(), f"{page}: {name}"


def test_ci_runs_the_same_blocks():
    """The shell code of .ci/run takes from the README exactly what this file reads."""
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    function = re.search(r"^block\(\) \{\n.*?^\}$", text, re.MULTILINE | re.DOTALL).group()
    for number in (1, 2):
        shell = f"{function}\nblock {number}"
        taken = subprocess.run(
            ["bash", "-c", shell], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        assert taken == BLOCKS[number - 1]
