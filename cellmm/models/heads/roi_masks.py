"""Masks on the grids of boxes: what is learned on them, and how they come back to the pixels of the image."""

import numpy as np
import torch
from torch import Tensor

SAMPLES = 4  # per side of a cell of the grid


def masks_on_grids(layers: Tensor, ids: Tensor, boxes: Tensor, size: int) -> Tensor:
    """What share of each square of a grid in its box a cell covers: float32 (N, size, size).

    Each square is sampled at 4 x 4 points, so that no mask of the whole image is made.

    Args:
        layers: int (L, H, W), see LabelLayers.
        ids: int64 (N,), the cell of each box, as ``layers`` has it.
        boxes: (N, 4), (x0, y0, x1, y1), on the outer edges of pixels.

    >>> layers = torch.tensor([[[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 0, 0]]])
    >>> masks_on_grids(layers, torch.tensor([1]), torch.tensor([[1.0, 1, 3, 3]]), 2).tolist()
    [[[1.0, 1.0], [1.0, 0.0]]]
    """
    height, width = layers.shape[-2:]
    steps = (torch.arange(size * SAMPLES, device=boxes.device) + 0.5) / (size * SAMPLES)
    x = (boxes[:, :1] + steps * (boxes[:, 2:3] - boxes[:, :1])).floor().long()
    y = (boxes[:, 1:2] + steps * (boxes[:, 3:] - boxes[:, 1:2])).floor().long()
    known = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None]
    place = y.clamp(0, height - 1)[:, :, None] * width + x.clamp(0, width - 1)[:, None]
    inside = torch.zeros_like(known)
    for layer in layers:
        inside |= layer.flatten()[place] == ids[:, None, None]
    inside = (inside & known).float().reshape(len(boxes), size, SAMPLES, size, SAMPLES)
    return inside.mean((2, 4))


def paste_masks(
    probs: np.ndarray, boxes: np.ndarray, shape: tuple[int, int]
) -> tuple[list[np.ndarray], np.ndarray]:
    """The pixels of an image whose centres lie in each box, bilinearly from its grid.

    Args:
        probs: float32 (N, M, M), over the whole of each box.
        boxes: (N, 4), (x0, y0, x1, y1), on the outer edges of pixels.
        shape: (h, w) of the image.

    Returns:
        N windows, float32 (h_i, w_i), which may be empty, and their first rows and columns, int64 (N, 2).

    >>> windows, first = paste_masks(np.ones((1, 2, 2), np.float32), np.array([[1.0, 0, 3, 1]]), (4, 4))
    >>> windows[0].tolist(), first.tolist()
    ([[1.0, 1.0]], [[0, 1]])
    """
    height, width = shape
    first = np.ceil(boxes[:, :2] - 0.5).clip(0, (width, height)).astype(np.int64)
    end = np.ceil(boxes[:, 2:] - 0.5).clip(first, (width, height)).astype(np.int64)
    windows = []
    for prob, box, (left, top), (right, bottom) in zip(probs, boxes, first, end, strict=True):
        rows = _between(prob, np.arange(top, bottom), box[1], box[3])
        windows.append(_between(rows.T, np.arange(left, right), box[0], box[2]).T)
    return windows, np.ascontiguousarray(first[:, ::-1])


def _between(prob: np.ndarray, pixels: np.ndarray, low: float, high: float) -> np.ndarray:
    """``prob`` (M, K), spread from ``low`` to ``high``, at the centres of ``pixels`` (P,): float32 (P, K)."""
    num = len(prob)
    place = ((pixels + 0.5 - low) / max(high - low, 1e-6) * num - 0.5).clip(0, num - 1)
    before = place.astype(np.int64).clip(max=max(num - 2, 0))
    share = (place - before).astype(np.float32)[:, None]
    return prob[before] * (1 - share) + prob[np.minimum(before + 1, num - 1)] * share
