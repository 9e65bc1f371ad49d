"""Sources that docstrings, metafiles and peers cite are in the bibliography."""

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/bibliography.md").read_text(encoding="utf-8")
ENTRIES = dict(re.findall(r"^### (.+)\n\n(.+)$", PAGE, re.MULTILINE))
MODULES = sorted((ROOT / "cellmm").rglob("*.py"))
OWN = ("ours", "torch.utils.checkpoint")  # sources that are no documents


def docstrings(path: Path) -> list[str]:
    """All docstrings of a module, each as one line."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, kinds)]
    return [" ".join(text.split()) for node in nodes if (text := ast.get_docstring(node))]


def unknown(text: str) -> list[str]:
    """What a docstring cites that the bibliography lacks."""
    pairs = re.findall(r"(\w+) et al|(\w+) and \w+,? \(?(?:19|20)\d\d", text)
    authors = {name for pair in pairs for name in pair if name}
    faults = sorted(name for name in authors if not any(name in entry for entry in ENTRIES.values()))
    for source in re.findall(r"Sources?: (.+?)(?:\. [A-Z]|\.?$)", text):
        known = (*ENTRIES, *OWN)
        if not any(re.search(rf"(?<!\w){re.escape(key)}(?!\w)", source) for key in known):
            faults.append(source)
    return faults


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_docstrings_cite_known_sources(path):
    assert [fault for text in docstrings(path) for fault in unknown(text)] == []


def test_some_docstrings_cite_sources():
    assert sum("Source" in text for path in MODULES for text in docstrings(path)) > 20


def test_what_is_unknown():
    assert unknown("Does it. Source: sparseseunet 4.5.") == []
    assert unknown("Does it. Source: sparseseunets 4.5.") == ["sparseseunets 4.5"]
    assert unknown("After Nobody et al., it works.") == ["Nobody"]
    assert unknown("In order (Nobody and Other 1983).") == ["Nobody"]


@pytest.mark.parametrize("path", ["docs/peers.yml", *ROOT.glob("configs/*/metafile.yml")], ids=str)
def test_metafiles_cite_known_sources(path):
    content = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
    cited = [model["Source"] for model in content["Models"] if "Source" in model]
    cited += [key for collection in content.get("Collections", []) for key in collection["Sources"]]
    assert cited and set(cited) <= set(ENTRIES)


def test_entries_are_complete():
    for key, entry in ENTRIES.items():
        assert re.match(r".+\. \*.+\*\. .+, (\d{4}|no date)\.", entry), key
        assert "<https://" in entry or "Unpublished" in entry, key
