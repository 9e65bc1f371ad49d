"""Masks as the polygons of COCO files, without the loss of a pixel."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from cellmm.structures.mask_runs import MaskRuns


def rle_to_polygons(rle: Mapping) -> list[list[float]]:
    """One polygon [x0, y0, x1, y1, ...] for each 4-connected part of the mask, along the edges of its pixels.

    Pixel (y, x) is the square from (x, y) to (x + 1, y + 1), so all corners are whole numbers. A hole is
    reached from the outline above it by a cut of no width, walked down and up again, and walked the other
    way round: the inside, by the even-odd rule of pycocotools and by winding number alike, is exactly the
    mask, and the shoelace formula gives its area. An empty mask has no polygon. Polygons drawn by annotators
    keep their pixels, not their corners.

    Examples:
        >>> from cellmm.structures import rle
        >>> rle_to_polygons(rle.encode_one(np.array([[0, 0, 0], [0, 1, 1]])))
        [[1.0, 1.0, 3.0, 1.0, 3.0, 2.0, 1.0, 2.0]]
    """
    mask, (top, left) = MaskRuns.from_rles([rle], rle["size"]).crop(0)
    x, y, following, starts, outer = _outlines(mask)
    x, y, following = _cut_to_holes(mask, x, y, following, starts[~outer])
    polygons = []
    for start in starts[outer].tolist():
        points = _walk(x, y, following, start)
        points = points[(points != np.roll(points, 1, axis=0)).any(1)] + (left, top)
        polygons.append(points.astype(float).ravel().tolist())
    return polygons


def mask_outlines(mask: np.ndarray) -> list[list[np.ndarray]]:
    """The outlines of each 4-connected part of a mask, bool (h, w), along the edges of its pixels.

    Pixel (y, x) is the square from (x, y) to (x + 1, y + 1). A part has its outer outline first, then one
    for each hole. An outline is int64 (K, 2), the (x, y) of its corners, not closed; the shoelace formula
    gives the area, negative for holes. No outline touches itself: where the outer one would, at the tips of
    two pixels, it encloses a hole that touches it, as the OGC's simple features demand.

    Examples:
        >>> ((outer, hole),) = mask_outlines(np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool))
        >>> outer.tolist(), hole.tolist()
        ([[0, 0], [3, 0], [3, 3], [0, 3]], [[1, 1], [1, 2], [2, 2], [2, 1]])
    """
    x, y, following, starts, _ = _outlines(mask)
    following, outer, holes = following.tolist(), [], []
    for start in starts.tolist():
        for ring in _simple_rings(_walk(x, y, following, start)):
            (outer if _is_outer(ring) else holes).append(ring)
    if len(outer) <= 1:
        return [[*outer, *holes]] if outer else []
    _, part_of = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    parts: dict[int, list[np.ndarray]] = {}
    for ring in outer:
        column, row = _first_corner(ring)
        parts[int(part_of[row, column])] = [ring]
    for ring in holes:
        column, row = _first_corner(ring)
        parts[int(part_of[row - 1, column])].append(ring)
    return list(parts.values())


def outlines_of(masks: MaskRuns, index: int) -> list[list[np.ndarray]]:
    """``mask_outlines`` of mask ``index`` in the pixels of the image; an empty mask has no part."""
    mask, (top, left) = masks.crop(index)
    return [[ring + (left, top) for ring in part] for part in mask_outlines(mask)]


def _outlines(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """All outlines, holes the other way round: x, y and the next corner of each corner, (K,).

    Also the first corner by rows of each outline, and whether it is the outer one of its part.
    """
    x, y, upright = _corners(mask)
    following = _loops(upright)
    starts, loop = _first_of_each_loop(following)
    if not len(starts):
        return x, y, following, starts, np.zeros(0, dtype=bool)
    outer = mask[np.minimum(y[starts], mask.shape[0] - 1), x[starts]] & (y[starts] < mask.shape[0])
    backwards = np.empty_like(following)
    backwards[following] = np.arange(len(following))
    return x, y, np.where(outer[loop], following, backwards), starts, outer


def _walk(x: np.ndarray, y: np.ndarray, following: Sequence[int], start: int) -> np.ndarray:
    """The corners of the outline from ``start`` on, (K, 2)."""
    path, node = [start], following[start]
    while node != start:
        path.append(node)
        node = following[node]
    return np.stack([x[path], y[path]], axis=1)


def _simple_rings(points: np.ndarray) -> list[np.ndarray]:
    """An outline cut where it passes a corner twice: the inner ones first, what is left last."""
    corners = list(map(tuple, points.tolist()))
    if len(set(corners)) == len(corners):
        return [points]
    rings, path, place = [], [], {}
    for corner in corners:
        if corner in place:
            begin = place[corner]
            rings.append(np.array(path[begin:]))
            for passed in path[begin:]:
                del place[passed]
            del path[begin:]
        place[corner] = len(path)
        path.append(corner)
    return [*rings, np.array(path)]


def _is_outer(ring: np.ndarray) -> bool:
    x, y = ring.T
    return bool(x[:-1] @ y[1:] - y[:-1] @ x[1:] + x[-1] * y[0] - y[-1] * x[0] > 0)


def _first_corner(ring: np.ndarray) -> tuple[int, int]:
    """The upper corner, of several the left one: (x, y)."""
    x, y = ring[np.lexsort((ring[:, 0], ring[:, 1]))[0]].tolist()
    return x, y


def _corners(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The corners of all outlines, x and y (K,) by rows, and their order by columns, (K,) indices.

    Outlines run along rows from corner 2k to corner 2k + 1, and along columns between the same pairs of the
    order by columns. Where two cell pixels touch only at their tips lie two corners, each with the two edges
    of one of these pixels, so that parts and outlines are 4-connected.
    """
    padded = np.pad(mask, 1)
    nw, ne, sw, se = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    tips = (nw == se) & (ne == sw) & (nw != ne)
    y, x = np.nonzero((nw ^ ne ^ sw ^ se) | tips)
    double = tips[y, x]
    x, y = np.repeat(x, 1 + double), np.repeat(y, 1 + double)
    # The first of two corners has the edge to the left, and the edge upwards if the upper left pixel is of
    # the cell; else it has the edge downwards and comes second in its column.
    second = np.concatenate([[False], (x[1:] == x[:-1]) & (y[1:] == y[:-1])]).astype(np.int64)
    swap = tips[y, x] & ~nw[y, x]
    return x, y, np.lexsort((np.where(swap, 1 - second, second), y, x))


