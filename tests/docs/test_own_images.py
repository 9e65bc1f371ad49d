"""docs/own_images.md: every command on it in its order, its pictures, and what it says that is printed."""

import re

import cv2
import pytest

from cellmm.results.run_folder import read_run
from tests.docs.pages import ROOT, blocks, commands, run_commands

PAGE = ROOT / "docs/own_images.md"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder in which the commands ran, their status, and what was printed and logged."""
    folder = tmp_path_factory.mktemp("own_images")
    with pytest.MonkeyPatch.context() as patch, open(folder / "printed.txt", "w") as printed:
        patch.delenv("CELLMM_DATA", raising=False)  # else the log says that it is used
        patch.setattr("sys.stdout", printed)
        status = run_commands(PAGE, folder)
    texts = [folder / "printed.txt", *sorted(folder.glob("my_cells_cellmm/**/*.log"))]
    return folder, status, "\n".join(path.read_text(encoding="utf-8") for path in texts)


def test_every_command_runs(done):
    folder, status, _ = done
    assert not any(status.values()), status
    assert len(status) <= 8
    used = {words[0] for words in commands(PAGE)}
    assert used == {"simulate", "init", "train", "test", "predict", "propose"}
    assert sum("--resume" in line for line in status) == 1


def test_the_files_are_there(done):
    folder, _, _ = done
    page = PAGE.read_text(encoding="utf-8")
    named = re.findall(r"^\| `([\w./]+)` \|", page, re.MULTILINE)
    assert {"report.html", "cells.csv", "rois/", "layers/"} <= set(named)
    for name in [f"results/{name}" for name in named if "_" not in name and not name.startswith("AP")]:
        path = folder / name
        assert any(path.iterdir()) if name.endswith("/") else path.stat().st_size, name
    for name in ("contact_sheet.png", "validation_pictures"):
        assert name in page and (folder / "my_cells_cellmm/training" / name).exists()
    assert len(list((folder / "my_cells_cellmm/test_pictures").iterdir())) == 2
    assert len(list(read_run(folder / "results"))) == 4
    assert (folder / "proposals/fiji").is_dir()


def pattern(line: str) -> str:
    """A line in which any number may stand for a number with a point or an exponent."""
    return re.sub(r"\d+\\\.\d+(?:e\\-\d+)?", r"[\\d.e-]+", re.escape(line))


def test_what_the_page_shows_is_printed(done):
    """The folder exactly, scores up to their numbers."""
    folder, _, printed = done
    printed = printed.replace(str(folder), "/home/me")
    looked_at, *measured = blocks(PAGE, "text")
    assert looked_at in printed
    lines = [line for text in measured for line in text.splitlines()]
    assert len(lines) == 2
    for line in lines:
        assert re.search(pattern(line), printed), line


def test_the_pictures_are_drawn(done, load_tool, tmp_path, capsys):
    folder, _, _ = done
    tool = load_tool("analysis/draw_own_images")
    assert tool.main([str(folder), "--out", str(tmp_path)]) == 0
    shown = re.findall(r"\]\(pictures/(own_images_\w+\.jpg)\)", PAGE.read_text(encoding="utf-8"))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(shown)
    for name in shown:
        drawn, kept = (cv2.imread(str(path / name)) for path in (tmp_path, ROOT / "docs/pictures"))
        assert drawn.shape == kept.shape
    assert tool.main([str(tmp_path / "absent")]) == 1
    assert "draw_own_images: " in capsys.readouterr().err
