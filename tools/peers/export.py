"""Write the images and cells of a config as other programs read them, and count what their formats drop.

    python tools/peers/export.py CONFIG FOLDER

    FOLDER/label_images/{train,test}/a.tif, a_masks.tif    a number per pixel: no overlap
    FOLDER/yolo/{images,labels}/{train,test}, data.yaml    a polygon per cell: no holes, a single part

run.py calls it. Training images are those of the config, validation images stay unused.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile

from cellmm.config.load import load_config
from cellmm.datasets.transforms.loading import LoadCells, LoadImage
from cellmm.errors import CellMMError
from cellmm.io.files import atomic_folder
from cellmm.registry import DATASETS
from cellmm.results import Instances
from cellmm.structures import MaskRuns
from cellmm.structures.polygons import outlines_of, ring_area
from cellmm.visualization import encode_picture
from cellmm.visualization.display import to_display

SPLITS = ("train", "test")
Image = tuple[str, np.ndarray, Instances]  # name without suffix, (H, W, C), cells


def images_of(config: str, split: str) -> Iterator[Image]:
    """The images of a split with their cells; crowd regions are left out."""
    cfg = load_config(config)
    options = dict(cfg[f"{split}_dataloader"].dataset)
    steps = [step for step in options.get("pipeline", ()) if step.get("type") == "LoadImage"]
    if {"dataset", "datasets"} & set(options):
        raise CellMMError(f"{config}: its {split} dataset is a wrapper: name a config without one")
    dataset = DATASETS.build(options | {"pipeline": steps})
    load_image, load_cells = LoadImage(**{k: v for k, v in steps[0].items() if k != "type"}), LoadCells()
    load_cells.keep_original = True
    for i in range(len(dataset)):
        found = load_cells(load_image(dataset.get_data_info(i)))
        path, cells, shape = found["img_path"], found["eval_instances"], tuple(found["ori_shape"][:2])
        kept = np.flatnonzero(~np.asarray(cells["ignore"], bool))
        masks = MaskRuns.from_rles([cells["masks"][k] for k in kept], shape)
        labels = np.asarray(cells["labels"], np.int64)[kept]
        classes = tuple(dataset.metainfo["classes"])
        ids = tuple(range(1, 1 + len(classes)))
        instances = Instances(masks, np.ones(len(kept), np.float32), labels, classes, ids)
        yield Path(path if isinstance(path, str) else path[0]).stem, found["img"], instances


def export(config: str, folder: Path) -> dict:
    """Write all of it, whole or not at all; returns what was written and dropped, as in dropped.json."""
    counts = {split: dict.fromkeys(KEYS, 0) for split in SPLITS}
    classes: tuple[str, ...] = ("cell",)
    with atomic_folder(folder) as tmp:
        for split in SPLITS:
            seen: set[str] = set()
            for name, image, cells in images_of(config, split):
                if name in seen:
                    raise CellMMError(f"{config}: two {split} images are called {name}; give each its own")
                seen.add(name)
                classes = cells.classes
                count = counts[split]
                count["images"] += 1
                count["cells"] += len(cells)
                _label_image(tmp / "label_images" / split, name, image, cells, count)
                _yolo(tmp / "yolo", split, name, image, cells, count)
        lines = [f"  {i}: {json.dumps(name)}" for i, name in enumerate(classes)]
        head = ["path: .", *(f"{split}: images/{split}" for split in ("train", "test")), "val: images/train"]
        (tmp / "yolo/data.yaml").write_text("\n".join([*head, "names:", *lines]) + "\n", encoding="utf-8")
        (tmp / "dropped.json").write_text(json.dumps(counts, indent=2) + "\n")
    return counts


KEYS = (
    "images",
    "cells",
    "channels dropped",
    "label image: pixels of a second cell dropped",
    "label image: cells that lose pixels",
    "label image: cells without a pixel left",
    "YOLO: holes filled",
    "YOLO: cells in several parts, of which the largest is kept",
)


def _label_image(folder: Path, name: str, image: np.ndarray, cells: Instances, count: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if image.shape[2] not in (1, 3):
        count["channels dropped"] += image.shape[2] - 1
        image = image[..., :1]
    tifffile.imwrite(folder / f"{name}.tif", image[..., 0] if image.shape[2] == 1 else image)
    label, covered = cells.to_labels()
    tifffile.imwrite(
        folder / f"{name}_masks.tif", label.astype(np.uint16 if len(cells) < 2**16 else np.int32)
    )
    left = np.bincount(label.ravel(), minlength=len(cells) + 1)[1:]
    areas = cells.masks.areas()
    count["label image: pixels of a second cell dropped"] += covered
    count["label image: cells that lose pixels"] += int((left < areas).sum())
    count["label image: cells without a pixel left"] += int(((left == 0) & (areas > 0)).sum())


def _yolo(folder: Path, split: str, name: str, image: np.ndarray, cells: Instances, count: dict) -> None:
    height, width = image.shape[:2]
    lines = []
    for i, label in enumerate(cells.labels.tolist()):
        parts = outlines_of(cells.masks, i)
        if not parts:
            continue
        largest = max(parts, key=lambda rings: ring_area(rings[0]))
        count["YOLO: holes filled"] += len(largest) - 1
        count["YOLO: cells in several parts, of which the largest is kept"] += len(parts) > 1
        shares = (largest[0] / (width, height)).ravel()
        lines.append(" ".join([str(label), *(f"{share:.6f}" for share in shares)]))
    for kind in ("images", "labels"):
        (folder / kind / split).mkdir(parents=True, exist_ok=True)
    (folder / "images" / split / f"{name}.png").write_bytes(encode_picture(to_display(image)))
    (folder / "labels" / split / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))


def describe(counts: dict) -> str:
    """What was written and dropped, a line per split."""
    return "\n".join(
        f"{split}: " + ", ".join(f"{number} {what}" for what, number in some.items() if number)
        for split, some in counts.items()
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config")
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    try:
        print(describe(export(args.config, args.folder)))
    except CellMMError as error:
        raise SystemExit(f"export: {error}") from error
