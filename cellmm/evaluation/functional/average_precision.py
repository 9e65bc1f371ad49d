"""COCO's average precision, for images with any number of cells.

The definition is that of the COCO evaluation (Lin et al., "Microsoft COCO", ECCV 2014, and its reference
code): greedy matching in the order of the scores, 101 recall points, ignored cells and crowd regions. Only
the cost differs: pairs of masks that do not overlap are never compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .overlaps import MaskPairs

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_POINTS = np.linspace(0.0, 1.0, 101)


@dataclass
class RankedMatches:
    """One class in one image, for A area ranges, T thresholds and D predictions in order of falling score.

    ``scores``: float64 (D,); ``matched``, ``ignored``: bool (A, T, D), an ignored prediction is neither right
    nor wrong; ``num_gt``: int64 (A,), the cells to be found.
    """

    scores: np.ndarray
    matched: np.ndarray
    ignored: np.ndarray
    num_gt: np.ndarray


def match_by_score(pairs: MaskPairs, *, gt_ignore: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """COCO's greedy matching: int64 (T, num_pred), the cell that each prediction gets, or -1.

    ``pairs``: predictions numbered by falling score, every pair with IoU >= min(thresholds). A prediction
    takes the free cell of highest IoU (the later of two equals); an ignored cell, ``gt_ignore`` bool
    (num_gt,), only where no other will do; a crowd region is never used up.
    """
    thresholds = np.minimum(thresholds, 1 - 1e-10)
    matches = np.full((len(thresholds), pairs.num_pred), -1, np.int64)
    # Nearly all predictions have a single candidate that no other wants: their order does not matter.
    alone = (np.bincount(pairs.pred, minlength=pairs.num_pred)[pairs.pred] == 1) & (
        np.bincount(pairs.gt, minlength=pairs.num_gt)[pairs.gt] == 1
    )
    matches[:, pairs.pred[alone]] = np.where(
        pairs.iou[alone] >= thresholds[:, None], pairs.gt[alone], np.int64(-1)
    )
    contested = np.flatnonzero(~alone)
    order = contested[
        np.lexsort((pairs.gt[contested], gt_ignore[pairs.gt[contested]], pairs.pred[contested]))
    ]
    candidates: dict[int, list[tuple[int, float]]] = {}
    for pred, gt, iou in zip(
        pairs.pred[order].tolist(), pairs.gt[order].tolist(), pairs.iou[order].tolist(), strict=True
    ):
        candidates.setdefault(pred, []).append((gt, iou))
    ignore, crowd = gt_ignore.tolist(), pairs.crowd.tolist()
    for row, threshold in enumerate(thresholds.tolist()):
        taken = set()
        for pred, cells in candidates.items():
            best, best_iou = -1, threshold
            for gt, iou in cells:
                if iou < best_iou or gt in taken:
                    continue
                if best >= 0 and ignore[gt] and not ignore[best]:
                    break
                best, best_iou = gt, iou
            if best >= 0:
                matches[row, pred] = best
                if not crowd[best]:
                    taken.add(best)
    return matches


def rank_matches(
    pairs: MaskPairs,
    *,
    scores: np.ndarray,
    pred_areas: np.ndarray,
    gt_areas: np.ndarray,
    area_ranges: Sequence[tuple[float, float]],
    thresholds: np.ndarray = IOU_THRESHOLDS,
) -> RankedMatches:
    """Match one class of one image in every area range (px^2, both ends included).

    ``pairs``: every pair with IoU >= min(thresholds), predictions by falling score, as are ``scores`` and
    ``pred_areas`` (D,); ``gt_areas`` (G,). Cells outside a range are ignored there, and so are predictions
    outside it that match nothing.
    """
    if np.any(np.diff(scores) > 0):
        raise ValueError("scores are not in falling order")
    matched, ignored, num_gt = [], [], []
    for low, high in area_ranges:
        gt_ignore = pairs.crowd | (gt_areas < low) | (gt_areas > high)
        matches = match_by_score(pairs, gt_ignore=gt_ignore, thresholds=thresholds)
        found = matches >= 0
        outside = (pred_areas < low) | (pred_areas > high)
        # Index -1 reads the appended False: no match, nothing ignored.
        matched.append(found)
        ignored.append(np.append(gt_ignore, False)[matches] | (~found & outside))
        num_gt.append(np.count_nonzero(~gt_ignore))
    return RankedMatches(
        scores=np.asarray(scores, np.float64),
        matched=np.stack(matched),
        ignored=np.stack(ignored),
        num_gt=np.array(num_gt, np.int64),
    )


@dataclass
class PooledMatches:
    """One class in one area range over B images: the D predictions of all of them by falling score.

    ``image``: int64 (D,), whose prediction it is; ``right``, ``wrong``: bool (T, D); ``num_gt``: int64 (B,).
    """

    image: np.ndarray
    right: np.ndarray
    wrong: np.ndarray
    num_gt: np.ndarray


def pool_matches(
    images: Sequence[RankedMatches | None], *, area: int = 0, num_thresholds: int = len(IOU_THRESHOLDS)
) -> PooledMatches:
    """Rank the predictions of all images together; equal scores rank in the order of ``images``.

    ``area``: which of the area ranges; None: an image without cells and predictions of the class.
    """
    present = [(i, image) for i, image in enumerate(images) if image is not None]
    num_gt = np.zeros(len(images), np.int64)
    none = np.zeros((num_thresholds, 0), bool)
    for i, image in present:
        num_gt[i] = image.num_gt[area]
    scores = np.concatenate([np.zeros(0), *(image.scores for _, image in present)])
    order = np.argsort(-scores, kind="stable")
    matched = np.concatenate([none, *(image.matched[area] for _, image in present)], axis=1)[:, order]
    counted = ~np.concatenate([none, *(image.ignored[area] for _, image in present)], axis=1)[:, order]
    sizes = np.array([len(image.scores) for _, image in present], np.int64)
    owner = np.repeat(np.array([i for i, _ in present], np.int64), sizes)
    return PooledMatches(owner[order], matched & counted, ~matched & counted, num_gt)


def pooled_precision_and_recall(
    pooled: PooledMatches, times: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Precision (T, 101) at COCO's recall points and the highest recall (T,) of one class.

    ``times``: int (B,), how often each image counts; None: once. Precision is made non-increasing in recall,
    and is 0 past the highest recall reached. Both are nan where no cell is to be found.
    """
    times = np.ones(len(pooled.num_gt), np.int64) if times is None else times
    total = int(times @ pooled.num_gt)
    if total == 0:
        num = len(pooled.right)
        return np.full((num, len(RECALL_POINTS)), np.nan), np.full(num, np.nan)
    weight = times[pooled.image]
    right = np.cumsum(pooled.right * weight, axis=1)
    wrong = np.cumsum(pooled.wrong * weight, axis=1)
    recall = right / total
    precision = right / np.maximum(right + wrong, 1)
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    precision = np.pad(precision, ((0, 0), (0, 1)))  # past the highest recall
    reached = np.stack([np.searchsorted(row, RECALL_POINTS, side="left") for row in recall])
    highest = recall[:, -1] if len(weight) else np.zeros(len(recall))
    return np.take_along_axis(precision, reached, axis=1), highest


