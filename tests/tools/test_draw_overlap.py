"""tools/analysis/draw_overlap.py: a page of targets and proximity maps."""

import cv2
import numpy as np
import pytest

from cellmm.simulation import SceneConfig


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("analysis/draw_overlap")


def test_one_page_of_nine(tool, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tool, "CROWDED", SceneConfig(size=(64, 64), pixel=0.5, cells=(3, 4), min_visible=20))
    assert tool.main(["--seed", "1", "--out", str(tmp_path / "out")]) == 0
    page = tmp_path / "out/overlap_maps.jpg"
    assert capsys.readouterr().out.split() == [str(page)]
    picture = cv2.imread(str(page))
    assert picture.shape[0] > 3 * 64 * tool.SCALE and picture.shape[1] > 3 * 64 * tool.SCALE
    assert len(tool.panels(tool.CROWDED, 1)) == 9


def test_boundaries_on_a_page_of_their_own(tool, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tool, "CROWDED", SceneConfig(size=(64, 64), pixel=0.5, cells=(3, 4), min_visible=20))
    assert tool.main(["--boundaries", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "boundary_maps.jpg")]
    assert cv2.imread(str(tmp_path / "boundary_maps.jpg")).shape[1] > 3 * 64 * tool.SCALE
    panels = tool.boundary_panels(tool.CROWDED, 0)
    assert len(panels) == 6 and all(len(np.unique(panel[30:])) > 2 for panel in panels)


def test_heat_by_hand(tool):
    low, high = tool.heat(np.array([[0.0, 1.0]]))[0].astype(int)
    assert low[2] > low[0] and high[0] > high[2], "dark blue to yellow"


def test_a_folder_that_cannot_be_made(tool, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert tool.main(["--out", str(tmp_path / "file" / "sub")]) == 1
    assert "draw_overlap: " in capsys.readouterr().err
