"""Predictions as a COCO json, which annotation tools and cellmm's own COCO dataset read."""

import json
from collections.abc import Sequence
from pathlib import Path

from cellmm.errors import CellMMError
from cellmm.io.files import atomic_path
from cellmm.structures import CellSample, rle


def samples_to_coco(
    names: Sequence[str],
    samples: Sequence[CellSample],
    classes: Sequence[str] = ("cell",),
    category_ids: Sequence[int] | None = None,
) -> dict:
    """COCO content of B images: ``images``, ``categories``, and one entry of ``annotations`` per cell.

    Ids count from 1; those of categories only without ``category_ids``. Masks are RLE, so that overlaps
    are kept; every annotation also has its ``score``, bbox (x, y, w, h) in pixels and area in px^2.

    Args:
        names: (B,) file names of the images.
        samples: (B,) with ``pred_instances``.
        classes, category_ids: the name and the id of each label.

    Raises:
        CellMMError: a sample without instances.
        ValueError: a label without a class.
    """
    ids = list(category_ids or range(1, len(classes) + 1))
    images, annotations = [], []
    for name, sample in zip(names, samples, strict=True):
        height, width = sample.ori_shape
        images.append(dict(id=len(images) + 1, file_name=name, height=int(height), width=int(width)))
        if "pred_instances" not in sample:
            raise CellMMError(
                f"{name}: no pred_instances, the model gives no cells; set model.instance_head or postprocess"
            )
        found = sample.pred_instances
        labels = found.labels.tolist()
        if labels and not 0 <= min(labels) <= max(labels) < len(classes):
            raise ValueError(f"{name}: labels {min(labels)} to {max(labels)} for {len(classes)} classes")
        boxes, areas = rle.bbox(found.masks).tolist(), rle.area(found.masks).tolist()
        for mask, score, label, box, area in zip(
            found.masks, found.scores.tolist(), labels, boxes, areas, strict=True
        ):
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=len(images),
                    category_id=ids[label],
                    segmentation=mask,
                    bbox=box,
                    area=area,
                    iscrowd=0,
                    score=score,
                )
            )
    categories = [dict(id=i, name=name) for i, name in zip(ids, classes, strict=True)]
    return dict(images=images, annotations=annotations, categories=categories)


def write_coco(path: str | Path, content: dict) -> None:
    """Write COCO content as json, whole or not at all."""
    with atomic_path(path) as tmp:
        tmp.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
