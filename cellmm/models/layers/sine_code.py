"""Positions as sines and cosines, so that attention can compare them."""

import math

import torch
from torch import Tensor

TURNS = 32  # of the finest wave over the longer side of a map; the coarsest has half a turn


def sine_code(values: Tensor, dim: int) -> Tensor:
    """V numbers in about [-1, 1] each -> ``dim`` numbers: (..., V) -> float32 (..., dim).

    Each number has dim / (2 V) waves, whose frequencies grow geometrically. Source: DETR; the frequencies
    are ours.

    Raises:
        ValueError: ``dim`` is not a multiple of 2 V.
    """
    step = 2 * int(values.shape[-1])
    waves, rest = divmod(dim, step)
    if rest or not waves:
        raise ValueError(f"dim must be a multiple of {step}, got {dim}")
    powers = torch.linspace(0, 1, waves, device=values.device)
    angles = values.float()[..., None] * (math.pi / 2 * (2 * TURNS) ** powers)
    return torch.cat([angles.sin(), angles.cos()], -1).flatten(-2)
