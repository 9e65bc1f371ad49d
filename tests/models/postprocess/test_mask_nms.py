"""Repeated masks go, overlapping cells stay."""

import math

import pytest
import torch

from cellmm.models.postprocess import mask_nms, matrix_nms


def band(start: int, stop: int) -> torch.Tensor:
    mask = torch.zeros(1, 100, dtype=torch.bool)
    mask[:, start:stop] = True
    return mask


def test_repetitions_of_a_better_mask_go():
    masks = torch.stack([band(0, 40), band(0, 38), band(20, 60), band(19, 60), band(70, 90)])
    assert mask_nms(masks, 0.7).tolist() == [0, 2, 4]
    assert mask_nms(masks, 0.3).tolist() == [0, 4]  # 0 and 2 share a third
    assert mask_nms(masks, 0.99).tolist() == [0, 1, 2, 3, 4]


def test_only_a_mask_that_stays_drops_others():
    """1 repeats 0 and goes; 2 repeats only 1, so it stays."""
    masks = torch.stack([band(0, 40), band(10, 50), band(20, 60)])
    assert mask_nms(masks, 0.55).tolist() == [0, 2]


def test_none_and_empty_masks():
    assert mask_nms(torch.zeros(0, 4, 4, dtype=torch.bool), 0.5).tolist() == []
    assert mask_nms(torch.zeros(3, 4, 4, dtype=torch.bool), 0.5).tolist() == [0, 1, 2]


def test_matrix_nms_by_hand():
    """1 repeats 0 by 2/3, 2 repeats 1 by 3/5 and 0 by 1/3; 1 is itself a repetition, which spares 2."""
    masks = torch.stack([band(0, 40), band(8, 48), band(20, 60), band(70, 90)])
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6])
    by_0 = math.exp(-2 * (1 / 3) ** 2)
    by_1 = math.exp(-2 * ((28 / 52) ** 2 - (2 / 3) ** 2))
    expected = [0.9, 0.8 * math.exp(-2 * (2 / 3) ** 2), 0.7 * min(by_0, by_1, 1), 0.6]
    assert matrix_nms(masks, scores, sigma=2.0).tolist() == pytest.approx(expected)
    assert matrix_nms(masks[:0], scores[:0]).tolist() == []
    empty = torch.zeros(2, 1, 9, dtype=torch.bool)
    assert matrix_nms(empty, scores[:2]).tolist() == pytest.approx([0.9, 0.8])


def test_classes_do_not_repeat_each_other():
    """A nucleus may fill its cell."""
    masks, labels = torch.stack([band(0, 40), band(0, 38)]), torch.tensor([0, 1])
    assert mask_nms(masks, 0.7, labels).tolist() == [0, 1]
    scores = torch.tensor([0.9, 0.8])
    assert torch.equal(matrix_nms(masks, scores, labels=labels), scores)
    assert mask_nms(masks, 0.7, labels * 0).tolist() == [0]
