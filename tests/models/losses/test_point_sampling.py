"""Which pixels masks are learned on."""

import torch

from cellmm.models.losses.point_sampling import candidate_pixels, uncertain_points


def test_candidates_are_pixels_drawn_once():
    pixels = candidate_pixels(10, 1000, torch.device("cpu"))
    assert len(pixels) == 30 == len(pixels.unique()) and 0 <= pixels.min() and pixels.max() < 1000
    assert sorted(candidate_pixels(10, 20, torch.device("cpu")).tolist()) == list(range(20))


def test_three_quarters_are_the_most_uncertain():
    logits = torch.tensor([[9.0, -0.1, 8.0, 0.2, -7.0, 0.3, 6.0, 5.0]] * 2)
    logits[1] = logits[1].flip(0)
    points = uncertain_points(logits, 4)
    assert sorted(points[0, :3].tolist()) == [1, 3, 5] and points[0, 3] == 0
    assert sorted(points[1, :3].tolist()) == [2, 4, 6] and points[1, 3] == 0


def test_no_more_points_than_candidates_and_no_masks():
    assert uncertain_points(torch.randn(2, 5), 9).tolist() == [list(range(5))] * 2
    assert uncertain_points(torch.zeros(0, 5), 3).shape == (0, 3)
