"""Crop, flip, pad and resize an image with its cells, its nuclei and its ignored pixels.

Each function changes ``results`` in place and returns it. It composes ``to_original``, so that predictions
can be put back, and refuses targets that it would leave behind, for which messages need the name of the
``step`` that calls it. Cells without a pixel are dropped.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from cellmm.datasets.transforms.moving_cells import (
    moving_layers,
    refuse_moved_targets,
    replace_cells,
    smallest_type,
)
from cellmm.structures import LabelLayers


def crop(results: dict, y0: int, x0: int, y1: int, x1: int, *, step: str) -> dict:
    """Keep rows ``y0`` to ``y1`` and columns ``x0`` to ``x1``, px, ends excluded."""
    refuse_moved_targets(results, step)
    part = np.s_[y0:y1, x0:x1]
    results["img"] = results["img"][part]
    if "gt_layers" in results:
        replace_cells(results, moving_layers(results).layers[(slice(None), *part)])
    if "ignore" in results:
        results["ignore"] = results["ignore"][part]
    return _moved(results, np.array([[1, 0, x0], [0, 1, y0], [0, 0, 1]]))


def flip(results: dict, *, horizontal: bool, vertical: bool, step: str) -> dict:
    """Mirror left to right (``horizontal``), top to bottom (``vertical``), or both."""
    refuse_moved_targets(results, step)
    height, width = results["img"].shape[:2]
    part = np.s_[:: -1 if vertical else 1, :: -1 if horizontal else 1]
    for key in ("img", "ignore"):
        if key in results:
            results[key] = np.ascontiguousarray(results[key][part])
    for key in ("gt_layers", "gt_nuclei"):
        if key in results:
            layers = np.ascontiguousarray(results[key].layers[(slice(None), *part)])
            results[key] = LabelLayers(layers, num=len(results[key]))
    x, y = (-1, width - 1) if horizontal else (1, 0), (-1, height - 1) if vertical else (1, 0)
    return _moved(results, np.array([[x[0], 0, x[1]], [0, y[0], y[1]], [0, 0, 1]]))


def end_padding(shape: Sequence[int], size: Sequence[int], divisor: int) -> tuple[int, int]:
    """px to add below and to the right, so that ``shape`` reaches ``size`` and multiples of ``divisor``."""
    sides = [max(old, new) for old, new in zip(shape, size, strict=True)]
    bottom, right = (side + -side % divisor - old for side, old in zip(sides, shape, strict=True))
    return bottom, right


def pad(
    results: dict, rows: tuple[int, int], columns: tuple[int, int], *, step: str, ignored: bool = False, **how
) -> dict:
    """Add ``rows`` (above, below) and ``columns`` (left, right), px, without cells.

    ``how``: ``mode`` and values of ``np.pad`` for the image. ``ignored``: the added pixels are in ``ignore``.
    """
    refuse_moved_targets(results, step)
    shape = results["img"].shape[:2]
    results["img"] = np.pad(results["img"], (rows, columns, (0, 0)), **how)
    if ignored or "ignore" in results:
        ignore = results.get("ignore", np.zeros(shape, dtype=bool))
        results["ignore"] = np.pad(ignore, (rows, columns), constant_values=ignored)
    for key in ("gt_layers", "gt_nuclei"):
        if key in results:
            layers = np.pad(results[key].layers, ((0, 0), rows, columns))
            results[key] = LabelLayers(layers, num=len(results[key]))
    return _moved(results, np.array([[1, 0, -columns[0]], [0, 1, -rows[0]], [0, 0, 1]]))


def resize(results: dict, new: tuple[int, int], interpolation: int | None = None, *, step: str) -> dict:
    """Give the image the size ``new``, (h, w); of the cells the nearest pixel is taken.

    ``interpolation``: OpenCV's flag for the image. None: averages of areas where no side grows, else linear.
    """
    old = results["img"].shape[:2]
    if new == old:
        return results
    refuse_moved_targets(results, step)
    if interpolation is None:
        # averages of areas would shift the image along a side that grows
        shrinks = new[0] <= old[0] and new[1] <= old[1]
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    planes = [np.ascontiguousarray(results["img"][..., c]) for c in range(results["img"].shape[2])]
    planes = [cv2.resize(plane, new[::-1], interpolation=interpolation) for plane in planes]
    results["img"] = np.stack(planes, axis=-1)
    if "gt_layers" in results:
        cells = moving_layers(results)
        layers = [
            cv2.resize(layer, new[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
            for layer in cells.layers.astype(smallest_type(len(cells)))
        ]
        replace_cells(results, np.stack(layers))
    if "ignore" in results:
        ignore = results["ignore"].astype(np.uint8)
        ignore = cv2.resize(ignore, new[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        results["ignore"] = ignore.astype(bool)
    fy, fx = old[0] / new[0], old[1] / new[1]
    return _moved(results, np.array([[fx, 0, (fx - 1) / 2], [0, fy, (fy - 1) / 2], [0, 0, 1]]))


def rescale(results: dict, factor: float, *, step: str) -> dict:
    """Scale both sides by ``factor``, to whole pixels, at least one; see ``resize``."""
    new = tuple(max(1, round(side * factor)) for side in results["img"].shape[:2])
    return resize(results, new, step=step)


def _moved(results: dict, to_previous: np.ndarray) -> dict:
    """Note the new size; compose ``to_original`` with the way back of this step, (x, y, 1) to (x, y, 1)."""
    results["img_shape"] = results["img"].shape[:2]
    results["to_original"] = results.get("to_original", np.eye(3)) @ to_previous
    return results
