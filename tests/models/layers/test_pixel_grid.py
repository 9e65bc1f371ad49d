"""Where pixels lie: the arithmetic of the published crops, step by step by hand."""

import pytest

from cellmm.models.layers import PixelGrid, UNetGrids


def test_single_steps():
    assert PixelGrid().conv(5, stride=2) == PixelGrid(2, 2)
    assert PixelGrid(2, 2).conv(count=2) == PixelGrid(2, 6)
    assert PixelGrid(2, 6).pool() == PixelGrid(4, 6)
    assert PixelGrid(4, 6).up() == PixelGrid(2, 6)
    assert PixelGrid(2, 46).crop_of(PixelGrid(2, 6)) == 20
    assert PixelGrid(8, 20).crop_of(PixelGrid(8, 14)) == 0  # six of eight pixels: none is whole


def test_published_grids():
    grids = UNetGrids.of(PixelGrid(), 4)
    assert [grid.stride for grid in grids.down] == [2, 4, 8, 16]
    assert [grid.origin for grid in grids.into] == [2, 6, 14, 30]
    assert [grid.origin for grid in grids.down] == [6, 14, 30, 62]
    assert [grid.stride for grid in grids.up] == [8, 4, 2, 1]
    assert [grid.origin for grid in grids.up] == [78, 86, 90, 92]
    own = [g.crop_of(s) for g, s in zip(grids.doubled, reversed(grids.down[:-1]), strict=False)]
    assert own == [4, 16, 40]
    second = UNetGrids.of(grids.up[-1], 4)
    assert second.up[-1] == PixelGrid(1, 184)
    assert [g.crop_of(s) for g, s in zip(second.into, grids.down, strict=True)] == [44, 21, 9, 3]


@pytest.mark.parametrize(
    ("levels", "depth", "origin"), [(1, 1, 5), (1, 2, 8), (2, 1, 11), (2, 2, 20), (3, 2, 44), (4, 3, 137)]
)
def test_other_depths(levels, depth, origin):
    """2 for the stem; strides 2 to 2^n going down and 2^(n - 1) to 1 going up, ``depth`` pixels of each."""
    assert UNetGrids.of(PixelGrid(), levels, depth).up[-1].origin == origin
