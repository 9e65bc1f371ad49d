"""Exact distances on the grid of pixels."""

import cv2
import numpy as np


def distances_to(found: np.ndarray) -> np.ndarray:
    """float32 (H, W): distance in px of each pixel to the nearest pixel of ``found``, bool (H, W).

    At least one pixel has to be found. OpenCV's last bits depend on where its arrays lie in memory, so the
    squares, which are whole numbers, are rounded: up to 800 px distances are exact, and the same in every
    process; larger ones may be wrong by a thousandth of a pixel.

    >>> distances_to(np.array([[True, False, False]])).tolist()
    [[0.0, 1.0, 2.0]]
    """
    distances = cv2.distanceTransform((~found).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.sqrt(np.rint(np.square(distances, dtype=np.float64)), dtype=np.float32, casting="same_kind")
