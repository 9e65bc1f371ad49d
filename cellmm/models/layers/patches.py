"""Patches of maps at a place of their own each, cut out and put back without a loop."""

from collections.abc import Sequence

import torch
from torch import Tensor


def cut_patches(x: Tensor, image: Tensor, first: Tensor, size: Sequence[int]) -> Tensor:
    """Patches of ``size`` (h, w) from pixel ``first`` (K, 2) on out of images ``image`` (K,) of (B, C, H, W).

    -> (K, C, h, w); 0 outside of the images. Fast where the channels of ``x`` come last in memory, as those
    of the patches do.
    """
    index, inside = _pixels(x, image, first, size)
    out = _flat(x).index_select(0, index.flatten()).view(*index.shape, x.shape[1])
    if not bool(inside.all()):
        out = out * inside[..., None].to(out.dtype)
    return out.permute(0, 3, 1, 2)


def add_patches(x: Tensor, patches: Tensor, first: Tensor) -> None:
    """Add patch k of ``patches`` (K, C, h, w) to image k of ``x`` (K, C, H, W), in place.

    It starts at pixel ``first`` (K, 2); what lies outside of the image is left out. The channels of ``x``
    have to be last in memory.
    """
    image = torch.arange(len(x), device=x.device)
    index, inside = _pixels(x, image, first, patches.shape[-2:])
    values = patches.permute(0, 2, 3, 1)[inside].to(x.dtype)
    _flat(x, copy=False).index_add_(0, index[inside], values)


def write_patches(x: Tensor, patches: Tensor, image: Tensor, first: Tensor) -> None:
    """Write ``patches`` (K, C, h, w) into images ``image`` (K,) of ``x`` (B, C, H, W), in place.

    They start at pixels ``first`` (K, 2) and lie inside the images. The channels of ``x`` have to be last in
    memory.
    """
    index, _ = _pixels(x, image, first, patches.shape[-2:])
    values = patches.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
    _flat(x, copy=False)[index.flatten()] = values.to(x.dtype)


def _flat(x: Tensor, copy: bool = True) -> Tensor:
    """All pixels, row by row: (B, C, H, W) -> (B H W, C)."""
    pixels = x.permute(0, 2, 3, 1)
    return pixels.reshape(-1, x.shape[1]) if copy else pixels.view(-1, x.shape[1])


def _pixels(x: Tensor, image: Tensor, first: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Numbers of the pixels of patches in ``_flat``, the nearest for those outside, and which are inside:
    int64 and bool (K, h, w)."""
    height, width = x.shape[-2:]
    rows = first[:, :1] + torch.arange(size[0], device=first.device)
    cols = first[:, 1:] + torch.arange(size[1], device=first.device)
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((cols >= 0) & (cols < width))[:, None, :]
    start = image[:, None] * height + rows.clamp(min=0, max=height - 1)
    return start[:, :, None] * width + cols.clamp(min=0, max=width - 1)[:, None, :], inside
