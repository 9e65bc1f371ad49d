"""Where gateways open when predicting: in the components or at the peaks of the disk probability."""

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn import functional as F

from cellmm.checks import check_share, check_whole
from cellmm.models.heads.gateways import Gateways
from cellmm.registry import TASK_UTILS


@TASK_UTILS.register_module()
class ComponentFinder:
    """One gateway per component: disk probabilities, median-filtered, above 0.5, 8-connected.

    Source: diskmask 3.4.1, 3.4.2.

    Args:
        median: side of the median filter in pixels.
        radius: of a gateway that a user opens, where there may be no component, pixels of the feature map.
    """

    def __init__(self, median: int = 3, radius: float = 4.0) -> None:
        check_whole(1, median=median)
        self.median, self.radius = median, radius

    def find(self, disk_probs: Tensor) -> Gateways:
        smooth = ndimage.median_filter(disk_probs.cpu().numpy(), size=self.median, mode="constant")
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


@TASK_UTILS.register_module()
class PeakFinder:
    """One gateway per peak of the disk probabilities, smoothed by two 3x3 averages, best first.

    A peak is the highest pixel within ``radius`` rows and columns. Each gateway is a disk of ``radius``, or
    smaller where another gateway is near, so that no two touch. Source: ours. A doubtful disk is worth a
    look, since a mask that is drawn twice is easily recognised.

    Args:
        score_thr: smoothed peaks lower than this are left out.
        radius: of the gateways, in pixels of the feature map.
        max_gates: how many of the best peaks of an image are taken; None: all.
    """

    def __init__(self, score_thr: float = 0.1, radius: float = 3.0, max_gates: int | None = None) -> None:
        check_share(score_thr=score_thr)
        check_whole(1, max_gates=max_gates)
        self.score_thr, self.radius, self.max_gates = score_thr, radius, max_gates

    def find(self, disk_probs: Tensor) -> Gateways:
        smooth = smoothed(disk_probs[None, None].float())
        smooth = smooth.mul(1000).round() / 1000  # so that the top of a sure disk is flat
        peak = (smooth == highest_within(smooth, int(self.radius))) & (smooth >= self.score_thr)
        points = _middles(peak[0, 0])
        probs = smooth[0, 0, points[:, 0], points[:, 1]]
        probs, order = probs.sort(descending=True, stable=True)
        most = len(order) if self.max_gates is None else self.max_gates
        limits = {}
        if len(order) > most:
            text = f"{{}} gateways beyond the best max_gates={most} were not opened; set max_gates=None"
            limits[text] = len(order) - most
        points, probs = points[order[:most]].float(), probs[:most]
        kept = _first_of_near(points.cpu().numpy(), self.radius)
        nearest = _to_nearest(points.cpu().numpy()[kept])
        kept = torch.from_numpy(kept).to(points.device)
        nearest = torch.from_numpy(nearest).to(points.device)
        radii = ((nearest - 2) / 2).clamp(min=0, max=self.radius)
        return Gateways(points[kept], radii, probs[kept], limits=limits)


def smoothed(probs: Tensor) -> Tensor:
    """Two 3x3 averages, of the pixels that exist: (B, 1, h, w) -> the same."""
    for _ in range(2):
        probs = F.avg_pool2d(probs, 3, 1, 1, count_include_pad=False)
    return probs


def highest_within(probs: Tensor, reach: int) -> Tensor:
    """The highest value within ``reach`` rows and columns of each pixel: (B, 1, h, w) -> the same."""
    highest = F.max_pool2d(probs, (2 * reach + 1, 1), 1, (reach, 0))
    return F.max_pool2d(highest, (1, 2 * reach + 1), 1, (0, reach))


def _middles(peak: Tensor) -> Tensor:
    """The pixel nearest to the mean of each 8-connected piece of bool (h, w): int64 (G, 2), row by row."""
    labels, _ = ndimage.label(peak.cpu().numpy(), structure=np.ones((3, 3)))
    pixels = np.argwhere(labels)
    owner = labels[labels > 0] - 1
    sums = np.stack([np.bincount(owner, weights=axis) for axis in pixels.T], axis=1)
    away = ((pixels - (sums / np.bincount(owner)[:, None])[owner]) ** 2).sum(1).round(6)
    order = np.argsort(away, kind="stable")
    _, first = np.unique(owner[order], return_index=True)
    return torch.from_numpy(pixels[order[first]]).to(peak.device)


def _first_of_near(points: np.ndarray, radius: float) -> np.ndarray:
    """bool (G,): the points (G, 2) that are ``radius`` or more away from each earlier point that stays."""
    stays = np.ones(len(points), dtype=bool)
    if len(points) < 2:
        return stays
    pairs = cKDTree(points).query_pairs(radius, output_type="ndarray")
    pairs = pairs[_distances(points[pairs[:, 0]], points[pairs[:, 1]]) < radius]
    for i, j in pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))]:  # i < j
        stays[j] &= not stays[i]
    return stays


def _to_nearest(points: np.ndarray) -> np.ndarray:
    """Distance of each of the points (G, 2) to the nearest other point, float32 (G,)."""
    if len(points) < 2:
        return np.full(len(points), np.inf, dtype=np.float32)
    _, index = cKDTree(points).query(points, k=2)
    return _distances(points, points[index[:, 1]])


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sqrt(((a - b) ** 2).sum(1))