def precision_and_recall(
    images: Sequence[RankedMatches], *, area: int = 0, num_thresholds: int = len(IOU_THRESHOLDS)
) -> tuple[np.ndarray, np.ndarray]:
    """The same of one class over all images, each counted once."""
    return pooled_precision_and_recall(pool_matches(images, area=area, num_thresholds=num_thresholds))


def class_precisions(
    images: Sequence[Mapping[int, RankedMatches]], labels: Sequence[int], *, num_areas: int
) -> tuple[np.ndarray, np.ndarray]:
    """AP and highest recall of each class over all images, float64 (labels, A, T) both.

    ``images``: {label: matches} each; nan where a class has no cell to be found. Over the classes they are
    averaged by ``mean_of_defined``.
    """
    shape = (len(labels), num_areas, len(IOU_THRESHOLDS))
    precisions, recalls = np.full(shape, np.nan), np.full(shape, np.nan)
    for row, label in enumerate(labels):
        of_class = [image.get(label) for image in images]
        for area in range(num_areas):
            precision, recalls[row, area] = precision_and_recall(of_class, area=area)
            precisions[row, area] = precision.mean(axis=1)
    return precisions, recalls


def mean_of_defined(values: np.ndarray | Sequence[float], axis: int | None = None) -> np.ndarray:
    """The mean of the values that are defined (not nan); nan where none is.

    Examples:
        >>> float(mean_of_defined([0.5, float("nan"), 1.0]))
        0.75
    """
    values = np.asarray(values, np.float64)
    defined = ~np.isnan(values)
    number = defined.sum(axis=axis)
    return np.where(defined, values, 0).sum(axis=axis) / np.where(number > 0, number, np.nan)
