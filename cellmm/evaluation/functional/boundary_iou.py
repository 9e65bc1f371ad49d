"""How well outlines agree: the IoU of the bands along the contours."""

from collections.abc import Sequence

import cv2
import numpy as np

from cellmm.structures import MaskRuns

PUBLISHED_SHARE = 0.02  # of the image's diagonal


def published_width(shape: Sequence[int]) -> int:
    """The width of the band in the paper: 2 % of the diagonal of an image of ``shape`` (h, w), in pixels.

    Examples:
        >>> published_width((512, 512))
        14
    """
    return max(1, round(PUBLISHED_SHARE * float(np.hypot(*shape))))


def boundary_iou(pred_masks: Sequence[dict], gt_masks: Sequence[dict], *, width: int) -> np.ndarray:
    """The IoU of the bands of pred_masks[i] and gt_masks[i], COCO RLEs of one image; float64 (P,).

    The band of a mask is its pixels within ``width`` pixels of a pixel outside it, in any of the eight
    directions; outside the image is outside the mask. Two masks without pixels have 0. Source: Boundary IoU
    (equation 2).

    Examples:
        >>> from cellmm.structures import rle
        >>> cell, hollow = np.ones((1, 5, 5), bool), np.ones((1, 5, 5), bool)
        >>> hollow[0, 2, 2] = 0  # a pixel that is no part of the band of the whole square
        >>> boundary_iou(rle.encode(hollow), rle.encode(cell), width=1).tolist()
        [0.6666666666666666]
    """
    if len(pred_masks) == 0:
        return np.zeros(0)
    shape = pred_masks[0]["size"]
    pred, gt = (_bands(MaskRuns.from_rles(masks, shape), width) for masks in (pred_masks, gt_masks))
    shared = np.zeros(len(pred))
    for i, (mine, theirs) in enumerate(zip(pred, gt, strict=True)):
        shared[i] = _shared(mine, theirs)
    union = np.array([a.sum() + b.sum() for (a, _), (b, _) in zip(pred, gt, strict=True)]) - shared
    return shared / np.maximum(union, 1)


def _bands(masks: MaskRuns, width: int) -> list[tuple[np.ndarray, tuple[int, int]]]:
    """Each mask without its inside, in its own box, bool (h, w), and the first pixel of the box."""
    kernel = np.ones((2 * width + 1,) * 2, np.uint8)
    bands = []
    for i in range(len(masks)):
        crop, origin = masks.crop(i)
        if crop.size:
            inside = cv2.erode(np.pad(crop, 1).view(np.uint8), kernel)[1:-1, 1:-1]
            crop = crop & ~inside.view(bool)
        bands.append((crop, origin))
    return bands


def _shared(mine: tuple[np.ndarray, tuple[int, int]], theirs: tuple[np.ndarray, tuple[int, int]]) -> int:
    """Pixels of both bands."""
    (a, (top_a, left_a)), (b, (top_b, left_b)) = mine, theirs
    top, left = max(top_a, top_b), max(left_a, left_b)
    bottom, right = (
        min(origin_a + a.shape[axis], origin_b + b.shape[axis])
        for axis, (origin_a, origin_b) in enumerate(((top_a, top_b), (left_a, left_b)))
    )
    if bottom <= top or right <= left:
        return 0
    return np.count_nonzero(
        a[top - top_a : bottom - top_a, left - left_a : right - left_a]
        & b[top - top_b : bottom - top_b, left - left_b : right - left_b]
    )
