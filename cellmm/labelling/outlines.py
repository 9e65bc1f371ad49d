"""Cells as outlines with few corners, which are easy to move by hand."""

from collections import Counter

import cv2
import numpy as np

from cellmm.structures import MaskRuns, outlines_of
from cellmm.structures.polygons import ring_area

HOLES = "holes (polygons have none: take --shapes masks)"
PARTS = "smaller parts of cells (polygons have one part: take --shapes masks)"


def polygons_of(masks: MaskRuns, index: int, tolerance: float, losses: Counter[str]) -> list[np.ndarray]:
    """The outer outline of each part of a cell, float64 (K, 2) of (x, y) in pixels, the largest part first.

    Args:
        tolerance: how far in pixels an outline may be from the edges of the pixels; 0: not at all.
        losses: counts the holes, which are filled.
    """
    parts = outlines_of(masks, index)
    losses[HOLES] += sum(len(part) - 1 for part in parts)
    rings = sorted((part[0] for part in parts), key=ring_area, reverse=True)
    return [simplified(ring, tolerance) for ring in rings]


def simplified(ring: np.ndarray, tolerance: float) -> np.ndarray:
    """An outline (K, 2) with the corners that it needs to stay within ``tolerance`` pixels (Douglas-Peucker).

    An outline that would lose its area keeps all its corners.
    """
    ring = np.asarray(ring, np.float64)
    if tolerance <= 0:
        return ring
    short = cv2.approxPolyDP(ring.astype(np.float32)[:, None], tolerance, True)[:, 0].astype(np.float64)
    return short if len(short) >= 3 and ring_area(short) > 0 else ring
