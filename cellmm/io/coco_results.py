"""Predictions as a COCO json, which annotation tools and cellmm's own COCO dataset read."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.files import atomic_path
from cellmm.structures import MaskRuns


def coco_annotations(
    masks: MaskRuns,
    scores: Sequence[float],
    category_ids: Sequence[int],
    *,
    image_id: int = 1,
    first_id: int = 1,
) -> Iterator[dict]:
    """An annotation for each of N masks, with RLE, score, bbox (x, y, w, h) in pixels and area in px^2.

    Raises:
        CellMMError: the image is too large for COCO RLE.
    """
    top, left, bottom, right = masks.boxes().astype(float).T
    boxes = np.stack([left, top, right - left, bottom - top], axis=1).tolist()
    cells = zip(masks.to_rles(), scores, category_ids, boxes, masks.areas().tolist(), strict=True)
    for number, (mask, score, category_id, box, area) in enumerate(cells, start=first_id):
        yield dict(
            id=number,
            image_id=image_id,
            category_id=category_id,
            segmentation=mask,
            bbox=box,
            area=area,
            iscrowd=0,
            score=score,
        )


def merge_coco(path: str | Path, parts: Iterable[Path]) -> None:
    """Write one COCO json from several, whose images and annotations are numbered anew, one after another.

    Memory is that of the largest part and of the list of images.

    Raises:
        CellMMError: parts with different categories.
    """
    images: list[dict] = []
    categories: list[dict] | None = None
    number = 0
    with atomic_path(path) as tmp, open(tmp, "w", encoding="utf-8") as file:
        file.write('{"annotations": [')
        for part in parts:
            content = json.loads(Path(part).read_text(encoding="utf-8"))
            categories = content["categories"] if categories is None else categories
            if content["categories"] != categories:
                raise CellMMError(
                    f"{part} has the categories {content['categories']}, the files before it {categories}: "
                    "write the results of one model into one folder"
                )
            new_id = {image["id"]: len(images) + i for i, image in enumerate(content["images"], start=1)}
            images += [{**image, "id": new_id[image["id"]]} for image in content["images"]]
            for cell in content["annotations"]:
                number += 1
                cell |= dict(id=number, image_id=new_id[cell["image_id"]])
                file.write(("" if number == 1 else ", ") + json.dumps(cell, allow_nan=False))
        rest = json.dumps(dict(images=images, categories=categories or []), allow_nan=False)
        file.write("], " + rest[1:])


def write_coco(path: str | Path, content: dict) -> None:
    """Write COCO content as json, whole or not at all."""
    with atomic_path(path) as tmp:
        tmp.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
