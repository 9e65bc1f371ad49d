"""Time DiskMask's targets (points, disks, weights) against a plain way, object by object, in one run.

    python tools/benchmarks/disk_targets.py [--repeats 15] [--stride 1] [--seed 0]

Scenes are 512x512 pixels of overlapping ellipses with an ignored corner. Times are medians of CPU
milliseconds on one thread. Exits with 1 where any result differs, or where 100 cells with centroids take more
than 10 ms.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import cv2
import numpy as np
from mmengine.logging import print_log
from scipy import ndimage
from skimage.graph import MCP_Geometric
from skimage.measure import block_reduce, label

from cellmm.datasets.transforms.disk_targets import DiskTargets
from cellmm.datasets.transforms.reference_points import ReferencePoints
from cellmm.structures import LabelLayers

SIZE = 512
RADIUS, WEIGHT, REACH = 6, 10.0, 5


def scene(num: int, *, size: int = SIZE, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """bool masks (num, size, size) of ellipses, half axes 5 to 9 and 8 to 16 px, and the ignored corner."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((num, size, size), np.uint8)
    for mask in masks:
        centre, angle = rng.integers(0, size, 2).tolist(), rng.uniform(0, 180)
        axes = int(rng.integers(8, 17)), int(rng.integers(5, 10))
        cv2.ellipse(mask, centre, axes, angle, 0, 360, 1, -1)
    corner = np.add.outer(np.arange(size), np.arange(size)) < size // 4
    return masks.astype(bool), corner


def ways(mask: np.ndarray, start: tuple[int, int]) -> np.ndarray:
    """Lengths of the shortest ways inside ``mask`` from a pixel, inf where there is none."""
    return MCP_Geometric(np.where(mask, 1.0, -1.0)).find_costs([start])[0].round(6)


def plain_medial(mask: np.ndarray) -> np.ndarray:
    """The medial point, in pixels of ``mask``."""
    pieces = label(mask, connectivity=2)
    piece = pieces == 1 + np.bincount(pieces[mask])[1:].argmax()
    yx = np.argwhere(piece)
    start = ways(piece, tuple(yx[0]))[piece].argmax()
    from_a = ways(piece, tuple(yx[start]))[piece]
    from_b = ways(piece, tuple(yx[from_a.argmax()]))[piece]
    if len(yx) == 1:
        return yx[0]
    near = np.abs(from_a / (from_a + from_b) - 0.5) * from_a.max() <= 0.75
    return yx[((yx - yx[near].mean(0)) ** 2).sum(1).argmin()]


