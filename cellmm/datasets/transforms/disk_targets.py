"""Disks that mark the cells, and the weights with which DiskMask learns them."""

import logging
from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log
from scipy.spatial import cKDTree

from cellmm.datasets.transforms.moving_cells import cell_pixels
from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class DiskTargets(BaseTransform):
    """Write ``gt_disks`` and ``gt_disk_weight``; needs ``ReferencePoints`` before it.

    Reads ``gt_points``, ``gt_layers``, ``target_stride``, the stride of what it writes (absent: 1), and,
    where present, ``ignore``. Grid pixel k stands for the input's
    rows (columns) stride k to stride (k + 1) - 1. Source: diskmask 3.1.3, 3.1.4, figures 5 and 6.

    ``gt_disks``: int32 (ceil(H / stride), ceil(W / stride)), cell i (from 0) has id i + 1 in its disk
    y^2 + x^2 <= r_i^2 around the grid pixel of its point, 0 outside. r_i is the largest whole number up to
    ``radius`` at which its disk and one of the same radius around any other point have a background pixel
    between them, corners included. Where points fall on the same or on neighbouring grid pixels, the one with
    the higher id loses its disk: its ``gt_points`` become nan, ``num_lost_disks`` (int, always written)
    counts it, and a warning names the first image of that kind.

    ``gt_disk_weight``: float32, same shape. 1 in the background; ``disk_weight`` in disks, times
    ``radius`` - r_i + 1 with ``size_weight``; plus ``between_weight`` on the background between disks that
    are at most 2 ``between_reach`` grid pixels apart; 0 where a pixel of the block is in ``ignore``, and
    outside of disks where one belongs to a cell whose point is nan as it comes.

    Args:
        radius: grid pixels.
        disk_weight: a number, or 'balance': background / disk pixels of those that are learned.
        size_weight: small disks weigh more.
        between_weight, between_reach: see above; the thesis gives no numbers.
        balance_range: bounds of 'balance'.
    """

    reads = ("gt_layers", "gt_points")
    writes = ("gt_disks", "gt_disk_weight", "num_lost_disks", "gt_points")
    annotation_only = True

    def __init__(
        self,
        *,
        radius: int = 6,
        disk_weight: float | str = 1.0,
        size_weight: bool = True,
        between_weight: float = 10.0,
        between_reach: int = 5,
        balance_range: Sequence[float] = (1.0, 100.0),
    ) -> None:
        if radius < 0 or int(radius) != radius:
            raise ValueError(f"radius is {radius}: a whole number from 0 on is needed")
        if isinstance(disk_weight, str) and disk_weight != "balance":
            raise ValueError(f"disk_weight is {disk_weight!r}: a number or 'balance' is allowed")
        if not isinstance(disk_weight, str) and not disk_weight > 0:
            raise ValueError(f"disk_weight is {disk_weight}: a number above 0 is needed")
        if between_weight < 0 or between_reach < 0:
            raise ValueError(f"between_weight {between_weight} and between_reach {between_reach}: at least 0")
        low, high = balance_range
        if not 0 < low <= high:
            raise ValueError(f"balance_range is {tuple(balance_range)}: 0 < lowest <= highest is needed")
        self.radius = int(radius)
        self.disk_weight, self.size_weight = disk_weight, size_weight
        self.between_weight, self.between_reach = between_weight, between_reach
        self.balance_range = (low, high)
        self.offsets, self.sizes = disk_offsets(self.radius)
        self.limits = radius_limits(self.radius)
        self._warned = False

    def transform(self, results: dict) -> dict:
        if "gt_points" not in results:
            raise CellMMError("DiskTargets finds no gt_points: put ReferencePoints before it in the config")
        cells, points = results["gt_layers"], results["gt_points"]
        if len(points) != len(cells):
            raise CellMMError(
                f"DiskTargets finds {len(points)} gt_points of {len(cells)} cells: "
                "put ReferencePoints right before it in the config"
            )
        stride = results.get("target_stride", 1)
        shape = tuple(-(-n // stride) for n in cells.shape)
        absent = np.isnan(points).any(1)
        ids = np.flatnonzero(~absent)
        centres = np.floor((points[ids].astype(np.float64) + 0.5) / stride).astype(np.int64)
        kept, radii = self._radii(centres)
        self._report_lost(results, ids[~kept], stride)
        ids, centres = ids[kept], centres[kept]

        disks = np.zeros(shape, np.int32)
        flat = disks.reshape(-1)
        index, pixels = self._stamp(centres, radii, shape)
        flat[pixels] = (ids + 1)[index]

        learned = self._learned(results, stride, absent, disks)
        weight = learned.astype(np.float32)
        factors = np.full(len(ids), 1.0 if self.disk_weight == "balance" else self.disk_weight)
        if self.disk_weight == "balance":
            num_disk = np.count_nonzero(learned.reshape(-1)[pixels])
            if num_disk:
                factors *= np.clip(np.count_nonzero(learned) / num_disk - 1, *self.balance_range)
        if self.size_weight:
            factors *= self.radius - radii + 1
        if self.between_weight:
            weight[between_disks(disks > 0, self.between_reach)] += self.between_weight
            weight *= learned
        flat_weight = weight.reshape(-1)
        flat_weight[pixels] = factors.astype(np.float32)[index] * learned.reshape(-1)[pixels]
        results["gt_disks"], results["gt_disk_weight"] = disks, weight
        return results

    def _radii(self, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which points have a disk, bool (K,), and the radii of those."""
        kept = np.ones(len(centres), bool)
        if len(centres) < 2:
            return kept, np.full(len(centres), self.radius)
        pairs = cKDTree(centres).query_pairs(2 * self.radius + 2.5, output_type="ndarray")
        gap = np.minimum(np.abs(centres[pairs[:, 0]] - centres[pairs[:, 1]]), len(self.limits) - 1)
        limit = self.limits[gap[:, 0], gap[:, 1]]
        close = pairs[limit < 0]
        for i, j in close[np.lexsort((close[:, 0], close[:, 1]))]:  # i < j
            kept[j] &= not kept[i]
        used = kept[pairs].all(1)
        radii = np.full(len(centres), self.radius)
        np.minimum.at(radii, pairs[used].ravel(), np.repeat(limit[used], 2))
        return kept, radii[kept]

    def _report_lost(self, results: dict, lost: np.ndarray, stride: int) -> None:
        results["num_lost_disks"] = len(lost)
        if len(lost) == 0:
            return
        results["gt_points"] = results["gt_points"].copy()
        results["gt_points"][lost] = np.nan
        if not self._warned:
            self._warned = True
            print_log(
                f"{results.get('img_path')}: {len(lost)} cells get no disk, their reference points are on or "
                f"next to another's pixel at stride {stride}; further images are not named",
                logger="current",
                level=logging.WARNING,
            )

    def _stamp(self, centres: np.ndarray, radii: np.ndarray, shape: tuple) -> tuple[np.ndarray, np.ndarray]:
        """The disks' pixels inside ``shape``: index of the disk and flat index of the pixel, each (P,)."""
        sizes = self.sizes[radii]
        index = np.repeat(np.arange(len(radii)), sizes)
        number = np.arange(len(index)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        y, x = (centres[index] + self.offsets[number]).T
        inside = (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
        return index[inside], (y * shape[1] + x)[inside]

    def _learned(self, results: dict, stride: int, absent: np.ndarray, disks: np.ndarray) -> np.ndarray:
        """bool (h, w): neither ignored nor of a cell without a point, disks excepted."""
        learned = np.ones(disks.shape, bool)
        if absent.any():
            pixels, ids = cell_pixels(results["gt_layers"])
            of_absent = np.zeros(results["gt_layers"].shape, bool)
            of_absent.reshape(-1)[pixels[absent[ids - 1]]] = True
            learned = ~any_in_block(of_absent, stride) | (disks > 0)
        ignore = results.get("ignore")
        if ignore is not None and ignore.any():
            learned &= ~any_in_block(ignore.astype(bool), stride)
        return learned


def disk_offsets(radius: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (y, x) of the disk y^2 + x^2 <= radius^2 from the middle outwards, and how many each r takes.

    The first ``sizes[r]`` of them are the disk of radius r = 0 to ``radius``: MATLAB's strel('disk', r) at r
    = 1 and 2.
    """
    offsets = np.stack(np.mgrid[-radius : radius + 1, -radius : radius + 1], axis=-1).reshape(-1, 2)
    squares = (offsets**2).sum(1)
    order = np.argsort(squares, kind="stable")
    sizes = np.searchsorted(squares[order], np.arange(radius + 1) ** 2, side="right")
    return offsets[order[: sizes[-1]]], sizes


def radius_limits(radius: int) -> np.ndarray:
    """int64 (2 radius + 3, 2 radius + 3): for centres (|dy|, |dx|) apart, the largest r up to ``radius`` at
    which two disks of radius r do not touch, not even at a corner; -1 where single pixels do.
    """
    num = 2 * radius + 3
    limits = np.full((num, num), -1)
    for r in range(radius + 1):
        offsets, _ = disk_offsets(r)
        reach = np.zeros((2 * num + 1, 2 * num + 1), np.uint8)
        reach[tuple((offsets + num).T)] = 1
        kernel = reach[num - r : num + r + 1, num - r : num + r + 1].copy()
        touched = cv2.dilate(cv2.dilate(reach, kernel), np.ones((3, 3), np.uint8))
        limits[touched[num : 2 * num, num : 2 * num] == 0] = r
    return limits


def any_in_block(mask: np.ndarray, stride: int) -> np.ndarray:
    """bool (H, W) -> (ceil(H / stride), ceil(W / stride)): whether any pixel of the block is set."""
    if stride == 1:
        return mask
    height, width = mask.shape
    mask = np.pad(mask, ((0, -height % stride), (0, -width % stride)))
    found = mask[::stride, ::stride].copy()
    for k in range(1, stride**2):
        found |= mask[k // stride :: stride, k % stride :: stride]
    return found


def between_disks(disks: np.ndarray, reach: int) -> np.ndarray:
    """bool (h, w): the pixels between disks (bool (h, w)) that are at most 2 ``reach`` pixels apart.

    The closing with a square of 2 ``reach`` + 1 pixels, which leaves a single disk as it is.
    """
    mask = np.pad(disks, reach).astype(np.uint8)  # a closing would join disks and border
    kernel = np.ones((2 * reach + 1,) * 2, np.uint8)
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel)
    height, width = disks.shape
    return (closed[reach : reach + height, reach : reach + width] > 0) & ~disks
