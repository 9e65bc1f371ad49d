"""AJI and AJI+: the pixels of cells and predictions that agree, over all of them in an image."""

import numpy as np

from .overlaps import MaskPairs
from .segmentation_scores import match_closest

IN_CROWD = 0.5  # the least share of a left over prediction inside a crowd region, which is then not counted


def aggregated_jaccard(pairs: MaskPairs, *, pred_areas: np.ndarray, gt_areas: np.ndarray) -> np.ndarray:
    """The two sums of the aggregated Jaccard index, float64 (2,): AJI is the first over the second.

    Each cell takes the prediction of highest IoU (the first of equals), which another cell may have taken
    already. Their intersection is added to the first sum and their union to the second; the second also gets
    the area of each cell that no prediction touches and of each prediction that no cell takes. Areas are
    those of whole masks: where two cells overlap, a pixel counts once per cell. The paper has label images,
    in which this is the same. Source: AJI (algorithm 1).

    ``pairs``: all that share a pixel; ``pred_areas``, ``gt_areas``: pixels of the masks. Crowd regions are
    not to be found, and a left over prediction with at least half of its area in one is not counted.

    Examples:
        >>> from cellmm.evaluation.functional import overlapping_pairs
        >>> from cellmm.structures import rle
        >>> truth = rle.encode(np.array([[[1, 1, 1, 0, 0]], [[0, 0, 0, 1, 1]]]))
        >>> found = rle.encode(np.array([[[1, 1, 0, 0, 0]]]))
        >>> pairs = overlapping_pairs(found, truth, min_iou=1e-12)
        >>> sums = aggregated_jaccard(pairs, pred_areas=rle.area(found), gt_areas=rle.area(truth))
        >>> sums.tolist()  # 2 of 3 pixels, and 2 pixels of a cell that is missed
        [2.0, 5.0]
    """
    index = np.flatnonzero(~pairs.crowd[pairs.gt])
    order = index[np.lexsort((pairs.pred[index], -pairs.iou[index], pairs.gt[index]))]
    _, first = np.unique(pairs.gt[order], return_index=True)
    return _sums(pairs, order[first], pred_areas, gt_areas)


def aggregated_jaccard_plus(pairs: MaskPairs, *, pred_areas: np.ndarray, gt_areas: np.ndarray) -> np.ndarray:
    """The same sums for AJI+: each prediction goes to one cell, so that the sum of IoU is highest.

    Source: HoVer-Net (AJI+ is defined in its code).
    """
    return _sums(pairs, match_closest(pairs), pred_areas, gt_areas)


def _sums(pairs: MaskPairs, chosen: np.ndarray, pred_areas: np.ndarray, gt_areas: np.ndarray) -> np.ndarray:
    """``chosen``: indices of pairs; each cell at most once."""
    pred, gt, iou = pairs.pred[chosen], pairs.gt[chosen], pairs.iou[chosen]
    both = (pred_areas[pred] + gt_areas[gt]).astype(np.float64)
    shared = np.rint(iou / (1 + iou) * both).sum()
    left = np.ones(pairs.num_pred, bool)
    left[pairs.pred[pairs.crowd[pairs.gt] & (pairs.iou >= IN_CROWD)]] = False
    left[pred] = False
    missed = ~pairs.crowd
    missed[gt] = False
    return np.array([shared, both.sum() - shared + pred_areas[left].sum() + gt_areas[missed].sum()])
