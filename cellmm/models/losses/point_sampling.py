"""Masks learned on a sample of their pixels: the memory of a step no longer grows with masks x pixels."""

from collections.abc import Sequence

import torch
from torch import Tensor

CANDIDATES = 3  # drawn per point that is kept
UNCERTAIN = 0.75  # share of the points that are the most uncertain candidates
OF_EACH_CELL = 16  # candidates inside each cell, whatever its size


def candidate_pixels(
    num_points: int,
    layers: Tensor,
    stride: int,
    shape: Sequence[int],
    *,
    oversample: int = CANDIDATES,
    overlap_share: float = 0.0,
) -> Tensor:
    """Flat indices, int64 (C,), of pixels of a map of ``shape`` (h, w) at ``stride``, in random order.

    ``oversample`` x ``num_points`` pixels are drawn uniformly (all, if there are fewer), and up to
    OF_EACH_CELL inside each cell of ``layers`` (L, H, W): otherwise a small cell might get no pixel, and any
    query would fit it. A single draw serves all masks of an image: their logits at these pixels are a small
    matrix product. ``overlap_share``: this share of the pixels is drawn where two or more cells lie, as far
    as there are so many.
    """
    height, width = shape
    pixels = torch.randperm(height * width, device=layers.device)[: oversample * num_points]
    if len(pixels) == height * width:
        return pixels
    if overlap_share:
        shared = overlap_pixels(layers, stride, shape)
        some = torch.randperm(len(shared), device=shared.device)[: round(overlap_share * len(pixels))]
        pixels = torch.cat([shared[some], pixels[len(some) :]])
    _, row, col = pixels_of_each(layers, OF_EACH_CELL).unbind(1)
    pixels = torch.cat([pixels, row // stride * width + col // stride]).unique()
    return pixels[torch.randperm(len(pixels), device=pixels.device)]


def overlap_pixels(layers: Tensor, stride: int, shape: Sequence[int]) -> Tensor:
    """Flat indices, int64 (n,), of the pixels of a map of ``shape`` at ``stride`` in which cells overlap."""
    row, col = ((layers > 0).sum(0) > 1).nonzero().unbind(1)
    return (row // stride * shape[1] + col // stride).unique()


def pixels_of_each(layers: Tensor, most: int) -> Tensor:
    """(layer, row, column) of ``most`` random pixels of each cell, all of a smaller cell: int64 (n, 3)."""
    places = layers.nonzero()
    places = places[torch.randperm(len(places), device=places.device)]
    ids = layers[tuple(places.unbind(1))]
    ids, order = ids.sort(stable=True)
    number = torch.arange(len(ids), device=ids.device)
    first = torch.searchsorted(ids, ids)  # of the pixels of the same cell
    return places[order[number - first < most]]


def uncertain_points(logits: Tensor, num_points: int) -> Tensor:
    """Which candidates each of K masks is learned on: logits (K, C) -> int64 (K, P), P = min(num_points, C).

    UNCERTAIN x P of them are those whose logit is nearest to 0, the rest are any others. Source: the training
    of Kirillov et al., PointRend (3.3), and Cheng et al., Mask2Former (3.3). The candidates are in random
    order, so the first of the others are a uniform sample of them.
    """
    num_points = min(num_points, logits.shape[1])
    if num_points == logits.shape[1]:
        return torch.arange(num_points, device=logits.device).expand(len(logits), -1)
    order = logits.detach().abs().argsort(1)
    num_uncertain = round(UNCERTAIN * num_points)
    others = order[:, num_uncertain:].sort(1).values[:, : num_points - num_uncertain]
    return torch.cat([order[:, :num_uncertain], others], 1)
