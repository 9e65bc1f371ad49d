"""What the programs of the peers share; runs in their environments, without cellmm."""

import argparse
import json
import os
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np


def parse_args(doc: str) -> argparse.Namespace:
    """DATA (the folder of export.py), OUT, --minutes and --seed."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, required=True, help="of training, by the clock")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    return args


def threads() -> int:
    """As many as there are cores to run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_split(data: Path, split: str) -> tuple[list[str], list[np.ndarray], list[np.ndarray]]:
    """Names, images (H, W) or (H, W, 3), and label images of a split, sorted by name."""
    import tifffile

    files = sorted((data / "label_images" / split).glob("*_masks.tif"))
    names = [path.name.removesuffix("_masks.tif") for path in files]
    images = [tifffile.imread(path.with_name(f"{name}.tif")) for name, path in zip(names, files, strict=True)]
    return names, images, [tifffile.imread(path).astype(np.int32) for path in files]


def encode(mask: np.ndarray) -> dict:
    """A mask, bool (H, W), as COCO RLE."""
    from pycocotools import mask as coco_mask

    rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode()}


def label_results(name: str, label: np.ndarray, scores: np.ndarray) -> list[dict]:
    """COCO results of an image: cell i + 1 of a label image has ``scores[i]``; empty ones are left out."""
    results = []
    for i, score in enumerate(scores):
        mask = label == i + 1
        if mask.any():
            results.append(dict(image_id=name, category_id=1, segmentation=encode(mask), score=float(score)))
    return results


def write_results(out: Path, results: list[dict]) -> None:
    """results.json, whole or not at all."""
    part = out / "results.json.part"
    part.write_text(json.dumps(results))
    os.replace(part, out / "results.json")
    print(f"{out / 'results.json'}: {len(results)} cells", flush=True)


def say_versions(*packages: str) -> None:
    print(", ".join(f"{package} {version(package)}" for package in packages), flush=True)


class Deadline:
    """A time by the clock; ``left``: minutes until then."""

    def __init__(self, minutes: float) -> None:
        self.minutes, self.start = minutes, time.monotonic()

    @property
    def left(self) -> float:
        return self.minutes - (time.monotonic() - self.start) / 60

    @property
    def used(self) -> float:
        return self.minutes - self.left


def say_steps(steps: int, what: str, deadline: Deadline) -> None:
    """How much training there was."""
    print(f"{steps} steps of {what} in {deadline.used:.1f} minutes", flush=True)
    if steps == 0:
        print("no step was done: the results are of an untrained network, give more --minutes", flush=True)
