"""What every transform that moves pixels does with the cells."""

import cv2
import numpy as np

from cellmm.structures import LabelLayers


def smallest_type(num: int) -> type:
    """The smallest type for ids up to ``num`` that OpenCV warps exactly with nearest-neighbour sampling."""
    return np.uint8 if num < 2**8 else np.uint16 if num < 2**16 else np.float32


def to_channels(cells: LabelLayers) -> np.ndarray:
    """Layers as one image (H, W, L) of the smallest type."""
    dtype = smallest_type(len(cells))
    if cells.num_layers == 1:
        return cells.layers[0].astype(dtype)[..., None]
    return cv2.merge([layer.astype(dtype) for layer in cells.layers])


def replace_cells(results: dict, layers: np.ndarray, min_area: int = 1) -> None:
    """Put warped ``layers`` (L, H, W) of the old ids into ``results``, renumbered.

    Cells of fewer than ``min_area`` pixels are dropped from ``gt_layers`` and from each key with one entry a
    cell. One table look-up does the renumbering: the cost does not depend on the number of cells.
    """
    num = len(results["gt_layers"])
    layers = layers.astype(smallest_type(num), copy=False)
    # several times as fast as bincount, which turns all pixels into int64 first
    areas = cv2.calcHist([layers.reshape(-1, 1)], [0], None, [num + 1], [0, num + 1]).ravel()[1:]
    kept = np.flatnonzero(areas >= min_area)
    table = np.zeros(num + 1, dtype=np.int32)
    table[kept + 1] = np.arange(1, len(kept) + 1)
    if not np.issubdtype(layers.dtype, np.integer):
        layers = layers.astype(np.int32)
    results["gt_layers"] = LabelLayers(table[layers], num=len(kept))
    if len(kept) < num:
        for key in ("gt_labels", "gt_ignore", "gt_areas"):
            if key in results:
                results[key] = results[key][kept]
