"""The contribution of one image to the metric: read, checked, matched."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from cellmm.errors import CellMMError
from cellmm.evaluation import functional as F
from cellmm.structures import rle as rle_ops

from .confusion_files import THRESHOLD


@dataclass
class ImageResult:
    """Small enough to be sent between ranks: no masks but those of ``coco``, where files were asked for: the
    label and the result of each prediction.

    ``ranked``, ``counts``: by label, for the labels that the image has; ``counts`` as of ``count_matches``.
    ``confusion``: of ``confusion_matrix``, for the predictions that S, F1 and PQ count; None for one class.
    ``num_counted``: predictions that S, F1 and PQ count; ``num_cut``: those that ``max_dets`` leaves out.
    """

    img_id: int
    name: str
    num_cells: int
    num_ignored: int
    num_predictions: int
    num_counted: int
    num_cut: int = 0
    ranked: dict[int, F.RankedMatches] = field(default_factory=dict)
    counts: dict[int, np.ndarray] = field(default_factory=dict)
    confusion: np.ndarray | None = None
    coco: list[tuple[int, dict]] | None = None

    def total_counts(self, num_thresholds: int) -> np.ndarray:
        """Counts of all classes together, (T, 4)."""
        return sum(self.counts.values(), np.zeros((num_thresholds, 4)))


def score_image(
    sample: dict,
    *,
    area_ranges: Sequence[tuple[float, float]],
    score_thr: float,
    iou_thresholds: Sequence[float],
    max_dets: int | None,
    keep_coco: bool,
    num_classes: int = 1,
) -> ImageResult:
    """Match the predictions of one image with its cells, class by class.

    ``sample``: ``CellSample.to_dict()``; ``img_id``, ``eval_instances`` and ``pred_instances`` are read, and
    ``ori_shape`` and ``img_path`` if known. CellMMError names the image.
    """
    truth, predicted, name = read_sample(sample)
    scores, ignore = predicted["scores"], truth["ignore"]
    result = ImageResult(
        img_id=int(sample["img_id"]),
        name=name,
        num_cells=int(np.count_nonzero(~ignore)),
        num_ignored=int(np.count_nonzero(ignore)),
        num_predictions=len(scores),
        num_counted=int(np.count_nonzero(scores >= score_thr)),
    )
    classes = split_classes(truth, predicted, max_dets=max_dets)
    result.num_cut = len(scores) - sum(len(found.scores) for found in classes.values())
    for label, found in classes.items():
        pairs = found.pairs(min(*iou_thresholds, F.IOU_THRESHOLDS[0]))
        result.ranked[label] = found.ranked(area_ranges, pairs)
        result.counts[label] = F.count_matches(
            pairs.select_pred(found.scores >= score_thr), thresholds=iou_thresholds
        )
    labels = np.concatenate([truth["labels"], predicted["labels"]])
    if num_classes > 1 and labels.max(initial=0) < num_classes:  # others are refused at the end
        counted = np.flatnonzero(scores >= score_thr)
        result.confusion = F.confusion_matrix(
            [predicted["masks"][i] for i in counted],
            predicted["labels"][counted],
            truth["masks"],
            truth["labels"],
            num_classes=num_classes,
            gt_crowd=ignore,
            threshold=THRESHOLD,
        )
    if keep_coco:
        result.coco = [
            (
                int(label),
                dict(
                    segmentation=mask,
                    score=float(score),
                    bbox=[float(value) for value in box],
                    area=int(area),
                ),
            )
            for mask, label, score, box, area in zip(
                predicted["masks"],
                predicted["labels"],
                scores,
                rle_ops.bbox(predicted["masks"]),
                rle_ops.area(predicted["masks"]),
                strict=True,
            )
        ]
    return result


def split_classes(
    truth: dict, predicted: dict, *, max_dets: int | None = None, score_thr: float | None = None
) -> dict[int, F.ClassInImage]:
    """{label: its predictions by falling score, and its cells} of what ``read_sample`` gives.

    ``max_dets``: only this many of a class, the best scored; ``score_thr``: only those with this score.
    """
    areas = np.where(np.isnan(truth["areas"]), rle_ops.area(truth["masks"]), truth["areas"])
    classes = {}
    for label in np.union1d(truth["labels"], predicted["labels"]).tolist():
        gt = np.flatnonzero(truth["labels"] == label)
        pred = np.flatnonzero(predicted["labels"] == label)
        pred = pred[np.argsort(-predicted["scores"][pred], kind="stable")][:max_dets]
        if score_thr is not None:
            pred = pred[predicted["scores"][pred] >= score_thr]
        classes[label] = F.ClassInImage(
            masks=[predicted["masks"][i] for i in pred],
            scores=predicted["scores"][pred],
            gt_masks=[truth["masks"][i] for i in gt],
            gt_crowd=truth["ignore"][gt],
            gt_areas=areas[gt],
        )
    return classes


def check_images(results: Sequence[Any], size: int | None) -> None:
    """Check that each of ``size`` images (None: unknown) comes once; results have ``img_id`` and ``name``."""
    if not results:
        raise CellMMError("no image was evaluated: the data set or its dataloader is empty")
    twice = [img_id for img_id, count in Counter(r.img_id for r in results).items() if count > 1]
    if twice:
        names = [result.name for result in results if result.img_id == twice[0]]
        raise CellMMError(f"img_id {twice[0]} came {len(names)} times ({names[0]}): give each image its own")
    if size is not None and len(results) != size:
        raise CellMMError(
            f"{len(results)} of {size} images were evaluated: the sampler has to deal them all out"
        )


def check_labels(labels: set[int], classes: Sequence[str]) -> None:
    """Check that the labels of cells and predictions are numbers of ``classes``, if these are known."""
    if classes and not labels <= set(range(len(classes))):
        raise CellMMError(f"labels {sorted(labels)} do not fit the classes {tuple(classes)}")


def check_thresholds(iou_thresholds: Sequence[float]) -> None:
    """ValueError unless these are different hundredths in (0, 1]: keys of numbers are made of them."""
    if not iou_thresholds or any(not 0 < t <= 1 or round(100 * t, 6) % 1 for t in iou_thresholds):
        raise ValueError(f"iou_thresholds is {iou_thresholds}: hundredths in (0, 1] are needed, as 0.75")
    if len(set(iou_thresholds)) != len(iou_thresholds):
        raise ValueError(f"iou_thresholds is {iou_thresholds}: a threshold is repeated")


def image_name(sample: dict) -> str:
    """The name of the file, of the first file if the channels are in several."""
    path = sample.get("img_path") or f"img_id {sample['img_id']}"
    return Path(path if isinstance(path, str) else path[0]).name


def read_sample(sample: dict) -> tuple[dict, dict, str]:
    """Ground truth and prediction as lists and numpy arrays, and the image's name."""
    name = image_name(sample)
    if "eval_instances" not in sample:
        raise CellMMError(f"{name}: no eval_instances; put LoadCells(keep_original=True) into the pipeline")
    if "pred_instances" not in sample:
        raise CellMMError(
            f"{name}: no pred_instances; the model has to be run with mode='predict', and a model of maps "
            "needs model.instance_head or postprocess to give cells; maps alone are scored by SemanticMetric"
        )
    truth, predicted = sample["eval_instances"], sample["pred_instances"]
    truth = dict(
        masks=list(truth["masks"]),
        labels=_array(truth["labels"], np.int64),
        ignore=_array(truth["ignore"], bool),
        areas=_array(truth["areas"], np.float64),
    )
    predicted = dict(
        masks=list(predicted["masks"]),
        labels=_array(predicted["labels"], np.int64),
        scores=_array(predicted["scores"], np.float64),
    )
    for what, instances in (("ground truth", truth), ("prediction", predicted)):
        lengths = {key: len(value) for key, value in instances.items()}
        if len(set(lengths.values())) > 1:
            raise CellMMError(f"{name}: the fields of the {what} differ in length: {lengths}")
        sizes = {tuple(rle["size"]) for rle in instances["masks"]}
        shape = tuple(sample.get("ori_shape") or next(iter(sizes), ()))[:2]
        if sizes - {shape}:
            raise CellMMError(
                f"{name}: {what} masks of size {sorted(sizes - {shape})} on an image of {shape}"
            )
    if not np.isfinite(predicted["scores"]).all():
        raise CellMMError(f"{name}: a score is nan or infinite; the model has diverged")
    return truth, predicted, name


def read_map(sample: dict, target: str, name: str) -> np.ndarray:
    """The probabilities of ``pred_semantic``, float32 (H, W), checked; ``name``: of the image in messages."""
    maps = sample.get("pred_semantic", {})
    if target not in maps:
        there = f"of its maps {sorted(maps)}" if maps else "no pred_semantic at all"
        raise CellMMError(
            f"{name}: the model gives no map {target!r} ({there}); add a head with target={target!r}, or "
            "leave it out of the metric's targets"
        )
    probs = _array(maps[target], np.float32)
    shape = tuple(sample["ori_shape"])[:2]
    if probs.shape != shape:
        raise CellMMError(f"{name}: the map {target!r} has {probs.shape} pixels (h, w), the image {shape}")
    if not np.isfinite(probs).all():
        raise CellMMError(f"{name}: the map {target!r} has nan or infinite values; the model has diverged")
    if probs.size and (probs.min() < 0 or probs.max() > 1):
        raise CellMMError(
            f"{name}: the map {target!r} has values from {probs.min():g} to {probs.max():g}, no probabilities"
        )
    return probs


def _array(values: Any, dtype: type) -> np.ndarray:
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    return np.asarray(values, dtype)
