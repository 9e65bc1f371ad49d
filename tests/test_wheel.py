"""A wheel holds what an installation without a clone needs: configs, weights, pages."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMAND = """
import sys
sys.path.insert(0, {wheel!r})
import cellmm
assert cellmm.__file__.startswith({wheel!r}), cellmm.__file__
from cellmm.commands.cli import main
sys.exit(main({argv!r}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """What ``pip install`` of a wheel puts into site-packages."""
    folder = tmp_path_factory.mktemp("wheel")
    clone = folder / "clone"
    clone.mkdir()
    for name in ("cellmm", "configs", "requirements"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "README.md", "pyproject.toml", "MANIFEST.in", "LICENSE", "CHANGELOG.md"):
        shutil.copy(ROOT / name, clone)
    build = [sys.executable, "setup.py", "-q", "bdist_wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=clone, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(clone)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "site")
    return folder / "site"


def test_it_holds_every_file_of_the_package_and_the_configs(installed):
    suffixes = {".py", ".yml", ".yaml", ".html", ".css", ".js", ".safetensors"}
    ours = {path.relative_to(ROOT) for path in (ROOT / "cellmm").rglob("*") if path.suffix in suffixes}
    configs = {"cellmm" / path.relative_to(ROOT) for path in (ROOT / "configs").rglob("*.py")}
    there = {path.relative_to(installed) for path in installed.rglob("*")}
    assert ours | configs <= there
    assert not [path for path in there if path.parts[0] == "tests"]


def test_commands_work_without_a_clone(installed, tmp_path):
    def cellmm(*argv: str) -> str:
        code = COMMAND.format(wheel=str(installed), argv=list(argv))
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": ""}
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "diskmask/bbbc010_cpu" in cellmm("config", "--list")
    assert f"{installed}/cellmm/zoo/models/cells-simulated.safetensors" in cellmm("models", "cells-simulated")
    (tmp_path / "mine.py").write_text('_base_ = ["cellmm::diskmask/brightfield_quickstart"]\n')
    assert "# checked: nothing wrong found" in cellmm("config", "mine.py")
