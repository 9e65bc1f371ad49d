"""tools/analysis/draw_tracks.py: tracks over frames of a film."""

import cv2
import numpy as np
import pytest

from cellmm.simulation import FilmConfig, SceneConfig
from cellmm.tracking import track_cells
from tests.tracking.bars import SHAPE, crossing_bars


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("analysis/draw_tracks")


def test_a_page_of_frames(tool, tmp_path, capsys, monkeypatch):
    scene = SceneConfig(size=(64, 64), pixel=0.5, cells=(3, 4), min_visible=20)
    monkeypatch.setattr(tool, "FILM", FilmConfig(scene=scene, frames=3))
    monkeypatch.setattr(tool, "SHOWN", (0, 2))
    assert tool.main(["--seed", "1", "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "out/tracks.jpg")]
    height, width, _ = cv2.imread(str(tmp_path / "out/tracks.jpg")).shape
    assert height > 64 * tool.SCALE and width > 2 * 64 * tool.SCALE


def test_a_cell_has_the_colour_of_its_track_in_all_frames(tool):
    tracks = track_cells(crossing_bars())
    black = np.zeros((*SHAPE, 3), np.uint8)
    for t, left in ((0, 8), (8, 40)):  # the first bar
        picture = tool.draw(black, tracks, t)
        corner = picture[10 * tool.SCALE, left * tool.SCALE]
        assert np.argmax(corner) == np.argmax(tool.color_of(1)) and corner.any()


def test_a_folder_that_cannot_be_made(tool, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tool, "panels", lambda *_: [np.zeros((8, 8, 3), np.uint8)])
    (tmp_path / "file").write_text("")
    assert tool.main(["--out", str(tmp_path / "file" / "sub")]) == 1
    assert "draw_tracks: " in capsys.readouterr().err
