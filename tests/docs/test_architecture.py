"""docs/draw_imports.py: the picture of imports, and imports that only go down."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def drawer(script):
    return script("draw_imports")


def test_imports_only_go_down_and_the_picture_shows_them(drawer, capsys):
    assert drawer.main(["--check"]) == 0, capsys.readouterr().err


def test_the_page_names_every_package(drawer):
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    assert all(f"[{name}](../cellmm/{name})" in page for name in drawer.imports() if name != drawer.BASE)


@pytest.fixture
def package(tmp_path):
    def write(**files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / "cellmm" / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / "cellmm"

    return write


def test_graph_by_hand(drawer, package):
    root = package(
        errors="",
        io__files="from cellmm import errors",
        io__read="import cellmm.io.files",
        models__net="def f():\n    from cellmm.io.files import x\n    from cellmm.errors import y",
    )
    graph = drawer.imports(root)
    assert graph == {"base": set(), "io": {"base"}, "models": {"io", "base"}}
    assert drawer.reduced(graph) == {"base": set(), "io": {"base"}, "models": {"io"}}
    assert drawer.rows(graph) == [["base"], ["io"], ["models"]]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (dict(io__a="from cellmm.models import net"), "models lies above io"),
        (dict(errors="from cellmm.io import files"), "io lies above base"),
        (dict(attic__a=""), "add the package attic"),
    ],
)
def test_faults_are_named(drawer, package, files, message):
    with pytest.raises(ValueError, match=message):
        drawer.imports(package(**files))
