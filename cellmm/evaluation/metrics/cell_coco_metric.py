"""Average precision with every cell counted, and S, F1 and PQ."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from cellmm.evaluation import functional as F
from cellmm.io.coco_categories import category_ids
from cellmm.registry import METRICS

from .confusion_files import write_confusion
from .image_result import ImageResult, check_labels, check_thresholds, score_image
from .per_image_metric import PerImageMetric
from .result_files import threshold_key, write_coco_results, write_image_table


@METRICS.register_module()
class CellCocoMetric(PerImageMetric):
    """COCO's average precision of masks, all detections counted, and S, F1 and PQ by IoU threshold.

    Numbers in [0, 1], nan where they are not defined (see docs/evaluation.md):

    - ``AP`` (IoU .50:.05:.95), ``AP50``, ``AP75``, ``AP90``, ``AR``, and AP by the area of the cells,
      ``AP_S``, ``AP_M``, ``AP_L``; averaged over the classes that have cells.
    - ``S`` = TP/(TP+FP+FN), StarDist's accuracy, ``F1``, ``PQ``: mean over ``iou_thresholds``, each computed
      per image and then averaged over the images; ``S50``, ``F1_50``, ``PQ50``, ...: at one threshold;
      ``S_pooled``, ``S50_pooled``, ...: TP, FP and FN are summed over the images first. Matching is
      one-to-one and finds the most matches; classes are matched apart and their counts added.
    - with several classes ``AP/<class>``, ``AP50/<class>``, ``S/<class>``.

    And ``FP_per_image``: false alarms, predictions that S, F1 and PQ count and that fit no cell at the lowest
    of ``iou_thresholds``, per image; defined for a set without cells, too.

    Args:
        area_bounds: px^2 between small and medium, and medium and large, ends included on both sides; COCO's
            1024 and 9216 by default, LIVECell uses (324, 961). The area is the annotation's, else the mask's.
        score_thr: S, F1 and PQ count predictions with at least this score (0.3: those that the overlays
            draw by default); AP needs no such choice.
        iou_thresholds: for S, F1 and PQ.
        max_dets: only this many predictions of a class in an image, the best scored; None counts all of them.
            A warning says how many are left out.
        outfile_prefix: write ``<prefix>.segm.json`` (COCO results, with the category ids of the annotation
            file) and ``<prefix>.images.csv``; with several classes also the confusion matrix of the
            predictions from ``score_thr`` on and the cells that they match with an IoU of .5,
            ``<prefix>.confusion.json`` and ``<prefix>.confusion.png``.
    """

    def __init__(
        self,
        *,
        area_bounds: Sequence[float] = (32**2, 96**2),
        score_thr: float = 0.3,
        iou_thresholds: Sequence[float] = F.SCORE_THRESHOLDS,
        max_dets: int | None = None,
        outfile_prefix: str | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        if len(area_bounds) != 2 or not 0 < area_bounds[0] < area_bounds[1]:
            raise ValueError(f"area_bounds is {area_bounds}: two growing areas in px^2 are needed")
        check_thresholds(iou_thresholds)
        if max_dets is not None and max_dets < 1:
            raise ValueError(f"max_dets is {max_dets}: None or a number of at least 1 is needed")
        small, large = area_bounds
        self.area_ranges = ((0.0, 1e10), (0.0, small), (small, large), (large, 1e10))
        self.score_thr = score_thr
        self.iou_thresholds = tuple(iou_thresholds)
        self.max_dets = max_dets
        self.outfile_prefix = outfile_prefix

    @property
    def keys(self) -> list[str]:
        keys = ["AP", "AP50", "AP75", "AP90", "AR", "AP_S", "AP_M", "AP_L"]
        for suffix in ("", "_pooled"):
            for name in ("S", "F1", "PQ"):
                keys += [f"{name}{suffix}"]
                keys += [f"{threshold_key(name, threshold)}{suffix}" for threshold in self.iou_thresholds]
        keys += ["FP_per_image"]
        if len(self._classes()) > 1:
            keys += [f"{name}/{label}" for label in self._classes() for name in ("AP", "AP50", "S")]
        return keys

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Score each image: ``img_id``, ``ori_shape``, ``eval_instances`` and ``pred_instances`` are read."""
        for sample in data_samples:
            result = score_image(
                sample,
                area_ranges=self.area_ranges,
                score_thr=self.score_thr,
                iou_thresholds=self.iou_thresholds,
                max_dets=self.max_dets,
                keep_coco=self.outfile_prefix is not None,
                num_classes=len(self._classes()),
            )
            self.results.append(result)

    def image_score(self, result: ImageResult) -> float:
        """S of one image, as its mean ``S`` counts it; nan without any cell or prediction."""
        counts = result.total_counts(len(self.iou_thresholds))
        return float(F.mean_of_defined(F.segmentation_scores(counts)["S"]))

    def summarize(self, results: list[ImageResult]) -> dict[str, float]:
        """All numbers by key; writes the files of ``outfile_prefix``."""
        check_labels({label for result in results for label in result.counts}, self._classes())
        self._warn_of_cut(results)
        numbers = self._average_precisions(results)
        numbers.update(self._scores(results))
        if self.outfile_prefix is not None:
            ids = dict(enumerate(category_ids(self.dataset_meta)))
            write_coco_results(Path(f"{self.outfile_prefix}.segm.json"), results, ids)
            write_image_table(Path(f"{self.outfile_prefix}.images.csv"), results, self.iou_thresholds)
            tables = [result.confusion for result in results if result.confusion is not None]
            if tables:
                write_confusion(self.outfile_prefix, sum(tables), self._classes(), self.score_thr)
        return numbers

    def _warn_of_cut(self, results: list[ImageResult]) -> None:
        if not (cut := [result for result in results if result.num_cut]):
            return
        most = max(cut, key=lambda result: result.num_cut)
        print_log(
            f"max_dets={self.max_dets} left out {sum(result.num_cut for result in cut)} predictions in "
            f"{len(cut)} of {len(results)} images, most in {most.name} ({most.num_cut} of "
            f"{most.num_predictions}); set max_dets=None to count all",
            logger="current",
            level=logging.WARNING,
        )

    def _classes(self) -> tuple[str, ...]:
        return tuple((self.dataset_meta or {}).get("classes", ()))

    def _labels(self, results: list[ImageResult]) -> dict[int, str]:
        """Label -> name of the class."""
        if self._classes():
            return dict(enumerate(self._classes()))
        return {label: str(label) for label in sorted({label for r in results for label in r.counts})}

    def _average_precisions(self, results: list[ImageResult]) -> dict[str, float]:
        labels = self._labels(results)
        of_classes, recalls = F.class_precisions(
            [result.ranked for result in results], list(labels), num_areas=len(self.area_ranges)
        )
        ap = F.mean_of_defined(of_classes, axis=0)
        numbers = {"AP": ap[0].mean()}
        numbers |= {f"AP{percent}": ap[0, (percent - 50) // 5] for percent in (50, 75, 90)}
        numbers["AR"] = F.mean_of_defined(recalls[:, 0], axis=0).mean()
        numbers |= {f"AP_{size}": values.mean() for size, values in zip("SML", ap[1:], strict=True)}
        if len(labels) > 1:
            for name, values in zip(labels.values(), of_classes[:, 0], strict=True):
                numbers |= {f"AP/{name}": values.mean(), f"AP50/{name}": values[0]}
        return {key: float(value) for key, value in numbers.items()}

    def _scores(self, results: list[ImageResult]) -> dict[str, float]:
        none = np.zeros((1, len(self.iou_thresholds), 4))
        counts = np.stack([result.total_counts(len(self.iou_thresholds)) for result in results])
        alarms = counts[:, int(np.argmin(self.iou_thresholds)), 1]
        numbers = {"FP_per_image": float(alarms.mean())}
        if not any(result.num_cells for result in results):
            print_log(
                f"none of the {len(results)} images holds a cell, so AP is not defined; false alarms: "
                f"{alarms.sum():g} predictions with a score of {self.score_thr:g} or more in "
                f"{np.count_nonzero(alarms)} images",
                logger="current",
                level=logging.WARNING,
            )
        for suffix, table in (("", counts), ("_pooled", counts.sum(axis=0, keepdims=True))):
            for name, values in F.segmentation_scores(table).items():  # (images, T)
                numbers[f"{name}{suffix}"] = float(F.mean_of_defined(values))
                for column, threshold in enumerate(self.iou_thresholds):
                    numbers[f"{threshold_key(name, threshold)}{suffix}"] = float(
                        F.mean_of_defined(values[:, column])
                    )
        labels = self._labels(results)
        for label, name in labels.items() if len(labels) > 1 else ():
            of_class = [result.counts[label][None] for result in results if label in result.counts]
            of_images = F.segmentation_scores(np.concatenate(of_class or [none]))["S"]
            numbers[f"S/{name}"] = float(F.mean_of_defined(of_images))
        if any(result.num_predictions for result in results) and not any(r.num_counted for r in results):
            print_log(
                f"S, F1 and PQ count no prediction: no score reaches score_thr={self.score_thr}",
                logger="current",
                level=logging.WARNING,
            )
        return numbers
