"""Overlaps of predicted masks and cells, kept sparse."""

from dataclasses import dataclass

import numpy as np
from pycocotools import mask as mask_utils

_PAIRS_AT_ONCE = 4_000_000  # dense IoUs held at a time: 32 MB


@dataclass
class MaskPairs:
    """The P pairs of a predicted mask and a cell that overlap enough, by ``pred`` and then by ``gt``.

    ``pred``, ``gt``: int64 (P,) indices; ``iou``: float64 (P,); ``num_pred``, ``num_gt``: the two numbers of
    masks; ``crowd``: bool (num_gt,), True for a region of cells that were not annotated one by one.
    """

    pred: np.ndarray
    gt: np.ndarray
    iou: np.ndarray
    num_pred: int
    num_gt: int
    crowd: np.ndarray

    def select_pred(self, keep: np.ndarray) -> "MaskPairs":
        """The pairs of the predictions where ``keep``, bool (num_pred,), is True; they are renumbered."""
        number = np.cumsum(keep) - 1
        chosen = keep[self.pred]
        return MaskPairs(
            pred=number[self.pred[chosen]],
            gt=self.gt[chosen],
            iou=self.iou[chosen],
            num_pred=int(keep.sum()),
            num_gt=self.num_gt,
            crowd=self.crowd,
        )

    def where(self, keep: np.ndarray) -> "MaskPairs":
        """The pairs where ``keep``, bool (P,); nothing is renumbered."""
        return MaskPairs(
            self.pred[keep], self.gt[keep], self.iou[keep], self.num_pred, self.num_gt, self.crowd
        )


def overlapping_pairs(
    pred_masks: list[dict], gt_masks: list[dict], *, gt_crowd: np.ndarray | None = None, min_iou: float = 0.5
) -> MaskPairs:
    """All pairs with IoU >= ``min_iou`` > 0 of two lists of COCO RLE of one image.

    With a crowd region the IoU is |pred and region| / |pred|, as in COCO. Masks whose boxes are apart cost
    next to nothing (pycocotools compares the boxes first), and the dense table is made in strips, so the
    memory does not grow with num_pred x num_gt. ValueError where sizes differ (pycocotools answers -1).

    Examples:
        >>> from cellmm.structures import rle
        >>> truth = rle.encode(np.array([[[1, 1, 1, 0, 0]], [[0, 0, 0, 1, 1]]]))
        >>> found = rle.encode(np.array([[[1, 1, 0, 0, 0]]]))
        >>> pairs = overlapping_pairs(found, truth)
        >>> pairs.gt.tolist(), pairs.iou.round(3).tolist()
        ([0], [0.667])
    """
    crowd = np.zeros(len(gt_masks), bool) if gt_crowd is None else np.asarray(gt_crowd, bool)
    if len(crowd) != len(gt_masks):
        raise ValueError(f"gt_crowd has {len(crowd)} entries for {len(gt_masks)} masks")
    if min_iou <= 0:
        raise ValueError(f"min_iou is {min_iou}: it must be above 0")
    sizes = {tuple(rle["size"]) for rle in (*pred_masks, *gt_masks)}
    if len(sizes) > 1:
        raise ValueError(f"masks of one image have several sizes (h, w): {sorted(sizes)}")
    pred, gt, iou = [], [], []
    if pred_masks and gt_masks:
        flags = crowd.astype(np.uint8).tolist()
        step = max(1, _PAIRS_AT_ONCE // len(gt_masks))
        for start in range(0, len(pred_masks), step):
            table = mask_utils.iou(pred_masks[start : start + step], gt_masks, flags)
            row, column = np.nonzero(table >= min_iou)
            pred.append(row + start)
            gt.append(column)
            iou.append(table[row, column])
    return MaskPairs(
        pred=np.concatenate(pred) if pred else np.zeros(0, np.int64),
        gt=np.concatenate(gt) if gt else np.zeros(0, np.int64),
        iou=np.concatenate(iou) if iou else np.zeros(0),
        num_pred=len(pred_masks),
        num_gt=len(gt_masks),
        crowd=crowd,
    )
