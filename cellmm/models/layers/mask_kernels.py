"""Mask kernels on a basis: learned channels, and quadratics of displaced pixel positions."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def mask_logits(kernels: Tensor, basis: Tensor) -> Tensor:
    """Kernels (B, N, D + 1), the last number a bias, on the basis (B, D, H, W) -> logits (B, N, H, W).

    Linear in the basis: logits averaged over blocks are the logits on the averaged basis. Computed in
    float32, since the quadratics of a position are large terms with a small sum.
    """
    with torch.autocast(basis.device.type, enabled=False):
        return torch.einsum("bnd,bdhw->bnhw", kernels[..., :-1], basis) + kernels[..., -1:, None]


def monomials(positions: Tensor) -> Tensor:
    """x, y, x^2, x y, y^2 of every field: (B, 2 fields, H, W) -> (B, 5 fields, H, W)."""
    x, y = positions[:, 0::2], positions[:, 1::2]
    return torch.cat([x, y, x * x, x * y, y * y], 1)


def resize_to(x: Tensor, like: Tensor) -> Tensor:
    """Average (B, C, H, W) down to the size of ``like``."""
    if x.shape[-2:] == like.shape[-2:]:
        return x
    if not torch.jit.is_tracing():
        return F.interpolate(x, size=like.shape[-2:], mode="area")
    # ONNX averages over whole blocks alone, and knows how many channels there are, so not of none
    height, width = like.shape[-2:]
    if not x.shape[1]:
        return x.new_zeros(x.shape[0], 0, height, width)
    return F.avg_pool2d(x, (int(x.shape[-2]) // int(height), int(x.shape[-1]) // int(width)))


def place_kernels(kernels: Tensor, centres: Tensor, mask_dim: int) -> Tensor:
    """Turn quadratics of (position - centre) into quadratics of the position; the rest stays.

    (B, N, mask_dim + 5 fields + 1) and centres (B, N, 2 fields) -> as ``kernels``.
    """
    if not centres.shape[-1]:
        return kernels
    content, quadratic, bias = kernels.split([mask_dim, kernels.shape[-1] - mask_dim - 1, 1], dim=-1)
    cx, cy = centres[..., 0::2], centres[..., 1::2]
    px, py, pxx, pxy, pyy = (4 * quadratic).chunk(5, dim=-1)
    pxx, pyy = pxx - 4, pyy - 4  # starts as a Gaussian window of standard deviation 0.35
    quadratic = torch.cat([px - 2 * pxx * cx - pxy * cy, py - 2 * pyy * cy - pxy * cx, pxx, pxy, pyy], dim=-1)
    shift = pxx * cx * cx + pxy * cx * cy + pyy * cy * cy - px * cx - py * cy
    return torch.cat([content, quadratic, bias + shift.sum(-1, keepdim=True)], dim=-1)


def grid_of_gaussians(num: int, sigma: float) -> tuple[Tensor, Tensor]:
    """``num`` Gaussian windows of standard deviation ``sigma`` (half image sides) on a regular grid.

    Returns the coefficients of x, y, x^2, x y and y^2, (num, 5), and the constants (num,) of their logs,
    which are 2 at the centres.
    """
    side = math.ceil(math.sqrt(num))
    rows = math.ceil(num / side)
    index = torch.arange(num)
    x = (index % side + 0.5) / side * 2 - 1
    y = (index // side + 0.5) / rows * 2 - 1
    precision, zero = torch.full_like(x, sigma**-2), torch.zeros_like(x)
    window = torch.stack([x * precision, y * precision, -precision / 2, zero, -precision / 2], dim=1)
    return window, 2 - (x**2 + y**2) * precision / 2
