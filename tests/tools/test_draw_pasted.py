"""tools/analysis/draw_pasted.py: crops of simulated and of pasted overlaps."""

import cv2
import numpy as np
import pytest

from cellmm.errors import CellMMError
from cellmm.simulation import SceneConfig, simulate_scene

SCENE = SceneConfig(size=(160, 160), pixel=0.5, cells=(10, 12), min_visible=20, neighbour_share=0.8)


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("analysis/draw_pasted")


@pytest.fixture
def small(tool, monkeypatch):
    monkeypatch.setattr(tool, "CROWDED", SCENE)
    monkeypatch.setattr(tool, "SIDE", 24)


def test_a_page_of_five_rows(tool, small, tmp_path, capsys):
    assert tool.main(["--number", "1", "--out", str(tmp_path / "out")]) == 0
    page = tmp_path / "out/pasted_overlaps.jpg"
    assert capsys.readouterr().out == f"{page}\n"
    picture = cv2.imread(str(page))
    assert picture.shape == (5 * (22 + 24 * tool.SCALE) + 4 * 6, 24 * tool.SCALE, 3)
    rows = tool.rows(SCENE, 0, 1)
    assert not any(np.array_equal(rows[i], rows[j]) for i in range(5) for j in range(i))


def test_the_same_cells_lie_at_the_same_places_in_every_image(tool):
    onto, source = (simulate_scene(SCENE, np.random.default_rng(seed)) for seed in (1, 2))
    kinds = (("brightfield", "replace"), ("brightfield", "add"), ("phase", "add"))
    pasted = [tool.paste(onto, source, kind, mode, 3) for kind, mode in kinds]
    assert len(pasted[0].placed) and (pasted[0].overlaps >= 0.05).all()
    for other in pasted[1:]:
        assert np.array_equal(other.cells.layers, pasted[0].cells.layers)
        assert not np.array_equal(other.image, pasted[0].image)


def test_crops_lie_around_the_largest_overlaps(tool, small):
    overlap = np.zeros((100, 90), bool)
    overlap[40:44, 50:54] = overlap[60:66, 30:36] = True
    overlap[0:9, 40:60] = True  # at the border: the largest, and left out
    assert tool.corners(overlap, 2) == [(50, 20), (30, 40)]
    with pytest.raises(CellMMError, match="--number 3, but an image has 2 overlaps"):
        tool.corners(overlap, 3)


def test_too_few_overlaps_are_said_in_one_line(tool, small, tmp_path, capsys):
    assert tool.main(["--number", "99", "--out", str(tmp_path / "out")]) == 1
    assert "draw_pasted: --number 99, but an image has " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
