"""S, F1 and PQ: how many cells are found, without any ranking of the predictions."""

import numpy as np
import scipy  # its parts are imported on first use: predicting does without optimize

from .overlaps import MaskPairs

SCORE_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


def match_most(pairs: MaskPairs, *, threshold: float) -> np.ndarray:
    """The one-to-one matching with the most pairs of IoU >= ``threshold``, then the highest sum of IoU.

    Returns int64 (M,) indices into ``pairs``. Where the masks of neither side overlap each other, a
    threshold above 0.5 leaves a single choice; overlapping masks compete, and the Hungarian assignment
    settles it. Crowd regions take no part.
    """
    index = np.flatnonzero((pairs.iou >= threshold) & ~pairs.crowd[pairs.gt])
    return _assign(pairs, index, most=True)


def match_closest(pairs: MaskPairs) -> np.ndarray:
    """The one-to-one matching with the highest sum of IoU, as ``match_most`` but with no threshold.

    Examples:
        >>> ones = np.ones(1, bool)
        >>> pairs = MaskPairs(np.array([0, 1]), np.array([0, 0]), np.array([0.2, 0.3]), 2, 1, ~ones)
        >>> match_closest(pairs).tolist()
        [1]
    """
    return _assign(pairs, np.flatnonzero(~pairs.crowd[pairs.gt]), most=False)


def _assign(pairs: MaskPairs, index: np.ndarray, *, most: bool) -> np.ndarray:
    """Of the pairs ``index``, those of the best one-to-one matching; ``most``: of those with the most pairs.

    Groups of masks that touch no other group are settled one by one.
    """
    pred, gt = pairs.pred[index], pairs.gt[index]
    alone = (np.bincount(pred, minlength=1)[pred] == 1) & (np.bincount(gt, minlength=1)[gt] == 1)
    chosen, rest = [index[alone]], index[~alone]
    if len(rest) == 0:
        return index
    total = pairs.num_pred + pairs.num_gt
    edges = (np.ones(len(rest)), (pairs.pred[rest], pairs.num_pred + pairs.gt[rest]))
    graph = scipy.sparse.csr_array(edges, shape=(total, total))
    group = scipy.sparse.csgraph.connected_components(graph, directed=False)[1][pairs.pred[rest]]
    order = np.argsort(group, kind="stable")
    for those in np.split(rest[order], np.flatnonzero(np.diff(group[order])) + 1):
        _, row = np.unique(pairs.pred[those], return_inverse=True)
        _, column = np.unique(pairs.gt[those], return_inverse=True)
        shape = row.max() + 1, column.max() + 1
        number = np.full(shape, -1, np.int64)
        number[row, column] = those
        weight = np.zeros(shape)
        bonus = min(shape) if most else 0  # one more pair outweighs any sum of IoU
        weight[row, column] = bonus + pairs.iou[those]
        best = number[scipy.optimize.linear_sum_assignment(weight, maximize=True)]
        chosen.append(best[best >= 0])
    return np.sort(np.concatenate(chosen))


def count_matches(pairs: MaskPairs, *, thresholds: tuple[float, ...] = SCORE_THRESHOLDS) -> np.ndarray:
    """True positives, false positives, false negatives and the sum of IoU of the matches: float64 (T, 4).

    ``pairs``: every pair with IoU >= min(thresholds). Crowd regions are not to be found, and a prediction
    left over that lies in one (share of its area >= threshold) is not counted.

    Examples:
        >>> from cellmm.evaluation.functional import overlapping_pairs
        >>> from cellmm.structures import rle
        >>> truth = rle.encode(np.array([[[1, 1, 1, 0, 0]], [[0, 0, 0, 1, 1]]]))
        >>> count_matches(overlapping_pairs(truth[:1], truth), thresholds=(0.5, 0.9)).tolist()
        [[1.0, 0.0, 1.0, 1.0], [1.0, 0.0, 1.0, 1.0]]
    """
    counts = np.zeros((len(thresholds), 4))
    for row, threshold in enumerate(thresholds):
        index = match_most(pairs, threshold=threshold)
        free = np.ones(pairs.num_pred, bool)
        free[pairs.pred[index]] = False
        in_crowd = pairs.pred[pairs.crowd[pairs.gt] & (pairs.iou >= threshold)]
        free[in_crowd] = False
        missed = np.count_nonzero(~pairs.crowd) - len(index)
        counts[row] = len(index), np.count_nonzero(free), missed, pairs.iou[index].sum()
    return counts


def segmentation_scores(counts: np.ndarray) -> dict[str, np.ndarray]:
    """S = TP/(TP+FP+FN), F1 = 2TP/(2TP+FP+FN) and PQ = sum of IoU/(TP+FP/2+FN/2) of counts (..., 4).

    Each of shape (...), in [0, 1]; nan for no cells and no predictions. Sources: S is the
    score of the Data Science Bowl 2018 and of StarDist (there "accuracy"); PQ is Kirillov et al., CVPR 2019.

    Examples:
        >>> scores = segmentation_scores([8, 1, 1, 6.4])  # 8 found, 1 false, 1 missed, sum of their IoU
        >>> {key: round(float(value), 3) for key, value in scores.items()}
        {'S': 0.8, 'F1': 0.889, 'PQ': 0.711}
    """
    true, false, missed, iou = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    total = true + false + missed
    safe = np.where(total > 0, total, np.nan)
    return {
        "S": true / safe,
        "F1": 2 * true / (safe + true),
        "PQ": 2 * iou / (safe + true),
    }
