"""Cells lie alone, touch or overlap, as many as is asked for."""

import numpy as np
import pytest

from cellmm.simulation.crowding import GAP, Crowd

DISC = np.hypot(*np.mgrid[-7:8, -7:8]) <= 7.2
FRAME = (slice(20, 220), slice(20, 220))


def crowd(number, allowed=lambda window, mask: True, seed=0, **asked):
    made = Crowd((240, 240), FRAME, allowed)
    rng = np.random.default_rng(seed)
    asked = dict(overlapping=0, touching=0, share=0.3) | asked
    placed = [made.add(DISC, rng, left=left, **asked) for left in range(number, 0, -1)]
    return made, placed


def overlaps(made):
    return [
        bool((made.count[window][mask] > 1).any())
        for mask, window in zip(made.masks, made.windows, strict=True)
    ]


def test_alone():
    made, placed = crowd(20)
    assert all(placed) and made.count.max() == 1 and not any(made.overlaps) and not any(made.touches)
    centres = np.array([[part.start for part in window] for window in made.windows])
    far = np.hypot(*(centres[:, None] - centres[None]).T) + 1000 * np.eye(20)
    assert far.min() >= 2 * 7 + GAP - 1


def test_as_many_overlap_and_touch_as_asked():
    made, placed = crowd(24, overlapping=8, touching=6)
    assert all(placed) and overlaps(made) == made.overlaps
    assert sum(made.overlaps) == pytest.approx(8, abs=2) and sum(made.touches) == pytest.approx(6, abs=3)


def test_an_overlap_covers_no_more_than_its_share():
    made, _ = crowd(2, overlapping=2, share=0.2)
    shared = int((made.count > 1).sum())
    assert made.overlaps == [True, True] and 0 < shared <= 0.2 * DISC.sum()


def test_every_cell_is_seen_and_where_cells_may_lie():
    made, placed = crowd(12, lambda window, mask: window[1].stop <= 120)
    assert all(placed) and max(window[1].stop for window in made.windows) <= 120
    assert all(
        (made.inside[window] & mask).any() for mask, window in zip(made.masks, made.windows, strict=True)
    )


def test_no_room():
    made, placed = crowd(4, lambda window, mask: False)
    assert placed == [False] * 4 and not made.masks
