"""tools/benchmarks/tracking.py: whole masks against label maps on small films."""

import numpy as np
import pytest

from cellmm.tracking import Tracks
from cellmm.tracking.crossings import are_kept, find_crossings
from tests.tracking.bars import cells, crossing_bars


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("benchmarks/tracking")


@pytest.fixture
def truth() -> Tracks:
    frames = crossing_bars()
    ids = np.concatenate([[1, 2] if t % 2 == 0 else [2, 1] for t in range(len(frames))])
    return Tracks(frames, np.repeat(np.arange(9), 2), np.tile([0, 1], 9), ids, {})


def test_identities_are_kept_in_95_percent_of_the_crossings(tool):
    """Also with imperfect masks, among crossings that a perfect linker would keep; label maps keep fewer."""
    scene = tool.SceneConfig(size=(256, 256), pixel=0.5, cells=(24, 24), max_overlap=0.9, min_visible=40)
    config = tool.FilmConfig(scene=scene, frames=20, speed=(3.0, 6.0))
    num, kept, kept_flat = 0, 0, 0
    for seed in range(2):
        film = tool.true_tracks(tool.simulate_film(config, np.random.default_rng(seed)))
        for given in (film, tool.imperfect(film, 0.03, np.random.default_rng(seed))):
            found = find_crossings(film)
            judged = [
                crossing for crossing, ok in zip(found, are_kept(found, film, given), strict=True) if ok
            ]
            num += len(judged)
            kept += sum(are_kept(judged, film, tool.track_cells(given.frames)))
            flat = [tool.flat(frame) for frame in given.frames]
            kept_flat += sum(are_kept(judged, film, tool.track_cells(flat)))
    assert num > 40 and kept >= 0.95 * num and kept_flat < kept


@pytest.mark.parametrize("linker", ["by_iou", "by_distance"])
def test_peers_follow_cells_that_stay_apart(tool, linker):
    frames = [cells([(5, 5 + t, 8, 8), (25, 40 - t, 8, 8)][:: -1 if t % 2 else 1]) for t in range(4)]
    tracks = getattr(tool, linker)(frames)
    first, second = tracks.track_id[:2].tolist()
    assert first != second
    assert tracks.track_id.tolist() == [first, second, second, first] * 2
    assert tracks.frame.tolist() == [0, 0, 1, 1, 2, 2, 3, 3] and tracks.cell.tolist() == [0, 1] * 4


def test_label_maps_lose_what_lies_below(tool, truth):
    flat = tool.flat(truth.frames[4])
    assert flat.masks.areas().tolist() == [54, 6]
    below = cells([(5, 5, 9, 9), (6, 6, 3, 3)], scores=[0.9, 0.8])
    assert tool.flat(below).masks.areas().tolist() == [81]


def test_imperfect_masks_keep_their_identities(tool, truth):
    same = tool.imperfect(truth, 0.0, np.random.default_rng(0))
    np.testing.assert_array_equal(same.track_id, truth.track_id)
    half = tool.imperfect(truth, 0.5, np.random.default_rng(0))
    assert 0 < len(half.track_id) < 18
    for t, frame in enumerate(half.frames):
        rows, all_rows = half.rows(t), truth.rows(t)
        for cell, track in zip(half.cell[rows], half.track_id[rows], strict=True):
            true = truth.frames[t].masks.select(truth.cell[all_rows][truth.track_id[all_rows] == track])
            _, _, shared = true.intersections(frame.masks.select([cell]))
            assert shared > 20


def test_a_table_of_small_films(tool, capsys):
    argv = ["--films", "1", "--frames", "3", "--cells", "3", "--size", "96"]
    assert tool.main(argv) == 0
    out = capsys.readouterr().out
    assert out.count("cellmm, whole masks") == 4 and out.count("LapTrack (centroids)") == 4
