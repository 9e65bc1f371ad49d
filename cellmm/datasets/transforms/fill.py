"""Pixels that show nothing: missing tiles of a stitched image, a padded or turned border."""

import cv2
import numpy as np

SOLID = 32  # px: a fill holds a square of this side, and its outline is made of straight lines this long
STRAIGHT = 0.8  # this share of the outline at least
BEND = 2.0  # px that a line may bend to still be straight
MOST = 16  # values that are looked at


def find_fill(image: np.ndarray) -> np.ndarray | None:
    """The pixels of ``image`` (H, W, C) that are fill, bool (H, W); None if it has none.

    Fill is a connected region with a single value in each channel. It holds a square of 32 px, and its
    outline inside the image is made of straight lines of 32 px or more. The outline of a background that is
    clipped to one value follows the cells, and the outline of saturated pixels follows the light, so neither
    is fill. If all other pixels would be constant, the image has no fill.
    """
    fill = np.zeros(image.shape[:2], np.uint8)
    for value in _solid_values(image):
        same = (image == value).all(-1).astype(np.uint8)
        solid = cv2.erode(same, np.ones((SOLID, SOLID), np.uint8), borderValue=0)
        count, regions, boxes, _ = cv2.connectedComponentsWithStats(same, connectivity=4)
        is_solid = np.zeros(count, bool)
        is_solid[regions[solid > 0]] = True
        for number in np.flatnonzero(is_solid):
            left, top, width, height, _ = boxes[number]
            part = np.s_[top : top + height, left : left + width]
            region = (regions[part] == number).astype(np.uint8)
            if _is_straight(region, (left, top), image.shape[1::-1]):
                fill[part] |= region
    if not fill.any() or fill.all():
        return None
    rest = image[fill == 0]
    return None if (rest == rest[0]).all() else fill.astype(bool)


def _solid_values(image: np.ndarray) -> np.ndarray:
    """The values, (N, C), of constant squares of half the side, the most frequent first.

    Each whole square of fill holds such a square. In most images there is none, and three pixels of each show
    that.
    """
    half = SOLID // 2
    rows, cols = (side // half for side in image.shape[:2])
    blocks = image[: rows * half, : cols * half].reshape(rows, half, cols, half, image.shape[2])
    first = blocks[:, 0, :, 0]
    likely = (first == blocks[:, half // 2, :, half // 2]) & (first == blocks[:, -1, :, -1])
    solid = [
        first[row, col]
        for row, col in np.argwhere(likely.all(-1))
        if (blocks[row, :, col] == first[row, col]).all()
    ]
    if not solid:
        return np.zeros((0, image.shape[2]), image.dtype)
    values, counts = np.unique(solid, axis=0, return_counts=True)
    return values[np.argsort(-counts, kind="stable")[:MOST]]


def _is_straight(region: np.ndarray, first: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether the outline of a region is straight where it is not the border of the image.

    Args:
        region: uint8 (h, w), a part of the image.
        first: (x, y) of its first pixel in the image.
        size: (width, height) of the image.
    """
    straight = total = 0.0
    outlines, _ = cv2.findContours(region, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    for outline in outlines:
        points = cv2.approxPolyDP(outline, BEND, closed=True)[:, 0] + np.array(first)
        others = np.roll(points, -1, axis=0)
        lengths = np.hypot(*(others - points).T)
        end = np.array(size) - 1
        inside = ~(((points <= 0) & (others <= 0)) | ((points >= end) & (others >= end))).any(1)
        total += lengths[inside].sum()
        straight += lengths[inside & (lengths >= SOLID - 1)].sum()
    return total > 0 and straight >= STRAIGHT * total
