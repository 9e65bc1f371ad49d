"""Which class cells are taken for."""

import numpy as np

from .overlaps import overlapping_pairs
from .segmentation_scores import match_most


def confusion_matrix(
    masks: list[dict],
    labels: np.ndarray,
    gt_masks: list[dict],
    gt_labels: np.ndarray,
    *,
    num_classes: int,
    gt_crowd: np.ndarray | None = None,
    threshold: float = 0.5,
) -> np.ndarray:
    """Cells by their class (rows) and by the class of the prediction that lies on them, int64 (K + 1, K + 1).

    Predictions and cells are matched one to one whatever their classes, as ``match_most`` does. The last row
    is the background: predictions on no cell; the last column: cells without a prediction. Crowd regions are
    not to be found, and a prediction that lies in one and on no cell is not counted.

    Args:
        masks, gt_masks: COCO RLE of one image.
        labels, gt_labels: int64 from 0.
        gt_crowd: bool, one per cell.
        threshold: the IoU from which on a prediction lies on a cell.

    Examples:
        >>> from cellmm.structures import rle
        >>> cells = rle.encode(np.eye(3, dtype=bool)[:, None])
        >>> confusion_matrix(
        ...     cells[:2], np.array([0, 1]), cells[1:], np.array([0, 0]), num_classes=2
        ... ).tolist()
        [[0, 1, 1], [0, 0, 0], [1, 0, 0]]
    """
    pairs = overlapping_pairs(masks, gt_masks, gt_crowd=gt_crowd, min_iou=threshold)
    index = match_most(pairs, threshold=threshold)
    table = np.zeros((num_classes + 1, num_classes + 1), np.int64)
    np.add.at(table, (gt_labels[pairs.gt[index]], labels[pairs.pred[index]]), 1)
    missed = ~pairs.crowd
    missed[pairs.gt[index]] = False
    free = np.ones(pairs.num_pred, bool)
    free[pairs.pred[index]] = False
    free[pairs.pred[pairs.crowd[pairs.gt]]] = False
    table[:, -1] += np.bincount(gt_labels[missed], minlength=num_classes + 1)
    table[-1] += np.bincount(labels[free], minlength=num_classes + 1)
    return table
