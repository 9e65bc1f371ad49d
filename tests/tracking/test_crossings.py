"""Crossings of known films, and whether identities are kept."""

import numpy as np

from cellmm.results import Instances
from cellmm.tracking import Tracks, track_cells
from cellmm.tracking.crossings import are_kept, find_crossings, matched_ids
from tests.tracking.bars import cells, crossing_bars


def true_bars():
    frames = crossing_bars()
    ids = np.concatenate([[1, 2] if t % 2 == 0 else [2, 1] for t in range(len(frames))])
    return Tracks(frames, np.repeat(np.arange(9), 2), np.tile([0, 1], 9), ids, {})


def with_ids(tracks: Tracks, ids: dict[int, list[int]]) -> Tracks:
    """The same cells with other track ids in some frames."""
    changed = tracks.track_id.copy()
    for t, some in ids.items():
        changed[tracks.rows(t)] = some
    return Tracks(tracks.frames, tracks.frame, tracks.cell, changed, {})


def test_crossing_by_hand():
    (crossing,) = find_crossings(true_bars())
    assert crossing.tracks == (1, 2) and (crossing.start, crossing.end) == (4, 5)
    assert crossing.depth == 8 / 9
    assert crossing.before == (3, 2, 1, 0) and crossing.after == (6, 7, 8)


def test_cells_that_stay_together_or_only_meet_at_the_end_do_not_cross():
    stay = [cells([(10, 10, 8, 8), (10, 14 + (t == 0) * 20, 8, 8)]) for t in range(4)]
    truth = Tracks(stay, np.repeat(np.arange(4), 2), np.tile([0, 1], 4), np.tile([1, 2], 4), {})
    assert find_crossings(truth) == []


def test_kept_exchanged_joined_and_renamed():
    truth = true_bars()
    crossings = find_crossings(truth)
    assert are_kept(crossings, truth, truth) == [True]
    assert are_kept(crossings, truth, track_cells(truth.frames)) == [True]
    assert are_kept(crossings, truth, with_ids(truth, {6: [2, 1], 7: [1, 2], 8: [2, 1]})) == [False]
    assert are_kept(crossings, truth, with_ids(truth, {6: [1, 3], 7: [3, 1], 8: [1, 3]})) == [False]
    joined = {t: [1, 1] for t in range(9)}
    assert are_kept(crossings, truth, with_ids(truth, joined)) == [False]


def test_the_nearest_frames_count_in_which_both_cells_are_found():
    truth = true_bars()
    keep = np.ones(18, bool)
    keep[truth.rows(3).start] = keep[truth.rows(6).start] = False
    found = Tracks(truth.frames, truth.frame[keep], truth.cell[keep], truth.track_id[keep], {})
    assert are_kept(find_crossings(truth), truth, found) == [True]
    keep[truth.frame > 5] = False
    found = Tracks(truth.frames, truth.frame[keep], truth.cell[keep], truth.track_id[keep], {})
    assert are_kept(find_crossings(truth), truth, found) == [False]


def test_matching_needs_half_of_both_masks():
    truth = Tracks([cells([(10, 10, 8, 8)])], np.array([0]), np.array([0]), np.array([1]), {})

    def ids(*boxes) -> list[int]:
        frame: Instances = cells(list(boxes))
        n = len(boxes)
        found = Tracks([frame], np.zeros(n, int), np.arange(n), np.arange(n) + 7, {})
        return matched_ids(truth, found).tolist()

    assert ids((10, 12, 8, 8)) == [7]  # IoU 48 / 80
    assert ids((10, 13, 8, 8)) == [0]  # 40 / 88
    assert ids((10, 12, 8, 8), (10, 11, 8, 8)) == [8]  # the better one
    assert ids() == [0]
