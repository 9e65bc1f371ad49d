"""Time the targets of overlap (semantic maps, proximity maps) against a plain way, cell by cell, in one run.

    python tools/benchmarks/overlap_targets.py [--repeats 15] [--seed 0] [--same-size]

Scenes are 512x512 pixels of ellipses, every second one over the one before, each but every seventh with a
nucleus. The more cells, the smaller: at any number their areas add up to about a third of the image, as in
fields of view of several magnifications. With --same-size they are as large as those of the scene of 100,
and 300 have 30 times the pixels of 10.
Times are medians of CPU milliseconds on one thread. Exits with 1 where any result differs, or where 300 cells
take more than 3 times as long as 10.
"""

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable

import cv2
import numpy as np
from mmengine.logging import print_log
from scipy import ndimage

from cellmm.datasets.transforms import ProximityMap, SemanticTargets
from cellmm.structures import SEMANTIC_NAMES, LabelLayers

SIZE = 512
NUMBERS = (10, 100, 300)
WIDTH, BACKGROUND, REACH = 2, 0.1, 32.0
LIMIT = 3.0
CROSS = ndimage.generate_binary_structure(2, 1)


def scene(
    num: int, *, size: int = SIZE, seed: int = 0, same_size: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """bool masks (num, size, size) of ellipses and of their nuclei, disks that are empty in every seventh.

    Half axes of 100 ellipses in 512x512 px: 14 to 28 and 9 to 16 px.
    """
    rng = np.random.default_rng(seed)
    scale = size / 512 * (1.0 if same_size else math.sqrt(100 / num))
    cells, nuclei = np.zeros((2, num, size, size), np.uint8)
    for i, (cell, nucleus) in enumerate(zip(cells, nuclei, strict=True)):
        if i % 2 == 0:
            centre = rng.integers(0, size, 2)
        else:
            centre += (scale * rng.uniform(6, 14, 2)).astype(int)
        axes = round(scale * rng.uniform(14, 28)), round(scale * rng.uniform(9, 16))
        cv2.ellipse(cell, centre.tolist(), axes, rng.uniform(0, 180), 0, 360, 1, -1)
        if i % 7 != 6:
            cv2.circle(nucleus, centre.tolist(), round(4 * scale), 1, -1)
    return cells.astype(bool), nuclei.astype(bool) & cells.astype(bool)


def distance_to(mask: np.ndarray) -> np.ndarray:
    return ndimage.distance_transform_edt(~mask)


def plain_maps(cells: np.ndarray, nuclei: np.ndarray) -> dict[str, np.ndarray]:
    """What ``semantic_maps`` gives, with one distance transform per cell."""
    border = np.zeros(cells.shape[1:], bool)
    for cell in cells:
        if not cell.all():
            border |= cell & (ndimage.distance_transform_edt(cell) <= WIDTH)
    count = cells.sum(0)
    maps = dict(cytoplasm=count > 0, nuclei=nuclei.any(0), border=border)
    return maps | dict(background=count == 0, overlap=count > 1)


def plain_centres(cells: np.ndarray, nuclei: np.ndarray) -> list[np.ndarray]:
    pairs = zip(cells, nuclei, strict=True)
    return [np.argwhere(nucleus if nucleus.any() else cell).mean(0) for cell, nucleus in pairs if cell.any()]


def plain_map(kind: str, cells: np.ndarray, nuclei: np.ndarray) -> np.ndarray:
    """What ``ProximityMap`` writes, from one distance map per cell, merged by the least or highest value."""
    cells, nuclei = cells[cells.any((1, 2))], nuclei[cells.any((1, 2))]
    covered, overlap = cells.any(0), cells.sum(0) > 1
    rows, columns = np.indices(covered.shape)
    p = np.zeros(covered.shape)
    if kind == "v0":
        for cell, (y, x) in zip(cells, plain_centres(cells, nuclei), strict=True):
            far = np.hypot(rows - y, columns - x) * cell
            p = np.maximum(p, far / max(far.max(), 1e-12))
        p[nuclei.any(0)] = 0
    if kind in ("v1", "v3"):
        nearest = np.full(covered.shape, np.inf)
        for centre in plain_centres(cells, nuclei):
            y, x = np.floor(centre + 0.5)
            nearest = np.minimum(nearest, np.hypot(rows - y, columns - x))
        p = nearest / max(nearest[covered].max(), 1e-12)
        p[nuclei.any(0)] = 0
    if kind in ("v2", "v3"):
        nearest = np.full(covered.shape, np.inf)
        for cell in cells:
            if (cell & overlap).any():
                nearest = np.minimum(nearest, distance_to(cell & overlap))
        p = np.maximum(p, np.maximum(1 - nearest / REACH, 0))
    if kind == "v4":
        nearest = np.full(covered.shape, np.inf)
        for cell in cells:
            outline = cell & ~ndimage.binary_erosion(cell, CROSS, border_value=1)
            if outline.any():
                nearest = np.minimum(nearest, distance_to(outline))
        scaled = np.log1p(nearest)
        p = np.maximum(1 - scaled / scaled[covered].max(), 0)
    return np.where(covered, p, BACKGROUND)


def seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--same-size", action="store_true")
    args = parser.parse_args()
    cv2.setNumThreads(1)

    lines = [
        f"{SIZE}x{SIZE} px, {args.repeats} repeats, seed {args.seed}; median CPU ms",
        "| target         | cells | layers | ms    | cell by cell | times faster |",
        "|----------------|-------|--------|-------|--------------|--------------|",
    ]
    same, ratios = True, {}
    targets = {"semantic maps": SemanticTargets(targets=SEMANTIC_NAMES, border_width=WIDTH)}
    for kind in ("v0", "v1", "v2", "v3", "v4"):
        targets[f"proximity {kind}"] = ProximityMap(kind=kind, background=BACKGROUND, reach=REACH)
    for name, target in targets.items():
        cost = {}
        for num in NUMBERS:
            cells, nuclei = scene(num, seed=args.seed, same_size=args.same_size)
            results = dict(gt_layers=LabelLayers.from_masks(cells), gt_nuclei=LabelLayers.from_masks(nuclei))
            done = target(dict(results))
            start = time.process_time()
            if name == "semantic maps":
                plain = plain_maps(cells, nuclei)
                same &= all(np.array_equal(done["gt_semantic"][key], plain[key]) for key in SEMANTIC_NAMES)
            else:
                plain = plain_map(name[-2:], cells, nuclei)
                same &= np.allclose(done["gt_proximity"], plain, rtol=0, atol=1e-5)
            slow = 1e3 * (time.process_time() - start)
            times = [seconds(lambda: target(dict(results))) for _ in range(args.repeats)]  # noqa: B023
            cost[num] = 1e3 * statistics.median(times)
            lines.append(
                f"| {name:14} | {num:5} | {results['gt_layers'].num_layers:6} | {cost[num]:5.2f} | "
                f"{slow:12.0f} | {slow / cost[num]:12.0f} |"
            )
        ratios[name] = cost[300] / cost[10]
    lines += [f"{name}: 300 cells cost {ratio:.1f} times what 10 cost" for name, ratio in ratios.items()]
    lines.append("all results equal" if same else "RESULTS DIFFER")
    print_log("\n".join(lines))
    return int(not same or max(ratios.values()) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
