"""Scores of one binary map, pixel by pixel."""

import numpy as np


def pixel_counts(pred: np.ndarray, truth: np.ndarray, counted: np.ndarray | None = None) -> np.ndarray:
    """True positive, false positive, false negative and true negative pixels, int64 (4,).

    ``pred``, ``truth``, and ``counted`` (None: every pixel counts) are of one shape; nonzero is positive.

    Examples:
        >>> pixel_counts([1, 1, 0, 0], [1, 0, 1, 0]).tolist()
        [1, 1, 1, 1]
    """
    pred, truth = np.asarray(pred).astype(bool, copy=False), np.asarray(truth).astype(bool, copy=False)
    total = pred.size
    if counted is not None:
        counted = np.asarray(counted).astype(bool, copy=False)
        total = np.count_nonzero(counted)
        pred, truth = pred & counted, truth & counted
    found, real = np.count_nonzero(pred), np.count_nonzero(truth)
    true = np.count_nonzero(pred & truth)
    return np.array([true, found - true, real - true, total - found - real + true], np.int64)


def pixel_scores(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Acc, Prec, Rec, F1 and IoU of counts (..., 4) as of ``pixel_counts``, each (...) in [0, 1].

    Acc = (TP + TN) / all, Prec = TP / (TP + FP), Rec = TP / (TP + FN), F1 = 2 TP / (2 TP + FP + FN),
    IoU = TP / (TP + FP + FN); nan where the denominator is 0. sparseseunet tables 5.1 to 5.3.

    Examples:
        >>> {key: round(float(value), 2) for key, value in pixel_scores([3, 1, 1, 5]).items()}
        {'Acc': 0.8, 'Prec': 0.75, 'Rec': 0.75, 'F1': 0.75, 'IoU': 0.6}
    """
    true, false, missed, neither = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    return {
        "Acc": _share(true + neither, true + false + missed + neither),
        "Prec": _share(true, true + false),
        "Rec": _share(true, true + missed),
        "F1": _share(2 * true, 2 * true + false + missed),
        "IoU": _share(true, true + false + missed),
    }


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return part / np.where(whole > 0, whole, np.nan)
