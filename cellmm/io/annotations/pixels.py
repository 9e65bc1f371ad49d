"""The pixels of annotated cells."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cellmm.io.annotations.base import AnnotatedCell
from cellmm.io.memory import check_size
from cellmm.structures import MaskRuns, fill_rings
from cellmm.structures.rle import RLE


def to_rle(cell: AnnotatedCell, shape: tuple[int, int]) -> RLE:
    """The mask of a cell in an image of ``shape`` (H, W), as COCO RLE; what lies outside is cut off.

    A pixel belongs to an outline that its centre lies in, see ``fill_rings``; the ROIs and GeoJSON that
    cellmm writes give the same masks again. A cell too small to hold a centre, or outside, is empty.

    Raises:
        CellMMError: the image is too large for COCO RLE.

    Examples:
        >>> to_rle(AnnotatedCell(rings=[np.array([[1, 0], [3, 0], [3, 1], [1, 1]])]), (2, 3))
        {'size': [2, 3], 'counts': '21100'}
    """
    return cell_runs(cell, shape).to_rles()[0]


def cell_runs(cell: AnnotatedCell, shape: tuple[int, int]) -> MaskRuns:
    """The mask of a cell in an image of ``shape`` (H, W)."""
    if cell.pixels is None:
        return fill_rings(cell.rings, shape)
    (top, left), (height, width) = cell.corner, cell.pixels.shape
    rows, columns = (
        slice(max(0, -start), max(0, min(size, side - start)))
        for start, size, side in ((top, height, shape[0]), (left, width, shape[1]))
    )
    inside = cell.pixels[rows, columns]
    if inside.size == 0:
        inside = np.zeros((0, 0), dtype=bool)
    corner = (max(top, 0), max(left, 0)) if inside.size else (0, 0)
    return MaskRuns.from_crops([inside], [corner], shape)


def united(
    path: Path, cells: Sequence[AnnotatedCell], without: Sequence[AnnotatedCell] = ()
) -> AnnotatedCell:
    """One cell of all pixels of several, less those ``without``; its other fields are those of the first.

    Raises:
        CellMMError: the box around them takes too much memory; names the annotation file ``path``.
    """
    if len(cells) == 1 and not without:
        return cells[0]
    boxes = np.array([_box(cell) for cell in cells])
    (top, left), (bottom, right) = boxes[:, :2].min(0).tolist(), boxes[:, 2:].max(0).tolist()
    shape = (bottom - top, right - left)
    check_size(path, shape)
    pixels = np.zeros(shape, dtype=bool)
    for some, value in ((cells, True), (without, False)):
        for cell in some:
            mask, (row, column) = cell_runs(_moved(cell, -top, -left), shape).crop(0)
            part = pixels[row : row + mask.shape[0], column : column + mask.shape[1]]
            part[mask] = value
    return replace(cells[0], rings=(), pixels=pixels, corner=(top, left))


def united_groups(
    path: Path, cells: Sequence[AnnotatedCell], groups: Sequence[str | None]
) -> list[AnnotatedCell]:
    """Cells of one group and class as one cell, in the order of their first parts.

    Args:
        groups: of each cell; None: it is a cell of its own.
    """
    parts: dict[object, list[AnnotatedCell]] = {}
    for number, (cell, group) in enumerate(zip(cells, groups, strict=True)):
        parts.setdefault(number if group is None else (group, cell.label), []).append(cell)
    return [united(path, some) for some in parts.values()]


def _box(cell: AnnotatedCell) -> tuple[int, int, int, int]:
    """(top, left, bottom, right), whole numbers."""
    if cell.pixels is not None:
        (top, left), (height, width) = cell.corner, cell.pixels.shape
        return top, left, top + height, left + width
    points = np.concatenate(cell.rings)
    (x0, y0), (x1, y1) = points.min(0).tolist(), points.max(0).tolist()
    return math.floor(y0), math.floor(x0), math.ceil(y1), math.ceil(x1)


def _moved(cell: AnnotatedCell, down: int, right: int) -> AnnotatedCell:
    rings = [ring + (right, down) for ring in cell.rings]
    return replace(cell, rings=rings, corner=(cell.corner[0] + down, cell.corner[1] + right))
