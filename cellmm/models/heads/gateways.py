"""Gateways: the places through which DiskMask hands one object at a time to the net that draws it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn import functional as F


@dataclass
class Gateways:
    """G gateways of one image, in pixels of the feature map's grid.

    Gateway g is the disk of ``radius[g]`` around ``points[g]``, and of that only what ``labels`` (h, w),
    where given, calls g + 1. ``points``: float (G, 2), (row, column); ``radius``, ``probs`` (the disk
    probability there): float (G,). ``left_out``: how many more a limit left out.
    """

    points: Tensor
    radius: Tensor
    probs: Tensor
    labels: Tensor | None = None
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.points)

    def open(self, which: Tensor, first: Tensor, size: tuple[int, int]) -> Tensor:
        """Gateways ``which`` (K,) in windows of ``size`` from pixels ``first`` (K, 2) on: bool (K, h, w)."""
        rows = first[:, :1] + torch.arange(size[0], device=first.device)
        cols = first[:, 1:] + torch.arange(size[1], device=first.device)
        dy = (rows - self.points[which, :1]).square()
        dx = (cols - self.points[which, 1:]).square()
        gates = dy[:, :, None] + dx[:, None, :] <= self.radius[which, None, None] ** 2
        if self.labels is not None:
            gates &= self.labels[rows[:, :, None], cols[:, None, :]] == (which + 1)[:, None, None]
        return gates


def gateways_from_components(disk_probs: Tensor, median: int = 3) -> Gateways:
    """One gateway a component: (h, w) disk probabilities, median-filtered, above 0.5, 8-connected.

    Source: diskmask 3.4.1, 3.4.2.
    """
    smooth = ndimage.median_filter(disk_probs.cpu().numpy(), size=median, mode="constant")
    labels, num = ndimage.label(smooth > 0.5, structure=np.ones((3, 3)))
    index = np.arange(1, num + 1)
    points = np.array(ndimage.center_of_mass(labels > 0, labels, index), dtype=np.float32).reshape(-1, 2)
    probs = np.asarray(ndimage.maximum(smooth, labels, index), dtype=np.float32)
    device = disk_probs.device
    return Gateways(
        points=torch.from_numpy(points).to(device),
        radius=torch.full((num,), float("inf"), device=device),
        probs=torch.from_numpy(probs).to(device),
        labels=torch.from_numpy(labels.astype(np.int32)).to(device),
    )


def gateways_from_peaks(
    disk_probs: Tensor, threshold: float, radius: float, most: int | None = None
) -> Gateways:
    """One gateway a peak of the (h, w) disk probabilities, smoothed by two 3x3 averages, best first.

    The smoothed peaks are at least ``threshold`` high and the highest in a square of ``radius`` to each side;
    at most ``most`` are taken, None: all. Each is opened as a disk of ``radius``, smaller where the next is
    near, so that no two touch. Ours: a doubtful disk is worth a look, since a mask that is drawn twice can be
    told.
    """
    smooth = disk_probs[None, None].float()
    for _ in range(2):
        smooth = F.avg_pool2d(smooth, 3, 1, 1, count_include_pad=False)
    smooth = smooth.mul(1000).round() / 1000  # the flat top of a sure disk is flat
    reach = 2 * int(radius) + 1
    peak = (smooth == F.max_pool2d(smooth, reach, 1, int(radius))) & (smooth >= threshold)
    points = _middles(peak[0, 0])
    probs = smooth[0, 0, points[:, 0], points[:, 1]]
    probs, order = probs.sort(descending=True, stable=True)
    left_out = 0 if most is None else max(len(order) - most, 0)
    points, probs = points[order[:most]].float(), probs[:most]
    kept = _first_of_near(points.cpu().numpy(), radius)
    nearest = _to_nearest(points.cpu().numpy()[kept])
    kept = torch.from_numpy(kept).to(points.device)
    nearest = torch.from_numpy(nearest).to(points.device)
    radii = ((nearest - 2) / 2).clamp(min=0, max=radius)
    return Gateways(points[kept], radii, probs[kept], left_out=left_out)


def _first_of_near(points: np.ndarray, radius: float) -> np.ndarray:
    """bool (G,): the points (G, 2) that are ``radius`` or more away from each earlier one that stays."""
    stays = np.ones(len(points), dtype=bool)
    if len(points) < 2:
        return stays
    pairs = cKDTree(points).query_pairs(radius, output_type="ndarray")
    pairs = pairs[_distances(points[pairs[:, 0]], points[pairs[:, 1]]) < radius]
    for i, j in pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))]:  # i < j
        stays[j] &= not stays[i]
    return stays


def _to_nearest(points: np.ndarray) -> np.ndarray:
    """float32 (G,): from each of the points (G, 2) to the nearest other one."""
    if len(points) < 2:
        return np.full(len(points), np.inf, dtype=np.float32)
    _, index = cKDTree(points).query(points, k=2)
    return _distances(points, points[index[:, 1]])


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sqrt(((a - b) ** 2).sum(1))


def windows(x: Tensor, image: Tensor, first: Tensor, size: Sequence[int]) -> Tensor:
    """Cut K windows of ``size`` out of (B, C, H, W): (K, C, h, w)."""
    if tuple(size) == tuple(x.shape[-2:]):
        return x[image]
    cuts = [
        x[b, :, row : row + size[0], col : col + size[1]]
        for b, (row, col) in zip(image.tolist(), first.tolist(), strict=True)
    ]
    return torch.stack(cuts) if cuts else x.new_zeros(0, x.shape[1], *size)


def _middles(peak: Tensor) -> Tensor:
    """Of each 8-connected piece of bool (h, w) the pixel nearest to its mean: int64 (G, 2), row by row."""
    labels, _ = ndimage.label(peak.cpu().numpy(), structure=np.ones((3, 3)))
    pixels = np.argwhere(labels)
    owner = labels[labels > 0] - 1
    sums = np.stack([np.bincount(owner, weights=axis) for axis in pixels.T], axis=1)
    away = ((pixels - (sums / np.bincount(owner)[:, None])[owner]) ** 2).sum(1).round(6)
    order = np.argsort(away, kind="stable")
    _, first = np.unique(owner[order], return_index=True)
    return torch.from_numpy(pixels[order[first]]).to(peak.device)
