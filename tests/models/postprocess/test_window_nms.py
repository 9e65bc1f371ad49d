"""Suppression among windows is that among whole masks."""

import pytest
import torch

from cellmm.models.postprocess.mask_nms import mask_nms, window_nms


@pytest.mark.parametrize("seed", range(12))
def test_as_on_the_whole_map(seed):
    generator = torch.Generator().manual_seed(seed)

    def number(low, high):
        return int(torch.randint(low, high, (), generator=generator))

    masks, origins, full = [], [], torch.zeros(15, 40, 40, dtype=torch.bool)
    for i in range(15):
        height, width = number(4, 20), number(4, 20)
        y, x = number(0, 8), number(0, 8)
        mask = torch.rand(height, width, generator=generator) < (0.9 if i % 5 else 0.0)  # some are empty
        masks.append(mask)
        origins.append((y - 5, x - 5))  # also before the first pixel
        full[i, y : y + height, x : x + width] = mask
    for iou_thr in (0.1, 0.3, 0.6, 0.9):
        stays = window_nms(masks, torch.tensor(origins), iou_thr)
        assert stays.dtype == torch.int64 and stays.tolist() == mask_nms(full, iou_thr).tolist()
    assert len(window_nms(masks, torch.tensor(origins), 0.1)) < 15


def test_a_mask_in_two_windows():
    """The same 3 x 4 pixels; then the same window one pixel on: IoU 9 / 15."""
    square = torch.ones(3, 4, dtype=torch.bool)
    wide = torch.nn.functional.pad(square, (2, 1, 5, 0))
    assert window_nms([square, wide], torch.tensor([[10, 10], [5, 8]]), 0.99).tolist() == [0]
    origins = torch.tensor([[10, 10], [10, 11]])
    assert window_nms([square, square], origins, 0.59).tolist() == [0]
    assert window_nms([square, square], origins, 0.61).tolist() == [0, 1]


def test_none_and_empty_windows():
    assert window_nms([], torch.zeros(0, 2, dtype=torch.long), 0.5).tolist() == []
    nothing, something = torch.zeros(2, 3, dtype=torch.bool), torch.ones(2, 3, dtype=torch.bool)
    origins = torch.zeros(3, 2, dtype=torch.long)
    assert window_nms([nothing, nothing, nothing], origins, 0.5).tolist() == [0, 1, 2]
    assert window_nms([something, nothing, something], origins, 0.5).tolist() == [0, 1]
    assert window_nms([something, nothing, nothing], origins, 0.5).tolist() == [0, 1, 2]
