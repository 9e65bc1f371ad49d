"""Predictions as a COCO json, which annotation tools and cellmm's own COCO dataset read."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path

import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.files import atomic_path
from cellmm.structures import MaskRuns

TOGETHER = 10_000  # cells whose RLEs are made at once


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
    numbers = count(first_id)
    for begin in range(0, len(masks), TOGETHER):
        some = slice(begin, begin + TOGETHER)
        part = masks.select(np.arange(len(masks))[some])
        top, left, bottom, right = part.boxes().astype(float).T
        boxes = np.stack([left, top, right - left, bottom - top], axis=1).tolist()
        cells = zip(
            part.to_rles(), scores[some], category_ids[some], boxes, part.areas().tolist(), strict=True
        )
        for mask, score, category_id, box, area in cells:
            yield dict(
                id=next(numbers),
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
    merged: dict[str, list[dict]] = dict(images=[], categories=[])

    def annotations() -> Iterator[dict]:
        numbers, first = count(1), True
        for part in parts:
            content = json.loads(Path(part).read_text(encoding="utf-8"))
            if first:
                merged["categories"], first = content["categories"], False
            if content["categories"] != merged["categories"]:
                raise CellMMError(
                    f"{part} has the categories {content['categories']}, the files before it "
                    f"{merged['categories']}: write the results of one model into one folder"
                )
            images = merged["images"]
            new_id = {image["id"]: len(images) + i for i, image in enumerate(content["images"], start=1)}
            images += [{**image, "id": new_id[image["id"]]} for image in content["images"]]
            for cell in content["annotations"]:
                yield cell | dict(id=next(numbers), image_id=new_id[cell["image_id"]])

    _write(path, annotations(), merged)


def write_coco(path: str | Path, content: Mapping) -> None:
    """Write COCO content as json, whole or not at all; ``annotations`` may be an iterator."""
    _write(path, content["annotations"], {key: content[key] for key in content if key != "annotations"})


def _write(path: str | Path, annotations: Iterable[dict], rest: Mapping) -> None:
    """Write the annotations one after another, then the rest, which may grow until they are used up."""
    with atomic_path(path) as tmp, open(tmp, "w", encoding="utf-8") as file:
        file.write('{"annotations": [')
        for i, cell in enumerate(annotations):
            file.write((", " if i else "") + json.dumps(cell, allow_nan=False))
        file.write("], " + json.dumps(rest, allow_nan=False)[1:])
