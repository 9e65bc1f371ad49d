"""Maps of where the centres and the outlines of cells are: targets beside the masks."""

import numpy as np
from scipy import ndimage

from cellmm.structures.boundary_maps import cell_boundaries
from cellmm.structures.distances import distances_to
from cellmm.structures.label_layers import LabelLayers

TRUNCATE = 4.0  # sigmas after which a Gaussian ends, as in scipy


def centre_map(cells: LabelLayers, *, sigma: float = 5.0) -> np.ndarray:
    """Heat map of the cells' centres, float32 (H, W) in [0, 1]; 0 without cells.

    1 at the centre of mass of each cell, rounded down to whole pixels, and 0 elsewhere; a Gaussian of
    ``sigma`` px, the border mirrored; divided by its maximum. Where centres are near each other their
    Gaussians add up, so that lonely ones stay below 1. Source: maskrcnn-report.

    >>> cells = LabelLayers(np.array([[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]]))
    >>> np.rint(100 * centre_map(cells, sigma=1.0)[1]).astype(int).tolist()
    [15, 61, 100, 61, 15]
    """
    heat = np.zeros(cells.shape, np.float32)
    centres = cell_centres(cells)
    rows, cols = centres[~np.isnan(centres[:, 0])].astype(np.int64).T
    heat[rows, cols] = 1
    heat = ndimage.gaussian_filter(heat, sigma, mode="reflect", truncate=TRUNCATE)
    top = heat.max()
    return heat / top if top > 0 else heat


def boundary_map(cells: LabelLayers) -> np.ndarray:
    """Pixels at the outline of any cell, bool (H, W): its dilation xor its erosion by a cross of 3 x 3.

    That is one pixel on either side of the outline, two in all. Outside of the image nothing belongs to a
    cell, so that the border of the image is an outline where it cuts a cell. Each layer is looked at by
    itself: crossing cells have outlines inside each other. A pixel is there where the ids on its cross
    differ, so that the cost grows with the layers, not with the cells. Source: maskrcnn-report.

    >>> cells = LabelLayers(np.pad(np.ones((3, 3), int), 2))
    >>> boundary_map(cells)[3].astype(int).tolist()
    [0, 1, 1, 0, 1, 1, 0]
    """
    padded = LabelLayers(np.pad(cells.layers, ((0, 0), (1, 1), (1, 1))))
    return cell_boundaries(padded, width=2)[1:-1, 1:-1]


def distance_map(cells: LabelLayers) -> np.ndarray:
    """How deep in its cell each pixel lies, float32 (H, W) in [0, 1]; 0 outside of cells.

    The distance to the nearest pixel that is not of the cell, divided by the largest in this cell; where
    cells overlap, the larger value. Outside of the image nothing is known and no distance ends. Source:
    ours, after the normalised distances of Schmidt et al., StarDist.

    >>> distance_map(LabelLayers(np.pad(np.ones((3, 3), int), 1)))[2].tolist()
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    found = np.zeros(cells.shape, np.float32)
    for number, (layer, box) in enumerate(_boxes(cells), start=1):
        if box is None:
            continue
        rows, cols = (slice(max(side.start - 1, 0), side.stop + 1) for side in box)
        inside = cells.layers[layer, rows, cols] == number
        if inside.all():  # the whole image
            found[rows, cols] = 1
            continue
        depth = distances_to(~inside)
        np.maximum(found[rows, cols], depth / depth.max(), out=found[rows, cols])
    return found


def offset_maps(cells: LabelLayers) -> np.ndarray:
    """(y, x) from each pixel to the centre of mass of its cell, px: float32 (2, H, W); 0 outside of cells.

    Where cells overlap, to the nearer centre. Source: ours, after the semi-convolutional operators of
    Novotny et al.

    >>> offset_maps(LabelLayers(np.array([[0, 1, 1, 1]])))[1].tolist()
    [[0.0, 1.0, 0.0, -1.0]]
    """
    height, width = cells.shape
    centres = np.vstack([np.zeros((1, 2)), cell_centres(cells)]).astype(np.float32)
    grid = np.stack(np.mgrid[:height, :width]).astype(np.float32)
    found, nearest = np.zeros((2, height, width), np.float32), np.full((height, width), np.inf, np.float32)
    for layer in cells.layers:
        offsets = centres.T[:, layer] - grid
        squares = np.where(layer > 0, (offsets**2).sum(0), np.inf)
        nearer = squares < nearest
        found[:, nearer], nearest[nearer] = offsets[:, nearer], squares[nearer]
    return found


def cell_centres(cells: LabelLayers) -> np.ndarray:
    """Centre of mass (y, x) of each cell, float64 (N, 2); nan for a cell without pixels."""
    sums = np.zeros((3, len(cells) + 1))
    for layer in cells.layers:
        rows, cols = np.nonzero(layer)
        ids = layer[rows, cols]
        for total, weights in zip(sums, (None, rows, cols), strict=True):
            total += np.bincount(ids, weights, len(cells) + 1)
    with np.errstate(invalid="ignore"):
        return (sums[1:] / sums[0]).T[1:]


def _boxes(cells: LabelLayers) -> list[tuple[int, tuple[slice, slice] | None]]:
    """The layer of each cell and its box there; None: it has no pixel."""
    found: list[tuple[int, tuple[slice, slice] | None]] = [(0, None)] * len(cells)
    for number, layer in enumerate(cells.layers):
        for cell, box in enumerate(ndimage.find_objects(layer, len(cells))):
            if box is not None:
                found[cell] = (number, box)
    return found
