"""The files that evaluation writes: COCO results, and a table with one line per image."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from cellmm.evaluation.functional import segmentation_scores
from cellmm.io.files import atomic_path

from .image_result import ImageResult


def threshold_key(name: str, threshold: float) -> str:
    """``S50`` for S at IoU 0.5; a name that ends in a digit gets an underscore: ``F1_50``."""
    return f"{name}{'_' if name[-1].isdigit() else ''}{round(100 * threshold)}"


def write_coco_results(
    path: Path, results: Sequence[ImageResult], ids: Mapping[int, int] | None = None
) -> None:
    """All predictions as COCO results: image_id, category_id, segmentation, score, bbox, area.

    ``ids``: the category id of each label; None: label + 1.
    """
    items = [
        dict(image_id=result.img_id, category_id=ids[label] if ids else label + 1, **item)
        for result in results
        for label, item in result.coco or []
    ]
    with atomic_path(path) as tmp:
        tmp.write_text(json.dumps(items) + "\n")


def write_image_table(path: Path, results: Sequence[ImageResult], iou_thresholds: Sequence[float]) -> None:
    """CSV with one line per image, all classes together; an undefined score is left empty.

    Columns: img_id, image, cells, ignored, predictions, counted (with a score of score_thr or more), then for
    each IoU threshold t: TPt, FPt, FNt, St, F1_t, PQt.
    """
    names = ("TP", "FP", "FN", "S", "F1", "PQ")
    columns = [threshold_key(name, threshold) for threshold in iou_thresholds for name in names]
    with atomic_path(path) as tmp, open(tmp, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["img_id", "image", "cells", "ignored", "predictions", "counted", *columns])
        for result in results:
            row = [result.img_id, result.name, result.num_cells, result.num_ignored]
            row += [result.num_predictions, result.num_counted]
            counts = result.total_counts(len(iou_thresholds))
            scores = segmentation_scores(counts)
            for index in range(len(iou_thresholds)):
                row += [int(value) for value in counts[index, :3]]
                values = [float(scores[name][index]) for name in names[3:]]
                row += ["" if math.isnan(value) else f"{value:.6f}" for value in values]
            writer.writerow(row)


def write_table(path: Path, rows: Sequence[Mapping]) -> None:
    """CSV with one line per row, all of the same keys; an undefined number is left empty."""
    with atomic_path(path) as tmp, open(tmp, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        for row in rows:
            writer.writerow({key: _text(value) for key, value in row.items()})


def _text(value: str | float) -> str:
    if not isinstance(value, float):
        return str(value)
    return "" if math.isnan(value) else f"{value:.6f}"
