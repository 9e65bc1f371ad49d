"""Which pixels a cell has alone, and which it shares with others."""

from collections.abc import Sequence

import torch
from torch import Tensor

from cellmm.structures import CellSample

PARTS = ("kernels", "exclusive_kernels", "shared_kernels")  # of QueryPredictor, in the order of the masks


def masks_with_parts_at(sample: CellSample, pixels: Tensor, stride: int, shape: Sequence[int]) -> Tensor:
    """``gt_masks_at`` of the whole cells, then of what each has alone, then of what each shares: (3 M, P).

    The layers say exactly which cells cover a pixel of the image, so the parts add up to the whole. Cells in
    light microscopy are transparent: neither of two lies in front. Source: ours, after the visible and
    occluded parts of QCell.
    """
    layers = sample.gt_layers
    several = (layers > 0).sum(0) > 1
    parts = (layers, layers.masked_fill(several, 0), layers.masked_fill(~several, 0))
    return torch.cat([_with_layers(sample, part).gt_masks_at(pixels, stride, shape) for part in parts])


def _with_layers(sample: CellSample, layers: Tensor) -> CellSample:
    changed = CellSample()
    changed.gt_layers, changed.gt_instances = layers, sample.gt_instances
    return changed
