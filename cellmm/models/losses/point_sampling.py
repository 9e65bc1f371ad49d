"""Masks learned on a sample of their pixels: the memory of a step no longer grows with masks x pixels."""

import torch
from torch import Tensor

CANDIDATES = 3  # drawn a point that is kept
UNCERTAIN = 0.75  # share of the points that are the most uncertain candidates


def candidate_pixels(num_points: int, num_pixels: int, device: torch.device) -> Tensor:
    """Flat indices, int64 (C,), of uniformly drawn pixels: CANDIDATES x ``num_points``, or all if fewer.

    One draw serves all masks of an image: their logits at these pixels are one small matrix product.
    """
    return torch.randperm(num_pixels, device=device)[: CANDIDATES * num_points]


def uncertain_points(logits: Tensor, num_points: int) -> Tensor:
    """Which candidates each of K masks is learned on: logits (K, C) -> int64 (K, P), P = min(num_points, C).

    UNCERTAIN x P of them are those whose logit is nearest to 0, the rest any others. Source: the training of
    Kirillov et al., PointRend (3.3), and Cheng et al., Mask2Former (3.3). Candidates are in random order,
    so that the first ones that are not taken are a uniform sample.
    """
    num_points = min(num_points, logits.shape[1])
    if num_points == logits.shape[1]:
        return torch.arange(num_points, device=logits.device).expand(len(logits), -1)
    order = logits.detach().abs().argsort(1)
    num_uncertain = round(UNCERTAIN * num_points)
    others = order[:, num_uncertain:].sort(1).values[:, : num_points - num_uncertain]
    return torch.cat([order[:, :num_uncertain], others], 1)
