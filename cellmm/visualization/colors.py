"""Colours that tell cells apart."""

from collections import defaultdict
from itertools import chain

import cv2
import numpy as np

GOLDEN = 0.6180339887  # steps of the golden ratio spread any number of hues evenly
LIGHTNESS, CHROMA = 70, 75  # in CIELAB: equally bright colours, seen on dark and on light images
APART = 0.2  # of the circle of hues, between neighbours
NEAR = 4  # pixels between the boxes of neighbours
BLOCK = 128  # pixels; boxes are compared with those that reach into the same blocks of the image


def cell_colors(boxes: np.ndarray) -> np.ndarray:
    """A colour for each of N cells, RGB uint8 (N, 3), the same on every run.

    ``boxes``: (x0, y0, x1, y1) in pixels, (N, 4). Cells whose boxes touch or nearly touch, and so all that
    overlap, get hues far apart: a cell takes the first of its candidates that is, or the one that comes
    nearest to it.

    Examples:
        >>> cell_colors(np.array([[0, 0, 9, 9], [5, 0, 20, 9]])).shape
        (2, 3)
    """
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    hues = np.zeros(len(boxes))
    before: dict[tuple[int, int], list[int]] = defaultdict(list)  # the boxes of each block
    first = np.floor_divide(boxes[:, :2] - NEAR, BLOCK).astype(int).tolist()
    last = np.floor_divide(boxes[:, 2:], BLOCK).astype(int).tolist()
    for i, ((left, top), (right, bottom)) in enumerate(zip(first, last, strict=True)):
        blocks = [before[x, y] for x in range(left, right + 1) for y in range(top, bottom + 1)]
        some = np.unique([*chain.from_iterable(blocks)]).astype(int)
        near = some[_touching(boxes[i], boxes[some])]
        for block in blocks:
            block.append(i)
        candidates = (GOLDEN * (i + np.arange(24))) % 1
        between = np.abs(candidates[:, None] - hues[near])
        distance = np.minimum(between, 1 - between).min(1, initial=0.5)
        hues[i] = candidates[np.argmax(np.minimum(distance, APART))]
    angle = 2 * np.pi * hues
    lab = np.stack([np.full_like(angle, LIGHTNESS), CHROMA * np.cos(angle), CHROMA * np.sin(angle)], axis=-1)
    if len(lab) == 0:
        return np.zeros((0, 3), np.uint8)
    rgb = cv2.cvtColor(lab[None].astype(np.float32), cv2.COLOR_Lab2RGB)[0]
    return (255 * np.clip(rgb, 0, 1)).round().astype(np.uint8)


def class_colors(number: int) -> np.ndarray:
    """A colour for each of ``number`` classes, RGB uint8 (number, 3), the same everywhere."""
    return cell_colors(np.zeros((number, 4)))


def instance_colors(boxes: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """The colours of N cells, RGB uint8 (N, 3): of their class where there are several, else ``cell_colors``.

    ``boxes``: (x0, y0, x1, y1) in pixels, (N, 4); ``labels``: from 0, (N,).
    """
    if num_classes < 2:
        return cell_colors(boxes)
    return class_colors(num_classes)[np.asarray(labels, np.int64).reshape(-1)]


def _touching(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """bool (N,): which boxes lie within NEAR pixels of ``box``."""
    x0, y0, x1, y1 = box
    near = (others[:, 0] <= x1 + NEAR) & (others[:, 2] >= x0 - NEAR)
    return near & (others[:, 1] <= y1 + NEAR) & (others[:, 3] >= y0 - NEAR)
