"""Write any cellmm dataset as a COCO json with RLE segmentations."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from pycocotools import mask as coco_mask

from cellmm.datasets.base import CellDataset
from cellmm.datasets.transforms.loading import LoadCells, LoadImage
from cellmm.errors import CellMMError, explain
from cellmm.io.files import atomic_path, check_writable
from cellmm.io.label_check import check_labels


def dataset_to_coco(dataset: CellDataset) -> dict:
    """The COCO dict of a dataset; every image is opened and compared in size with its annotation.

    Images are read as the LoadImage of the dataset's pipeline says, if it has one.
    File names are relative to the ``img_dir`` of the dataset; an image of several files has ``file_names``.
    category_id = label + 1, annotation ids count from 1, bbox is (x, y, w, h) in pixels. ``area`` is the
    annotated one, else that of the mask.
    """
    steps = getattr(dataset.pipeline, "transforms", ())
    load_image = next((step for step in steps if isinstance(step, LoadImage)), LoadImage())
    load_cells = LoadCells(keep_original=True)
    img_dir = dataset.resolve(dataset.img_dir)
    images: list[dict] = []
    annotations: list[dict] = []
    keys = ("masks", "labels", "ignore", "areas")
    for i in range(len(dataset)):
        results = load_cells(load_image(dataset.get_data_info(i)))
        several = isinstance(results["img_path"], list)
        paths = results["img_path"] if several else [results["img_path"]]
        names = [Path(os.path.relpath(path, img_dir)).as_posix() for path in paths]
        height, width = results["ori_shape"]
        image = {"id": results["img_id"], "height": int(height), "width": int(width)}
        images.append(image | ({"file_names": names} if several else {"file_name": names[0]}))
        cells = results["eval_instances"]
        for rle, label, ignore, area in zip(*(cells[key] for key in keys), strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": results["img_id"],
                    "category_id": int(label) + 1,
                    "iscrowd": int(ignore),
                    "area": float(coco_mask.area(rle)) if np.isnan(area) else float(area),
                    "bbox": [float(value) for value in coco_mask.toBbox(rle)],
                    "segmentation": rle,
                }
            )
    categories = [{"id": i, "name": name} for i, name in enumerate(dataset.metainfo["classes"], start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def convert_to_coco(make_dataset: Callable[[], CellDataset], out: str | os.PathLike) -> None:
    """The whole of a converter: make the dataset, write it atomically, log what was written.

    A ``CellMMError``, or a disk or memory that is full, ends the program with that one line.
    """
    try:
        check_writable(out)
        dataset = make_dataset()
        if not dataset.all_labels_seen:
            check_labels([dataset.get_data_info(i) for i in range(len(dataset))], dataset.data_root, math.inf)
        coco = dataset_to_coco(dataset)
        with atomic_path(out) as tmp:
            tmp.write_text(json.dumps(coco, separators=(",", ":")))
    except (CellMMError, OSError, MemoryError) as error:
        line = str(error) if isinstance(error, CellMMError) else explain(error)
        if line is None:
            raise
        raise SystemExit(f"error: {' '.join(line.splitlines())}") from error
    if any("label_path" in dataset.get_data_info(i) for i in range(len(dataset))):
        print_log(
            "cells count 1, 2, ... in each image there, in the order of their numbers in the label image; "
            "nuclei (nuclei_dir) take these new numbers",
            logger="current",
        )
    counts = ", ".join(f"{len(coco[key])} {key}" for key in ("images", "annotations", "categories"))
    print_log(
        f"{out}: {counts}; file names are relative to {dataset.resolve(dataset.img_dir)}", logger="current"
    )
