"""Tiles cover an image once by their cores, and what two of them found is kept once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmm.models.postprocess.tiles import cut_into_tiles, without_repeats
from cellmm.structures import rle

LENGTH = st.integers(1, 100)


@settings(deadline=None)
@given(shape=st.tuples(LENGTH, LENGTH), tile=st.integers(1, 30), share=st.floats(0, 0.5))
def test_cores_share_no_pixel_and_leave_none_out(shape, tile, share):
    overlap = int(tile * share)
    tiles = cut_into_tiles(shape, tile, overlap)
    pixels = np.indices(shape).reshape(2, -1).T
    owners = np.sum([part.owns(pixels) for part in tiles], axis=0)
    assert (owners == 1).all()
    for part in tiles:
        assert 0 <= part.top < part.bottom <= shape[0] and 0 <= part.left < part.right <= shape[1]
        assert part.bottom - part.top == min(tile, shape[0]) and part.right - part.left == min(tile, shape[1])
        inside = pixels[part.owns(pixels)]
        assert (inside >= (part.top, part.left)).all() and (inside < (part.bottom, part.right)).all()
    rows = sorted({(part.top, part.bottom) for part in tiles})
    assert all(a[1] - b[0] >= overlap for a, b in zip(rows[:-1], rows[1:], strict=True))


def test_tiles_by_hand():
    left, right = cut_into_tiles((8, 20), 12, 4)
    assert (left.left, left.right, right.left, right.right) == (0, 12, 8, 20)
    assert left.core[3] == right.core[1] == 10 and left.meets(right)
    assert left.owns(np.array([[0, 9], [7, 10]])).tolist() == [True, False]
    assert left.owns(np.array([[0, 11.0], [0, 12.0]]), slack=2).tolist() == [True, False]
    boxes = np.array([[0, 0, 8, 12], [0, 8, 8, 11], [0, 0, 8, 11]])
    assert left.cuts(boxes, (8, 20)).tolist() == [True, False, False]
    assert right.cuts(boxes, (8, 20)).tolist() == [True, True, True]
    assert left.cuts(boxes, (8, 20), margin=1).tolist() == [True, True, True]


def square(x, side=4, shape=(8, 20)):
    mask = np.zeros(shape, bool)
    mask[2 : 2 + side, x : x + side] = True
    return rle.encode_one(mask)


def test_of_two_tiles_same_instance_the_better_stays():
    tiles = cut_into_tiles((8, 20), 12, 4)
    masks = [[square(2), square(8), square(8)], [square(8), square(14), square(11)]]
    stays = without_repeats(tiles, masks, np.array([0.9, 0.5, 0.4, 0.7, 0.6, 0.8]))
    # IoU of the squares at 8 is 1, of those at 8 and 11 it is 1/7; two masks of one tile are two instances
    assert stays.tolist() == [True, False, False, True, True, True]
    stays = without_repeats(tiles, masks, np.array([0.9, 0.5, 0.8, 0.7, 0.6, 0.8]))
    assert stays.tolist() == [True, True, True, False, True, True]
    assert without_repeats(tiles, [[], []], np.zeros(0)).tolist() == []


@pytest.mark.parametrize("first", [0.9, 0.3])
def test_one_that_is_dropped_drops_none(first):
    tiles = cut_into_tiles((8, 28), 16, 8)
    assert len(tiles) == 3 and tiles[0].meets(tiles[2])
    masks = [[square(10, 6, (8, 28))], [square(11, 6, (8, 28))], [square(12, 6, (8, 28))]]
    # neighbours have IoU 5/7, the first and the last 1/2: not above it
    stays = without_repeats(tiles, masks, np.array([first, 0.5, 0.4]))
    assert stays.tolist() == ([True, False, True] if first == 0.9 else [False, True, False])