def plain_points(masks: np.ndarray, *, kind: str, stride: int = 1, ignore: np.ndarray) -> np.ndarray:
    """What ``ReferencePoints`` writes, one mask at a time; every cell must be on a sampled pixel."""
    near = cv2.dilate(ignore.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    near[[0, -1]] = near[:, [0, -1]] = True
    stride = 1 if kind == "centroid" else stride
    start, points = (stride - 1) // 2, []
    for mask in masks:
        if not mask.any() or (mask & near).any():
            points.append((np.nan, np.nan))
            continue
        mask = mask[start::stride, start::stride]
        yx = np.argwhere(mask)
        point = yx.mean(0)
        if kind == "inside":
            point = yx[((yx - point) ** 2).sum(1).argmin()]
        elif kind == "medial":
            point = plain_medial(mask)
        points.append(point * stride + start)
    return np.array(points, np.float32).reshape(-1, 2)


def disk(radius: int, centre: np.ndarray = (0, 0)) -> np.ndarray:
    """Pixels (y, x) of a disk."""
    steps = range(-radius, radius + 1)
    return np.add([(y, x) for y in steps for x in steps if y * y + x * x <= radius * radius], centre)


def touch(apart: np.ndarray, radius: int) -> bool:
    """Whether two disks of one radius share a pixel or have two that are neighbours, corners included."""
    first, second = disk(radius), disk(radius, apart)
    return bool((np.abs(first[:, None] - second).max(2) <= 1).any())


def plain_disks(
    masks: np.ndarray, points: np.ndarray, *, stride: int = 1, radius: int = RADIUS, ignore: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What ``DiskTargets`` writes with ``between_weight`` 10 and ``between_reach`` 5, one disk at a time."""
    shape = tuple(-(-n // stride) for n in ignore.shape)
    centres = {}
    for i, point in enumerate(points):
        if not np.isnan(point).any():
            centre = np.floor((point + 0.5) / stride).astype(int)
            if not any(np.abs(centre - other).max() <= 1 for other in centres.values()):
                centres[i] = centre
    disks, weight = np.zeros(shape, np.int32), np.ones(shape)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    radii = {}
    for i, centre in centres.items():
        radii[i] = radius
        for j, other in centres.items():
            while (
                i != j and np.abs(centre - other).max() <= 2 * radius + 1 and touch(other - centre, radii[i])
            ):
                radii[i] -= 1
        distance = np.sqrt((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2)
        disks[distance <= radii[i]] = i + 1
    far = np.pad(disks == 0, 2 * REACH, constant_values=True)
    square = np.ones((2 * REACH + 1,) * 2)
    free = ndimage.binary_opening(far, square)[2 * REACH : -2 * REACH, 2 * REACH : -2 * REACH]
    weight[~free] += WEIGHT  # where no square of the background fits
    gone = [masks[i] for i in np.flatnonzero(np.isnan(points).any(1))]
    if gone:
        weight[block_reduce(np.any(gone, axis=0), stride, np.max)] = 0
    for i in centres:
        weight[disks == i + 1] = radius - radii[i] + 1
    weight[block_reduce(ignore, stride, np.max)] = 0
    return disks, weight.astype(np.float32)


def median_ms(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return 1e3 * statistics.median(times)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    cv2.setNumThreads(1)

    lines = [
        f"{SIZE}x{SIZE} px, targets at stride {args.stride}, {args.repeats} repeats, seed {args.seed}; "
        "median CPU ms",
        "| points   | cells | points | disks, weights | together | object by object | times faster |",
        "|----------|-------|--------|----------------|----------|------------------|--------------|",
    ]
    same, cost = True, {}
    for kind in ("centroid", "inside", "medial"):
        reference = ReferencePoints(kind=kind, stride=args.stride)
        targets = DiskTargets(radius=RADIUS, between_weight=WEIGHT, between_reach=REACH)
        for num in (10, 100, 300):
            masks, ignore = scene(num, seed=args.seed)
            results = dict(gt_layers=LabelLayers.from_masks(masks), ignore=ignore)
            start = time.process_time()
            points = plain_points(masks, kind=kind, stride=reference.stride, ignore=ignore)
            disks, weight = plain_disks(masks, points, stride=args.stride, ignore=ignore)
            slow = 1e3 * (time.process_time() - start)
            first = reference(dict(results))
            done = targets(dict(first))
            same &= np.array_equal(first["gt_points"], points, equal_nan=True)
            same &= np.array_equal(done["gt_disks"], disks)
            same &= np.allclose(done["gt_disk_weight"], weight, rtol=1e-6, atol=0)
            parts = [
                median_ms(lambda: reference(dict(results)), args.repeats),  # noqa: B023, called here
                median_ms(lambda: targets(dict(first)), args.repeats),  # noqa: B023
            ]
            cost[kind, num] = sum(parts)
            lines.append(
                f"| {kind:8} | {num:5} | {parts[0]:6.2f} | {parts[1]:14.2f} | {sum(parts):8.2f} | "
                f"{slow:16.0f} | {slow / sum(parts):12.0f} |"
            )
        lines.append(f"{kind}: 300 cells cost {cost[kind, 300] / cost[kind, 10]:.1f} times what 10 cost")
    lines.append("all results equal" if same else "RESULTS DIFFER")
    print_log("\n".join(lines))
    return int(not same or cost["centroid", 100] > 10)


if __name__ == "__main__":
    sys.exit(main())
