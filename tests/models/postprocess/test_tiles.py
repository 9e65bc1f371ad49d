"""Tiles cover an image once by their cores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmm.errors import CellMMError
from cellmm.models.postprocess.tiles import TileGrid, cut_into_tiles, even_tile

LENGTH = st.integers(1, 100)


@settings(deadline=None)
@given(shape=st.tuples(LENGTH, LENGTH), tile=st.integers(2, 30), share=st.floats(0, 0.5))
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
    grid = TileGrid.cut(shape, tile, overlap)
    owner = grid.owner(pixels)
    assert all(part.owns(pixels[owner == number]).all() for number, part in enumerate(grid.tiles()))
    rows = sorted({(part.top, part.bottom) for part in tiles})
    assert all(a[1] - b[0] >= overlap for a, b in zip(rows[:-1], rows[1:], strict=True))


@given(
    shape=st.tuples(LENGTH, LENGTH), tile=st.integers(2, 15), share=st.floats(0, 0.5), step=st.integers(1, 4)
)
def test_even_tiles_are_the_smallest_that_are_as_many(shape, tile, share, step):
    tile, overlap = tile * step, int(tile * share) * step
    even = even_tile(shape, tile, overlap, step)
    number = len(cut_into_tiles(shape, tile, overlap))
    assert even % step == 0 and even <= tile
    assert len(TileGrid.cut(shape, even, overlap, step)) <= number
    if even > max(2 * overlap, step):
        assert len(TileGrid.cut(shape, even - step, overlap, step)) > number


def test_tiles_by_hand():
    left, right = cut_into_tiles((8, 20), 12, 4)
    assert (left.left, left.right, right.left, right.right) == (0, 12, 8, 20)
    assert left.core[3] == right.core[1] == 10
    assert left.owns(np.array([[0, 9], [7, 10]])).tolist() == [True, False]
    assert left.owns(np.array([[0, 11.0], [0, 12.0]]), slack=2).tolist() == [True, False]
    boxes = np.array([[0, 0, 8, 12], [0, 8, 8, 11], [0, 0, 8, 11]])
    assert left.depth(boxes, (8, 20)).tolist() == [0, 1, 1]
    assert right.depth(boxes, (8, 20)).tolist() == [-8, 0, -8]
    assert left.depth(boxes, (8, 20), margin=1).tolist() == [-1, 0, 0]
    assert left.depth(boxes, (8, 12)).tolist() == [np.inf] * 3


def test_tiles_start_at_steps_and_end_with_the_image():
    grid = TileGrid.cut((37, 100), 32, 8, step=8)
    assert [line[:2] for line in grid.rows] == [(0, 32), (8, 37)]
    assert [line[:2] for line in grid.cols] == [(0, 32), (24, 56), (48, 80), (72, 100)]
    half = grid.at_stride(4)
    assert half.shape == (10, 25) and half.tile(5).box == (2, 6, 10, 14)
    assert TileGrid.cut((20, 30), 32, 8, step=8).tile(0).box == (0, 0, 20, 30)


@pytest.mark.parametrize(("tile", "overlap", "step"), [(32, 20, 1), (0, 0, 1), (30, 8, 8), (32, 6, 8)])
def test_tiles_that_cannot_be_cut_are_refused(tile, overlap, step):
    with pytest.raises(CellMMError, match=f"tiles of {tile} px that share {overlap} px: "):
        TileGrid.cut((100, 100), tile, overlap, step)
