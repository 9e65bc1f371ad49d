"""Which gateways open in training, and what DecoNet should draw through them."""

from dataclasses import dataclass

import numpy as np
import torch
from skimage.morphology import thin
from torch import Tensor

from cellmm.models.heads.gateways import Gateways


@dataclass
class OpenGateways:
    """K windows on the feature map of a batch.

    ``image`` (K,); ``first``: (K, 2) first pixel of each window; ``gates``: bool (K, h, w); ``probs``: (K,)
    disk probability; ``cells``: for each window the ids (from 1) of the cells to draw, none where the gateway
    is wrong.
    """

    image: Tensor
    first: Tensor
    gates: Tensor
    probs: Tensor
    cells: list[Tensor]


def grid_points(points: Tensor, stride: int, origin: int) -> Tensor:
    """(y, x) in pixels of the input -> (row, column) on a map of ``stride`` that starts at ``origin``."""
    return (points - origin + 0.5) / stride - 0.5


def crop(x: Tensor, first: tuple[int, int], size: tuple[int, int], fill: float = 0) -> Tensor:
    """(..., H, W) -> (..., h, w) from pixel ``first`` on; ``fill`` where that reaches out of ``x``."""
    out = x.new_full((*x.shape[:-2], *size), fill)
    low = [max(f, 0) for f in first]
    high = [min(f + s, n) for f, s, n in zip(first, size, x.shape[-2:], strict=True)]
    if low[0] < high[0] and low[1] < high[1]:
        out[..., low[0] - first[0] : high[0] - first[0], low[1] - first[1] : high[1] - first[1]] = x[
            ..., low[0] : high[0], low[1] : high[1]
        ]
    return out


def cell_masks(layers: Tensor, ids: Tensor, stride: int) -> Tensor:
    """Share of each stride x stride block that each cell covers: (L, s h, s w) ids -> float (n, h, w)."""
    masks = (layers[None] == ids[:, None, None, None]).any(1).float()
    return masks if stride == 1 else torch.nn.functional.avg_pool2d(masks[:, None], stride)[:, 0]


def union_mask(layers: Tensor, ids: Tensor, stride: int) -> Tensor:
    """Share of each block that any of the cells covers: (L, s h, s w) ids -> float (h, w)."""
    mask = torch.isin(layers, ids.to(layers.dtype)).any(0).float()
    return mask if stride == 1 else torch.nn.functional.avg_pool2d(mask[None], stride)[0]


def best_iou(probs: Tensor, layers: Tensor, stride: int, mask_thr: float) -> Tensor:
    """IoU of the thresholded mask (h, w) with the cell in the window (L, s h, s w) that it fits best."""
    mask = (probs > mask_thr).flatten().float()
    ids = layers.unique()
    ids = ids[ids > 0]
    if not len(ids):
        return probs.new_zeros(())
    cells = (cell_masks(layers, ids, stride) >= 0.5).flatten(1).float()
    shared = cells @ mask
    return (shared / (cells.sum(1) + mask.sum() - shared).clamp(min=1)).max()


def own_pixels(layers: Tensor) -> Tensor:
    """Id of the only cell at each pixel, 0 where there are none or several: (L, H, W) -> (H, W)."""
    return layers.amax(0) * ((layers > 0).sum(0) == 1)


def edge_ids(disks: Tensor) -> Tensor:
    """Ids on the outermost pixels of (h, w)."""
    return torch.cat([disks[0], disks[-1], disks[:, 0], disks[:, -1]]).unique()


def random_subset(ids: Tensor, most: int) -> Tensor:
    return ids[torch.randperm(len(ids))[:most].to(ids.device)]


def random_radius(count: int, largest: int, like: Tensor) -> Tensor:
    """Radii from 1 to ``largest``."""
    return torch.randint(1, max(largest, 1) + 1, (count,)).to(like)


def thinned(disks: Tensor, passes: int) -> Tensor:
    """bool (h, w) after so many passes of morphological thinning (diskmask 3.3.2)."""
    if not passes:
        return disks
    return torch.from_numpy(np.ascontiguousarray(thin(disks.cpu().numpy(), passes))).to(disks.device)


def gateways_anywhere(own: Tensor, ids: Tensor, radius: Tensor) -> tuple[Gateways, Tensor]:
    """A gateway at a random pixel of each cell of ``ids`` that has pixels to itself, and those ids.

    ``own``: ids on the grid of the feature map, see own_pixels.
    """
    points, kept = [], []
    for i, cell in enumerate(ids.tolist()):
        pixels = (own == cell).nonzero()
        if len(pixels):
            points.append(pixels[torch.randint(len(pixels), ())])
            kept.append(i)
    points = torch.stack(points).float() if points else radius.new_zeros(0, 2)
    return Gateways(points, radius[kept], torch.ones_like(radius[kept])), ids[kept]


def owners(gateways: Gateways, disks: Tensor, own: Tensor) -> Tensor:
    """Id of the cell that each gateway of the head's own finding belongs to; 0: none, or not to be told."""
    row, col = gateways.points.round().long().unbind(1)
    disk = disks[row, col]
    return torch.where(disk > 0, disk, own[row, col])
