"""The pixels inside an outline."""

from collections.abc import Sequence

import numpy as np

from cellmm.errors import CellMMError
from cellmm.structures.mask_runs import MaskRuns

MOST_CROSSINGS = 2**27  # of columns, 40 bytes each


def fill_rings(rings: Sequence[np.ndarray], shape: Sequence[int]) -> MaskRuns:
    """One mask: the pixels of an image of ``shape`` (H, W) whose centre lies within an odd number of rings.

    Pixel (y, x) is the square from (x, y) to (x + 1, y + 1), its centre is (x + .5, y + .5). A centre that
    lies exactly on a ring counts as ImageJ's PolygonFiller counts it: inside on a right or an upper edge,
    outside on a left or a lower one; so that outlines which meet share no pixel. What ``mask_outlines`` gives
    is filled to the same mask. What lies outside of the image is cut off, and costs nothing.

    Args:
        rings: float (K, 2) each, (x, y), closed or not; finite, below 2^31.

    Raises:
        CellMMError: the outline runs to and fro over more than 2^27 columns of pixels.

    Examples:
        >>> square = np.array([[0.4, 0.4], [2.6, 0.4], [2.6, 1.6], [0.4, 1.6]])
        >>> mask, corner = fill_rings([square], (4, 4)).crop(0)
        >>> mask.shape, corner
        ((2, 3), (0, 0))
    """
    height, width = int(shape[0]), int(shape[1])
    begin = np.concatenate([np.zeros((0, 2)), *rings]).astype(np.float64)
    end = np.concatenate([np.zeros((0, 2)), *(np.roll(ring, -1, axis=0) for ring in rings)])
    backwards = begin[:, 0] > end[:, 0]
    (x0, y0), (x1, y1) = (
        np.where(backwards[:, None], first, second).T for first, second in ((end, begin), (begin, end))
    )
    # A column is crossed where x0 < column + .5 <= x1, as if its centre lay a trifle to the left.
    first, last = (np.clip(np.floor(x + 0.5), 0, width).astype(np.int64) for x in (x0, x1))
    num = last - first
    if num.sum() > MOST_CROSSINGS:
        raise CellMMError(
            f"an outline crosses {num.sum()} columns of pixels: simplify it, or save it as a mask"
        )
    edge = np.repeat(np.arange(len(num)), num)
    column = np.arange(num.sum()) - np.repeat(np.cumsum(num) - num, num) + first[edge]
    rise = y1 - y0
    y = y0[edge] + (column + 0.5 - x0[edge]) * rise[edge] / (x1 - x0)[edge]
    row = np.where(rise[edge] < 0, np.floor(y + 0.5), np.ceil(y - 0.5))
    row = np.clip(row, 0, height).astype(np.int64)
    order = np.lexsort((row, column))
    column, row = column[order], row[order]
    x, start, stop = column[::2], row[::2], row[1::2]
    filled = stop > start
    x, start, stop = x[filled], start[filled], stop[filled]
    begins = np.ones(len(x), dtype=bool)  # two runs that touch are one
    begins[1:] = (x[1:] != x[:-1]) | (start[1:] != stop[:-1])
    length = stop[np.append(begins[1:], True)[: len(x)]] - start[begins]
    runs = (values.astype(np.int32) for values in (x[begins], start[begins], length))
    return MaskRuns((height, width), np.array([0, int(begins.sum())]), *runs)
