"""Boundaries, cuts and weights of cells, by hand."""

import math

import numpy as np
import pytest
from scipy import ndimage

from cellmm.errors import CellMMError
from cellmm.structures import LabelLayers, boundary_bell, cell_boundaries, cell_cuts, separation_weight


def touching():
    """Background, two cells of 6 and 8 px that touch, background: columns 3 to 8 and 9 to 16 of 20."""
    row = np.zeros((5, 20), int)
    row[:, 3:9], row[:, 9:17] = 1, 2
    return LabelLayers(row)


def crossing():
    """A lying and a standing bar of 7 px in 21 x 21; they share 7 x 7 px."""
    masks = np.zeros((2, 21, 21), bool)
    masks[0, 7:14], masks[1, :, 7:14] = True, True
    return LabelLayers.from_masks(masks)


def columns(drawn) -> list[int]:
    assert (drawn == drawn[:1]).all()
    return np.flatnonzero(drawn[0]).tolist()


@pytest.mark.parametrize("width", [2, 4, 6])
def test_a_boundary_lies_half_on_either_side_of_each_contour(width):
    half = width // 2
    near = [range(contour - half, contour + half) for contour in (3, 9, 17)]
    assert columns(cell_boundaries(touching(), width=width)) == sorted(set().union(*near))


def test_a_boundary_bends_with_a_disk():
    """Around a single pixel: all pixels at most 3 px away, as that pixel is of another id than they are."""
    layer = np.zeros((9, 9), int)
    layer[4, 4] = 1
    y, x = np.indices(layer.shape) - 4
    found = cell_boundaries(LabelLayers(layer), width=6)
    assert np.array_equal(found, y**2 + x**2 <= 9)


def test_crossing_cells_have_boundaries_inside_each_other_and_the_edge_of_the_image_is_none():
    found = cell_boundaries(crossing(), width=2)
    rows = [6, 7, 13, 14]
    expected = np.zeros((21, 21), bool)
    expected[rows], expected[:, rows] = True, True
    assert np.array_equal(found, expected)


def test_a_bell_is_the_sum_of_boundaries_and_one_beside_the_contour():
    cells, sigma = touching(), 1.5
    found = boundary_bell(cells, width=6, sigma=sigma)
    steps = [math.exp(-((k - 0.5) ** 2 - 0.25) / (2 * sigma**2)) for k in (1, 2, 3)]
    assert found.dtype == np.float32 and found[0, :3].tolist() == pytest.approx(steps[::-1])
    summed = sum(
        (steps[k] - (steps[k + 1] if k < 2 else 0)) * cell_boundaries(cells, width=2 * k + 2)
        for k in range(3)
    )
    np.testing.assert_allclose(found, summed, rtol=1e-6)
    assert found.max() == 1 and found[0, 13] == 0  # 4.5 px from a contour


def test_cuts_lie_only_where_cells_touch_or_nearly_do():
    assert columns(cell_cuts(touching(), width=2)) == [8, 9]
    assert columns(cell_cuts(touching(), width=4)) == [7, 8, 9, 10]
    row = np.zeros((3, 9), int)
    row[:, :4], row[:, 5:] = 1, 2
    assert columns(cell_cuts(LabelLayers(row), width=2)) == [4]  # a gap of one pixel
    row[:, 5] = 0
    assert columns(cell_cuts(LabelLayers(row), width=2)) == []
    cells = crossing()
    near = [ndimage.binary_dilation(mask) for mask in cells.to_masks()]
    assert np.array_equal(cell_cuts(cells, width=2), near[0] & near[1])


def test_weights_by_hand_and_against_all_distances():
    rng = np.random.default_rng(0)
    layer = np.zeros((60, 70), int)
    for number in range(1, 13):
        y, x = rng.integers(0, 50, 2)
        part = layer[y : y + 8, x : x + 9]
        part[part == 0] = number
    cells = LabelLayers(layer)
    masks = cells.to_masks()
    distances = np.sort([ndimage.distance_transform_edt(~mask) for mask in masks if mask.any()], axis=0)
    expected = 10 * np.exp(-((distances[0] + distances[1]) ** 2) / (2 * 3.0**2))
    found = separation_weight(cells, w0=10, sigma=3.0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1.001e-3)
    overlap = crossing()
    assert (separation_weight(overlap, w0=7)[overlap.overlap()] == 7).all()


def test_of_no_cell_and_of_one_there_is_nothing_to_part():
    none, one = LabelLayers.empty(4, 5), LabelLayers(np.ones((4, 5), int))
    for cells in (none, one):
        assert not cell_boundaries(cells).any() and not boundary_bell(cells).any()
        assert not cell_cuts(cells).any() and not separation_weight(cells).any()
    dropped = LabelLayers(np.array([[1, 3, 3]]), num=3)  # the second has no pixels
    assert cell_cuts(dropped).tolist() == [[True, True, False]]
    assert separation_weight(dropped, w0=1, sigma=1)[0, 0] == pytest.approx(math.exp(-0.5))


@pytest.mark.parametrize("width", [0, 1, 3, -2, 2.5])
def test_widths_are_even(width):
    for drawn in (cell_boundaries, boundary_bell, cell_cuts):
        with pytest.raises(CellMMError, match="an even number of pixels from 2"):
            drawn(touching(), width=width)


def test_other_numbers_that_make_no_sense():
    with pytest.raises(CellMMError, match="sigma of the boundary is 0"):
        boundary_bell(touching(), sigma=0)
    for numbers in (dict(w0=-1), dict(sigma=0), dict(w0=float("nan"))):
        with pytest.raises(CellMMError, match="w0 from 0 and a sigma above 0"):
            separation_weight(touching(), **numbers)
