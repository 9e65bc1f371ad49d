"""Scores of detected objects: the field's other numbers beside AP, S, F1 and PQ."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cellmm.evaluation import functional as F
from cellmm.registry import METRICS

from .image_result import check_labels, check_thresholds, read_sample, split_classes
from .object_counts import ObjectCounts, count_objects
from .per_image_metric import PerImageMetric
from .result_files import threshold_key

DSB_THRESHOLDS = tuple(F.IOU_THRESHOLDS.round(2).tolist())  # an IoU of exactly .55 is a match at .55
SHARES = {"found": "found", "merged": "merged", "split": "split", "boundary": "outline", "missed": "missed"}


@dataclass
class ObjectResult:
    """One image: what each class that it has adds to the numbers."""

    img_id: int
    name: str
    classes: dict[int, ObjectCounts] = field(default_factory=dict)


@METRICS.register_module()
class ObjectMetric(PerImageMetric):
    """Object-level numbers with the prefix ``object/``, for all predictions from ``score_thr`` on.

    Numbers are in [0, 1] but for the counts, nan where they are not defined; formulas and sources are in
    docs/evaluation.md. Predictions are compared with the cells of their class, and the counts of the classes
    are added. Masks may overlap on either side.

    - ``DSB``: mean precision of the Data Science Bowl 2018, TP/(TP+FP+FN) averaged over IoU .50:.05:.95, per
      image and then over the images; ``DSB_pooled``: TP, FP and FN are summed over the images first.
    - ``precision50``, ``recall50``, ``F1_50``, ...: at each of ``iou_thresholds``, summed over the images.
    - ``PQ``, ``SQ``, ``RQ``: panoptic quality at IoU .5, summed over the images, then the mean over the
      classes that occur; with several classes ``PQ/<class>`` and so on.
    - ``AJI``, ``AJI+``: mean over the images; ``AJI_pooled``, ``AJI+_pooled``: pixels of all images together.
    - ``boundary_IoU``: mean over all pairs that match at IoU .5; ``boundary_PQ``: PQ where the IoU of a pair
      is the smaller of its mask IoU and its boundary IoU.
    - ``found``, ``merged``, ``split``, ``outline``, ``missed``: shares of the cells, which add up to 1;
      ``merges_per_image``, ``splits_per_image``: how many predictions are merged, and how many cells split.
    - ``count_signed``, ``count_absolute``: predicted minus annotated number of an image, mean over the
      images; ``count_relative``: the absolute one by the annotated number, mean over the images with cells.

    Source: DSB2018, Panoptic quality, AJI, HoVer-Net, Boundary IoU.

    Args:
        score_thr: predictions with a lower score do not count.
        iou_thresholds: of precision, recall and F1.
        boundary_width: of the band along the contour, in pixels; None: 2 % of the image's diagonal, as
            published, which is more than the radius of many cells (14 px for 512 x 512); choose 2 or 3 then.
    """

    default_prefix = "object"

    def __init__(
        self,
        *,
        score_thr: float = 0.3,
        iou_thresholds: Sequence[float] = (0.5, 0.7, 0.9),
        boundary_width: int | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        check_thresholds(iou_thresholds)
        if boundary_width is not None and (boundary_width < 1 or int(boundary_width) != boundary_width):
            raise ValueError(f"boundary_width is {boundary_width}: None or a whole number from 1 is needed")
        self.score_thr = score_thr
        self.iou_thresholds = tuple(iou_thresholds)
        self.boundary_width = boundary_width

    @property
    def keys(self) -> list[str]:
        return list(self._numbers([ObjectResult(img_id=0, name="")]))

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Score each image: ``img_id``, ``ori_shape``, ``eval_instances`` and ``pred_instances`` are read."""
        for sample in data_samples:
            truth, predicted, name = read_sample(sample)
            classes = split_classes(truth, predicted, score_thr=self.score_thr)
            counts = {
                label: count_objects(
                    found,
                    iou_thresholds=(*DSB_THRESHOLDS, *self.iou_thresholds),
                    boundary_width=self.boundary_width,
                )
                for label, found in classes.items()
            }
            self.results.append(ObjectResult(img_id=int(sample["img_id"]), name=name, classes=counts))

    def summarize(self, results: list[ObjectResult]) -> dict[str, float]:
        """All numbers by key."""
        check_labels({label for result in results for label in result.classes}, self._classes())
        return {key: float(value) for key, value in self._numbers(results).items()}

    def _classes(self) -> tuple[str, ...]:
        return tuple((self.dataset_meta or {}).get("classes", ()))

    def _none(self) -> ObjectCounts:
        return ObjectCounts(np.zeros((len(DSB_THRESHOLDS) + len(self.iou_thresholds), 4)))

    def _numbers(self, results: list[ObjectResult]) -> dict[str, float]:
        images = [sum(result.classes.values(), self._none()) for result in results]
        total = sum(images, self._none())
        num = len(DSB_THRESHOLDS)
        counts = np.stack([image.counts[:num] for image in images])
        numbers = {"DSB": F.mean_of_defined(F.segmentation_scores(counts)["S"].mean(axis=1))}
        numbers["DSB_pooled"] = F.segmentation_scores(total.counts[:num])["S"].mean()
        for threshold, (true, false, missed, _) in zip(self.iou_thresholds, total.counts[num:], strict=True):
            numbers[threshold_key("precision", threshold)] = _share(true, true + false)
            numbers[threshold_key("recall", threshold)] = _share(true, true + missed)
            numbers[threshold_key("F1", threshold)] = _share(2 * true, 2 * true + false + missed)
        numbers |= self._panoptic(results)
        for name, key in (("AJI", "aji"), ("AJI+", "aji_plus")):
            numbers[name] = F.mean_of_defined([_share(*getattr(image, key)) for image in images])
            numbers[f"{name}_pooled"] = _share(*getattr(total, key))
        numbers["boundary_IoU"] = _share(total.boundary, total.matched[0])
        numbers["boundary_PQ"] = F.segmentation_scores(total.matched_boundary)["PQ"]
        for fate, cells in zip(F.FATES, total.fates.tolist(), strict=True):
            numbers[SHARES[fate]] = _share(cells, total.num_cells)
        numbers["merges_per_image"] = total.merges / len(images)
        numbers["splits_per_image"] = total.splits / len(images)
        errors = np.array([image.num_found - image.num_cells for image in images], float)
        cells = np.array([image.num_cells for image in images])
        numbers |= {"count_signed": errors.mean(), "count_absolute": np.abs(errors).mean()}
        relative = [_share(abs(error), number) for error, number in zip(errors, cells, strict=True)]
        return numbers | {"count_relative": F.mean_of_defined(relative)}

    def _panoptic(self, results: list[ObjectResult]) -> dict[str, float]:
        """PQ, SQ and RQ of all images, of each class and their mean."""
        seen = sorted({label for result in results for label in result.classes})
        labels = range(len(self._classes())) if self._classes() else seen
        numbers, of_classes = {}, []
        for label in labels:
            mine = [result.classes[label] for result in results if label in result.classes]
            true, false, missed, iou = sum(mine, self._none()).matched
            half = true + (false + missed) / 2
            of_classes.append((_share(iou, half), _share(iou, true), _share(true, half)))
        for column, key in enumerate(("PQ", "SQ", "RQ")):
            values = [values[column] for values in of_classes]
            numbers[key] = F.mean_of_defined(values)
            if len(self._classes()) > 1:
                numbers |= {f"{key}/{name}": v for name, v in zip(self._classes(), values, strict=True)}
        return numbers


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")
