"""Repeated masks go, overlapping cells stay."""

import torch

from cellmm.models.postprocess import mask_nms


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
