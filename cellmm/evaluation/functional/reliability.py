"""How well scores say how probable it is that a prediction is right, and the map that makes them say so."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its parts are imported on first use: predicting does without optimize

from .average_precision import match_by_score
from .error_analysis import ClassInImage

RIGHT_AT = 0.5  # IoU from which a prediction is right
BINS = 10
GROUP = 20  # predictions that a knot stands for, so that a few images do not bend the map
DIGITS = 4  # of the numbers of a knot
TOP = 1 - 10.0**-DIGITS  # knots come before the last one, (1, 1)


@dataclass
class Judged:
    """P predictions: float64 ``scores`` (P,), bool ``right`` (P,), float64 ``iou`` (P,), 0 to 1.

    ``iou``: with the cell that it overlaps best, whether or not another prediction took it.
    """

    scores: np.ndarray
    right: np.ndarray
    iou: np.ndarray

    @classmethod
    def join(cls, parts: "Sequence[Judged]") -> "Judged":
        """All predictions of the parts, which may be none."""
        parts = [cls(np.zeros(0), np.zeros(0, bool), np.zeros(0)), *parts]
        names = ("scores", "right", "iou")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def judge(found: ClassInImage) -> Judged:
    """What is right of one class in one image, as AP50 counts it.

    Predictions in crowd regions are left out.
    """
    pairs = found.all_pairs
    taken = match_by_score(
        pairs.where(pairs.iou >= RIGHT_AT), gt_ignore=found.gt_crowd, thresholds=np.array([RIGHT_AT])
    )[0]
    counts = ~((taken >= 0) & found.gt_crowd[taken]) if len(found.gt_crowd) else np.ones(len(taken), bool)
    iou = np.zeros(pairs.num_pred)
    own = pairs.where(~pairs.crowd[pairs.gt])
    np.maximum.at(iou, own.pred, own.iou)
    return Judged(found.scores[counts], taken[counts] >= 0, iou[counts])


def reliability(judged: Judged, bins: int = BINS) -> dict[str, np.ndarray]:
    """Of ``bins`` equal parts of 0 to 1, the last with its end: ``count``, and the means ``score``, ``right``
    and ``iou``, float64 (bins,) each, nan where nothing is.

    Examples:
        >>> judged = Judged(np.array([0.1, 0.9, 1.0]), np.array([False, True, True]), np.array([0, 0.6, 0.8]))
        >>> table = reliability(judged, bins=2)
        >>> table["count"].tolist(), table["right"].tolist(), table["iou"].round(2).tolist()
        ([1, 2], [0.0, 1.0], [0.0, 0.7])
    """
    place = np.clip((judged.scores * bins).astype(int), 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    means = {}
    for name, values in dict(score=judged.scores, right=judged.right, iou=judged.iou).items():
        total = np.bincount(place, weights=values.astype(np.float64), minlength=bins)
        means[name] = np.divide(total, count, out=np.full(bins, np.nan), where=count > 0)
    return dict(count=count) | means


def expected_calibration_error(judged: Judged, bins: int = BINS) -> float:
    """Mean over all predictions of |mean score - share that is right| of their bin; nan without predictions.

    Source: Guo et al., 2017 (equation 3).
    """
    if not len(judged.scores):
        return np.nan
    table = reliability(judged, bins)
    used = table["count"] > 0
    gap = np.abs(table["score"] - table["right"])[used]
    return float(np.average(gap, weights=table["count"][used]))


def fit_knots(judged: Judged) -> list[tuple[float, float]]:
    """Knots (score, probability) from (0, 0) to (1, 1), both growing: isotonic regression of what is right.

    Predictions in the order of their scores are put into groups of about 20, equal scores into one, and their
    shares are made to grow by isotonic regression. What is then level is one knot, at its mean score. Of n
    predictions in a knot, k right, the probability is (k + 1) / (n + 2): never 0 or 1.

    Source: Zadrozny and Elkan, 2002; groups and knots are ours.
    """
    scores, which = np.unique(judged.scores, return_inverse=True)
    count = np.bincount(which, minlength=len(scores))
    right = np.bincount(which, weights=judged.right.astype(np.float64), minlength=len(scores))
    group = (np.cumsum(count) - count) // GROUP  # of the first of these predictions
    group = np.unique(group, return_inverse=True)[1]
    n, k, total = (np.bincount(group, weights=part) for part in (count, right, count * scores))
    knots = [(0.0, 0.0)]
    if len(n):
        level = scipy.optimize.isotonic_regression(k / n, weights=n).blocks
        for begin, end in zip(level[:-1], level[1:], strict=True):
            here = slice(begin, end)
            score = round(total[here].sum() / n[here].sum(), DIGITS)
            prob = round((k[here].sum() + 1) / (n[here].sum() + 2), DIGITS)
            if knots[-1][0] < score <= TOP and knots[-1][1] < prob <= TOP:
                knots.append((float(score), float(prob)))
    return [*knots, (1.0, 1.0)]


def best_threshold(judged: Judged, num_cells: int) -> tuple[float, float]:
    """The score from which predictions have to count for the highest F1, and that F1, 2 TP / (P + cells).

    The lowest score that counts; (1, 0) without predictions.

    Examples:
        >>> judged = Judged(np.array([0.9, 0.8, 0.3]), np.array([True, True, False]), np.ones(3))
        >>> best_threshold(judged, num_cells=2)
        (0.8, 1.0)
    """
    scores, which = np.unique(-judged.scores, return_inverse=True)
    if not len(scores):
        return 1.0, 0.0
    right = np.cumsum(np.bincount(which, weights=judged.right.astype(np.float64)))
    f1 = 2 * right / (np.cumsum(np.bincount(which)) + num_cells)
    best = int(np.argmax(f1))
    return float(-scores[best]), float(f1[best])
