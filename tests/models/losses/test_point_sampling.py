"""Which pixels masks are learned on."""

import pytest
import torch

from cellmm.models.losses.point_sampling import (
    OF_EACH_CELL,
    candidate_pixels,
    pixels_of_each,
    uncertain_points,
)


def layers(*boxes, size=(40, 50)):
    """One layer with cells of these (top, left, bottom, right)."""
    result = torch.zeros(1, *size, dtype=torch.int32)
    for i, (top, left, bottom, right) in enumerate(boxes, 1):
        result[0, top:bottom, left:right] = i
    return result


def test_candidates_are_pixels_drawn_once():
    pixels = candidate_pixels(10, layers(), 1, (40, 50))
    assert len(pixels) == 30 == len(pixels.unique()) and 0 <= pixels.min() and pixels.max() < 2000
    assert not torch.equal(pixels, pixels.sort().values)
    assert sorted(candidate_pixels(10, layers(size=(4, 5)), 1, (4, 5)).tolist()) == list(range(20))


@pytest.mark.parametrize("stride", [1, 2])
def test_the_smallest_cell_has_candidates(stride):
    """A cell of one pixel in 40 x 50, 1 point: always among them; of a larger one OF_EACH_CELL at least."""
    cells = layers((7, 9, 8, 10), (20, 20, 32, 36))
    shape = 40 // stride, 50 // stride
    for seed in range(5):
        torch.manual_seed(seed)
        pixels = candidate_pixels(1, cells, stride, shape)
        row, col = pixels // shape[1] * stride, pixels % shape[1] * stride
        assert ((row == 7 // stride * stride) & (col == 9 // stride * stride)).any()
        inside = (row >= 20) & (row < 32) & (col >= 20) & (col < 36)
        assert OF_EACH_CELL // stride**2 <= inside.sum() <= OF_EACH_CELL + 3
        assert len(pixels) == len(pixels.unique())


def test_pixels_of_each_by_hand():
    cells = layers((0, 0, 1, 2), (5, 5, 6, 8), size=(6, 8))
    of_all = sorted(pixels_of_each(cells, 99).tolist())
    assert of_all == [[0, 0, 0], [0, 0, 1], [0, 5, 5], [0, 5, 6], [0, 5, 7]]
    some = pixels_of_each(cells, 2)
    assert len(some) == 4 and (some[:, 1] == 5).sum() == 2
    assert pixels_of_each(layers(), 3).shape == (0, 3)


def test_three_quarters_are_the_most_uncertain():
    logits = torch.tensor([[9.0, -0.1, 8.0, 0.2, -7.0, 0.3, 6.0, 5.0]] * 2)
    logits[1] = logits[1].flip(0)
    points = uncertain_points(logits, 4)
    assert sorted(points[0, :3].tolist()) == [1, 3, 5] and points[0, 3] == 0
    assert sorted(points[1, :3].tolist()) == [2, 4, 6] and points[1, 3] == 0


def test_no_more_points_than_candidates_and_no_masks():
    assert uncertain_points(torch.randn(2, 5), 9).tolist() == [list(range(5))] * 2
    assert uncertain_points(torch.zeros(0, 5), 3).shape == (0, 3)
