"""Patches of maps at a place of their own each, cut out and put back without a loop."""

from collections.abc import Sequence

import torch
from torch import Tensor


def cut_patches(x: Tensor, image: Tensor, first: Tensor, size: Sequence[int]) -> Tensor:
    """Patches of ``size`` (h, w) from pixel ``first`` (K, 2) on out of images ``image`` (K,) of (B, C, H, W).

    -> (K, C, h, w), in memory with the channels last; 0 outside of the images.
    """
    rows, cols, inside = _pixels(x, first, size)
    out = x.permute(0, 2, 3, 1)[image[:, None, None], rows[:, :, None], cols[:, None, :]]
    if not bool(inside.all()):
        out = out * inside[..., None].to(out.dtype)
    return out.permute(0, 3, 1, 2)


def put_patches(
    x: Tensor, patches: Tensor, first: Tensor, image: Tensor | None = None, add: bool = True
) -> None:
    """Add (else write) ``patches`` (K, C, h, w) to ``x`` (B, C, H, W) from pixel ``first`` (K, 2) on, in place.

    Args:
        image: which of ``x`` each belongs to, (K,); None: patch k to image k. Where several are added, they
            must not share pixels.
    """
    image = torch.arange(len(patches), device=x.device) if image is None else image
    rows, cols, inside = _pixels(x, first, patches.shape[-2:])
    image = image[:, None, None].expand_as(inside)
    rows, cols = rows[:, :, None].expand_as(inside), cols[:, None, :].expand_as(inside)
    values, last = patches.permute(0, 2, 3, 1), x.permute(0, 2, 3, 1)
    if not bool(inside.all()):
        image, rows, cols, values = image[inside], rows[inside], cols[inside], values[inside]
    last[image, rows, cols] = last[image, rows, cols] + values.to(x.dtype) if add else values.to(x.dtype)


def _pixels(x: Tensor, first: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Rows (K, h) and columns (K, w) of patches, inside ``x``, and which pixels are: bool (K, h, w)."""
    lines, known = [], []
    for axis, (side, length) in enumerate(zip(size, x.shape[-2:], strict=True)):
        line = first[:, axis : axis + 1] + torch.arange(side, device=first.device)
        lines.append(line.clamp(min=0, max=length - 1))
        known.append((line >= 0) & (line < length))
    return lines[0], lines[1], known[0][:, :, None] & known[1][:, None, :]