def _loops(upright: np.ndarray) -> np.ndarray:
    """The corner after each one, walking all outlines: one edge along a row, the next along a column."""
    along_column = np.empty(len(upright), dtype=np.int64)
    along_column[upright[0::2]], along_column[upright[1::2]] = upright[1::2], upright[0::2]
    partner = along_column.tolist()
    following = [-1] * len(partner)
    for start in range(0, len(partner), 2):
        node = start
        while following[node] < 0:
            following[node] = node ^ 1
            node ^= 1
            following[node] = partner[node]
            node = partner[node]
    return np.array(following, dtype=np.int64)


def _first_of_each_loop(following: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first corner by rows of each outline, where its upper edge starts; the outline of each corner."""
    after, starts, loop = following.tolist(), [], [-1] * len(following)
    for start in range(0, len(after), 2):
        node = start
        while loop[node] < 0:
            loop[node] = len(starts)
            node = after[node]
        if loop[start] == len(starts):
            starts.append(start)
    return np.array(starts, dtype=np.int64), np.array(loop, dtype=np.int64)


def _cut_to_holes(
    mask: np.ndarray, x: np.ndarray, y: np.ndarray, following: np.ndarray, holes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Join the outline of each hole, given by its first corner, to the next edge straight above it.

    The column of pixels between the two is of the cell, so the edge is of the same part: of its outer
    outline or of a hole that starts higher up. Holes are walked to the left along their upper edge.
    """
    after = following.tolist()
    new_x, new_y = [], []
    key = y[0::2] * (mask.shape[1] + 1) + x[0::2]
    cuts: dict[int, list[tuple[int, int, int]]] = {}
    for hole in holes.tolist():
        column, row = int(x[hole]), int(y[hole])
        gaps = np.flatnonzero(~mask[:row, column])
        top = int(gaps[-1]) + 1 if len(gaps) else 0
        edge = 2 * (int(np.searchsorted(key, top * (mask.shape[1] + 1) + column, side="right")) - 1)
        cuts.setdefault(edge, []).append((column, top, hole))
    for edge, found in cuts.items():
        rightwards = after[edge] == edge ^ 1
        node, last = (edge, edge ^ 1) if rightwards else (edge ^ 1, edge)
        for column, top, hole in sorted(found, reverse=not rightwards):
            down, foot, up = len(after), len(after) + 1, len(after) + 2
            new_x += [column] * 3
            new_y += [top, int(y[hole]), top]
            after[node] = down
            after[hole ^ 1] = foot
            after += [hole, up, last]
            node = up
        after[node] = last
    return np.append(x, new_x).astype(np.int64), np.append(y, new_y).astype(np.int64), after


def ring_area(ring: np.ndarray) -> float:
    """The area that an outline (K, 2) encloses, by the shoelace formula."""
    x, y = np.asarray(ring, np.float64).T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
