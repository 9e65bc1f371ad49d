"""How well the pixels of all cells together agree, whatever cell each belongs to."""

import numpy as np

from cellmm.structures.distances import distances_to

from .pixel_scores import pixel_counts, pixel_scores


def within_reach(truth: np.ndarray, reach: float | None) -> np.ndarray:
    """bool (H, W): pixels at most ``reach`` px (Euclid) from a pixel of ``truth``, bool (H, W), including
    those pixels; None: all pixels.

    Examples:
        >>> within_reach(np.array([[True, False, False, False]]), 2).tolist()
        [[True, True, True, False]]
    """
    if reach is None:
        return np.ones(truth.shape, bool)
    return distances_to(truth) <= reach if truth.any() else np.zeros(truth.shape, bool)


def foreground_counts(
    pred: np.ndarray, truth: np.ndarray, *, crowd: np.ndarray | None = None, reach: float | None = 3.0
) -> np.ndarray:
    """``pixel_counts`` of the predicted and the true foreground, bool (H, W), near the cells: int64 (4,).

    Pixels of ``crowd``, bool (H, W), do not count; ``reach``: see ``within_reach``.
    """
    counted = within_reach(truth, reach)
    return pixel_counts(pred, truth, counted if crowd is None else counted & ~crowd)


def foreground_scores(counts: np.ndarray) -> dict[str, np.ndarray]:
    """IoU and ratio of the predicted to the true area of counts (..., 4), each (...); nan where undefined.

    The IoU is TP / (TP + FP + FN); the ratio, (TP + FP) / (TP + FN), says whether masks are too wide.

    Examples:
        >>> {key: float(value) for key, value in foreground_scores([6, 3, 1, 0]).items()}
        {'IoU': 0.6, 'area_ratio': 1.2857142857142858}
    """
    true, false, missed, _ = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    area = true + missed
    return {
        "IoU": pixel_scores(counts)["IoU"],
        "area_ratio": (true + false) / np.where(area > 0, area, np.nan),
    }
