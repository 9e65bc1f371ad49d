"""Time augmentation of many overlapping cells: as layers, and as a list of masks, in one run.

Median CPU times of flip, rotation by quarter turns, affine warp and crop of a 512x512 RGB image. Then
those of RandomWarp (rotation, shift, flip, elastic grid, mirrored borders) of a well of 520x696 px with
15 worms; diskmask 3.1.1 takes 1.2 s per image with splines and 0.3 s with torchvision.
"""

import argparse
import statistics
import time

import albumentations as A
import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from skimage.draw import disk

from cellmm.datasets.transforms import Albumentations, RandomWarp
from cellmm.structures import LabelLayers

SIZE = 512
WELL = (520, 696)
TRANSFORMS = [
    dict(type="HorizontalFlip", p=0.5),
    dict(type="RandomRotate90", p=0.5),
    dict(type="Affine", rotate=(-45, 45), scale=(0.8, 1.2), p=1.0),
    dict(type="RandomCrop", height=384, width=384),
]


def scene(num: int, seed: int, dtype: str = "float32") -> tuple[np.ndarray, np.ndarray]:
    """An image (512, 512, 3) and ``num`` disks of radius 10; of 200, three in five overlap."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((num, SIZE, SIZE), np.uint8)
    for mask in masks:
        mask[disk(rng.uniform(0, SIZE, 2), 10, shape=mask.shape)] = 1
    return rng.integers(0, 256, (SIZE, SIZE, 3)).astype(dtype), masks


def well(num: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """An image (520, 696, 1) and ``num`` worms: bent lines, 100 px long, 9 px wide, that may cross."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((num, *WELL), np.uint8)
    for mask in masks:
        angles = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.3, 10))
        steps = 10 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        points = rng.uniform(0.25, 0.75, 2) * WELL[::-1] + np.cumsum(steps, axis=0)
        cv2.polylines(mask, [points.round().astype(np.int32)], False, 1, thickness=9)
    return rng.random((*WELL, 1)).astype(np.float32), masks


def time_layers(image: np.ndarray, masks: np.ndarray, repeats: int, transform: BaseTransform) -> list[float]:
    """Seconds of each call on layers; results of every call are cells that are left, with their labels."""
    layers = LabelLayers.from_masks(masks)
    times = []
    for draw in range(repeats + 1):
        num = len(masks)
        results = dict(img=image, gt_layers=layers, rng=np.random.default_rng([0, draw]))
        results.update(gt_labels=np.zeros(num, int), gt_ignore=np.zeros(num, bool), gt_areas=np.zeros(num))
        start = time.process_time()
        transform(results)
        times.append(time.process_time() - start)
    return times[1:]


def time_masks(image: np.ndarray, masks: np.ndarray, repeats: int) -> list[float]:
    """Seconds of each call on a list of masks, dropping the empty ones."""
    parts = [dict(part) for part in TRANSFORMS]
    compose = A.Compose([getattr(A, part.pop("type"))(**part) for part in parts])
    times = []
    for draw in range(repeats + 1):
        compose.set_random_seed(draw)
        start = time.process_time()
        warped = compose(image=image, masks=list(masks))["masks"]
        [mask for mask in warped if mask.any()]
        times.append(time.process_time() - start)
    return times[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--dtype",
        choices=["uint8", "float32"],
        default="float32",
        help="of the image; pipelines have float32",
    )
    args = parser.parse_args()
    cv2.setNumThreads(1)  # as in the workers of a data loader
    print(f"{SIZE}x{SIZE} RGB {args.dtype}, {args.repeats} repeats, seed {args.seed}; median CPU ms")
    print("| cells | layers L | as layers | as masks | ratio |\n|---|---|---|---|---|")
    cost, layered = {}, Albumentations(transforms=TRANSFORMS)
    for num in (10, 50, 100, 200, 300):
        image, masks = scene(num, args.seed, args.dtype)
        cost[num] = 1e3 * statistics.median(time_layers(image, masks, args.repeats, layered))
        slow = 1e3 * statistics.median(time_masks(image, masks, args.repeats))
        depth = LabelLayers.from_masks(masks).num_layers
        print(f"| {num} | {depth} | {cost[num]:.2f} | {slow:.1f} | {slow / cost[num]:.0f} |")
    print(f"300 cells cost {cost[300] / cost[10]:.2f} times what 10 cells cost")
    image, masks = well(15, args.seed)
    warp = RandomWarp(shift=20, elastic_magnitude=5)
    spent = 1e3 * statistics.median(time_layers(image, masks, args.repeats, warp))
    depth = LabelLayers.from_masks(masks).num_layers
    print(f"RandomWarp of {WELL[0]}x{WELL[1]} px, 15 worms in {depth} layers: {spent:.1f} ms")


if __name__ == "__main__":
    main()
