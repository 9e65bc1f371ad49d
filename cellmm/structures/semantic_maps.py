"""Maps of an image's parts (cytoplasm, nuclei, border, background, overlap), made from its instances."""

from collections.abc import Sequence

import cv2
import numpy as np

from cellmm.errors import CellMMError
from cellmm.structures.label_layers import LabelLayers

SEMANTIC_NAMES = ("cytoplasm", "nuclei", "border", "background", "overlap")


def semantic_maps(
    cells: LabelLayers, nuclei: LabelLayers | None, names: Sequence[str], *, border_width: int = 2
) -> dict[str, np.ndarray]:
    """uint8 (H, W) of 0 and 1 for each of ``names``, in their order; for training and metrics alike.

    - cytoplasm: pixels of any cell, its nucleus included;
    - nuclei: pixels of any nucleus;
    - background: pixels of no cell;
    - overlap: pixels of two or more cells;
    - border: see ``cell_borders``.

    The cost grows with the number of layers, not of cells. sparseseunet 4.2.2, 4.3.

    Raises CellMMError on an unknown name, a border_width that is not a whole number from 1, and 'nuclei'
    without nuclei.

    Examples:
        >>> masks = np.zeros((2, 4, 6), bool)
        >>> masks[0, 1:3, :4] = masks[1, 1:3, 3:] = True
        >>> maps = semantic_maps(LabelLayers.from_masks(masks), None, ["cytoplasm", "overlap"])
        >>> maps["cytoplasm"][1].tolist(), maps["overlap"][1].tolist()
        ([1, 1, 1, 1, 1, 1], [0, 0, 0, 1, 0, 0])
    """
    if unknown := [name for name in names if name not in SEMANTIC_NAMES]:
        raise CellMMError(f"a semantic map named {unknown[0]!r} is unknown: choose from {SEMANTIC_NAMES}")
    if "nuclei" in names and nuclei is None:
        raise CellMMError(
            "the map 'nuclei' needs nuclei: put LoadNuclei after LoadCells in the pipeline "
            "(nuclei_dir of the dataset)"
        )
    if nuclei is not None and nuclei.shape != cells.shape:
        raise ValueError(f"nuclei of {nuclei.shape} pixels (h, w) do not fit cells of {cells.shape}")
    maps = {}
    if {"cytoplasm", "background", "overlap"} & set(names):
        count = cells.count()
        found = {"cytoplasm": count > 0, "background": count == 0, "overlap": count > 1}
        maps = {name: found[name] for name in names if name in found}
    if "nuclei" in names:
        maps["nuclei"] = nuclei.covered()
    if "border" in names:
        maps["border"] = cell_borders(cells, width=border_width)
    return {name: maps[name].view(np.uint8) for name in names}


def cell_borders(cells: LabelLayers, *, width: int = 2) -> np.ndarray:
    """bool (H, W): pixels of a cell at most ``width`` px (Euclid) from a pixel that is not of that cell.

    Each layer is looked at by itself, so that crossing cells have outlines inside each other. Outside of
    the image nothing is known: a cell has no border where the image's edge cuts it. On its layer, a pixel is
    border where the least and the highest id in the disk around it differ.
    """
    if width < 1 or int(width) != width:
        raise CellMMError(f"border_width is {width}: a whole number of pixels from 1 is needed")
    border = np.zeros(cells.shape, bool)
    for layer in sortable_layers(cells):
        border |= near_contour(layer, int(width)) & (layer > 0)
    return border


def sortable_layers(cells: LabelLayers) -> np.ndarray:
    """The layers (L, H, W) in a type that OpenCV's erosion takes: float32 holds ids up to 2^24, uint16 is
    twice as fast."""
    return cells.layers.astype(np.uint16 if len(cells) < 2**16 else np.float32)


def disk(radius: int) -> np.ndarray:
    """Pixels at most ``radius`` px (Euclid) from the middle, uint8 (2 radius + 1, 2 radius + 1)."""
    steps = np.arange(-radius, radius + 1)
    return (np.add.outer(steps**2, steps**2) <= radius**2).astype(np.uint8)


def near_contour(layer: np.ndarray, radius: int) -> np.ndarray:
    """Pixels of one layer (H, W) at most ``radius`` px (Euclid) from a pixel of another id or none: bool."""
    around = disk(radius)
    return cv2.erode(layer, around) != cv2.dilate(layer, around)
