"""Contours of cells as maps: boundaries on both sides, cuts between cells, and U-Net's weights."""

import math

import cv2
import numpy as np

from cellmm.errors import CellMMError
from cellmm.structures.distances import distances_to
from cellmm.structures.label_layers import LabelLayers
from cellmm.structures.semantic_maps import disk, near_contour, sortable_layers

NEGLIGIBLE = 1e-3  # weight below which pixels are not looked at


def cell_boundaries(cells: LabelLayers, *, width: int = 2) -> np.ndarray:
    """bool (H, W): the pixels within ``width`` / 2 px of a contour, on either side of it.

    A contour runs between two pixels of a layer that belong to different cells, or to a cell and to none. A
    boundary of 2 px is one pixel on either side. Crossing cells have boundaries inside each other, and the
    edge of the image is no contour, as for ``cell_borders``. Source: nuclei-notes.

    Raises CellMMError where ``width`` is not an even number of pixels from 2.

    Examples:
        >>> cells = LabelLayers(np.array([[0, 0, 0, 1, 1, 1, 2, 2, 2, 2]]))
        >>> cell_boundaries(cells, width=2).astype(int).tolist()
        [[0, 0, 1, 1, 0, 1, 1, 0, 0, 0]]
    """
    radius = half_width(width)
    boundary = np.zeros(cells.shape, bool)
    for layer in sortable_layers(cells):
        boundary |= near_contour(layer, radius)
    return boundary


def half_width(width: int) -> int:
    """Half of ``width``; raises CellMMError where it is not an even number of pixels from 2."""
    if width < 2 or width % 2:
        raise CellMMError(f"the width of a boundary is {width}: an even number of pixels from 2 is needed")
    return int(width) // 2


def boundary_bell(cells: LabelLayers, *, width: int = 8, sigma: float = 2.0) -> np.ndarray:
    """float32 (H, W): a Gaussian bell of the distance to the contour, 1 at the pixels that adjoin it.

    The sum of the boundaries of 2, 4, ... ``width`` px with factors such that a pixel at the k-th place from
    a contour, whose middle is k - 1/2 px away from it, has exp(-((k - 1/2)^2 - 1/4) / (2 sigma^2)); 0 beyond
    the widest one. Source: nuclei-notes, which name the widths up to 8 px and no sigma.

    Raises CellMMError where ``width`` is not an even number from 2 or ``sigma`` is not above 0.

    Examples:
        >>> cells = LabelLayers(np.array([[0, 0, 0, 0, 1, 1, 1, 1]]))
        >>> [round(float(value), 3) for value in boundary_bell(cells, width=4, sigma=1.0)[0]]
        [0.0, 0.0, 0.368, 1.0, 1.0, 0.368, 0.0, 0.0]
    """
    if not sigma > 0:
        raise CellMMError(f"the sigma of the boundary is {sigma}: a number of pixels above 0 is needed")
    bell = np.zeros(cells.shape, np.float32)
    for k in range(half_width(width), 0, -1):
        bell[cell_boundaries(cells, width=2 * k)] = math.exp(-((k - 0.5) ** 2 - 0.25) / (2 * sigma**2))
    return bell


def cell_cuts(cells: LabelLayers, *, width: int = 2) -> np.ndarray:
    """bool (H, W): the pixels that have two cells or more at most ``width`` / 2 px away, themselves included.

    Where cells touch, that is the boundary between them, ``width`` px wide; a gap as narrow as this is cut
    as well, and pixels of several cells are. Source: nuclei-notes.

    Raises CellMMError where ``width`` is not an even number of pixels from 2.

    Examples:
        >>> cells = LabelLayers(np.array([[0, 1, 1, 1, 2, 2, 2, 0]]))
        >>> cell_cuts(cells, width=2).astype(int).tolist()
        [[0, 0, 0, 1, 1, 0, 0, 0]]
    """
    around = disk(half_width(width))
    highest, lowest = np.zeros(cells.shape, np.float32), np.full(cells.shape, np.inf, np.float32)
    for layer in cells.layers.astype(np.float32):
        highest = np.maximum(highest, cv2.dilate(layer, around))
        lowest = np.minimum(lowest, cv2.erode(np.where(layer > 0, layer, np.inf), around))
    return (highest > 0) & (lowest < highest)


def separation_weight(cells: LabelLayers, *, w0: float = 10.0, sigma: float = 5.0) -> np.ndarray:
    """float32 (H, W): w0 exp(-(d1 + d2)^2 / (2 sigma^2)), d1 and d2 the distances to the two nearest cells.

    High in narrow gaps, and on both sides where cells touch: a pixel is 0 px away from its own cell. Weights
    below 0.001 are 0, so each cell is looked at with its surroundings only: the cost grows with the cells'
    boxes, not with cells times pixels. Source: U-Net (section 2).

    Raises CellMMError where ``w0`` is below 0 or ``sigma`` is not above 0.

    Examples:
        >>> cells = LabelLayers(np.array([[1, 0, 2]]))
        >>> [round(float(value), 3) for value in separation_weight(cells, w0=1.0, sigma=2.0)[0]]
        [0.607, 0.607, 0.607]
    """
    if not w0 >= 0 or not sigma > 0:
        raise CellMMError(f"w0 is {w0} and sigma {sigma}: w0 from 0 and a sigma above 0 are needed")
    weight = np.zeros(cells.shape, np.float32)
    if w0 <= NEGLIGIBLE:
        return weight
    reach = math.ceil(sigma * math.sqrt(2 * math.log(w0 / NEGLIGIBLE)))
    first, second = (np.full(cells.shape, 2.0 * reach, np.float32) for _ in range(2))
    layer_of = _layers_of(cells)
    for index, (x0, y0, x1, y1) in enumerate(cells.bboxes().astype(int).tolist()):
        if x1 == x0:
            continue
        around = np.s_[max(y0 - reach, 0) : y1 + reach, max(x0 - reach, 0) : x1 + reach]
        distance = distances_to(cells.layers[layer_of[index]][around] == index + 1)
        near, next_to = first[around], second[around]
        np.minimum(next_to, np.maximum(near, distance), out=next_to)
        np.minimum(near, distance, out=near)
    np.multiply(w0, np.exp(-((first + second) ** 2) / (2 * sigma**2)), out=weight)
    weight[weight < NEGLIGIBLE] = 0
    return weight


def _layers_of(cells: LabelLayers) -> np.ndarray:
    """The layer of each cell, int (N,); 0 for a cell without pixels."""
    layer_of = np.zeros(len(cells) + 1, np.int64)
    for number, layer in enumerate(cells.layers):
        layer_of[layer[layer > 0]] = number
    return layer_of[1:]
