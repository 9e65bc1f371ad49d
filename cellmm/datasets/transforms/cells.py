"""What every transform that moves pixels does with the cells."""

import cv2
import numpy as np

from cellmm.errors import CellMMError
from cellmm.structures import LabelLayers

LOOK_UP_BYTES = 2 if cv2.__version__ >= "5" else 1  # what cv2.LUT looks up, several times as fast as NumPy


def smallest_type(num: int) -> type:
    """The smallest type for ids up to ``num`` that OpenCV warps exactly with nearest-neighbour sampling."""
    return np.uint8 if num < 2**8 else np.uint16 if num < 2**16 else np.float32


def pack_layers(cells: LabelLayers) -> list[np.ndarray]:
    """Layers as float32 images (H, W) whose four bytes a pixel hold four, two or one ids.

    Moving a pixel moves its ids, and one plain image moves several times as fast as one of four channels.
    Only for operations that copy pixels: nearest-neighbour warps, flips, crops, with 0 outside.
    """
    dtype = smallest_type(len(cells))
    layers = [layer.astype(dtype) for layer in cells.layers]
    share = 4 // layers[0].itemsize
    layers += [np.zeros_like(layers[0])] * (-len(layers) % share)
    merged = [cv2.merge(layers[i : i + share]) for i in range(0, len(layers), share)]
    return [np.reshape(image, (*cells.shape, share)).view(np.float32)[..., 0] for image in merged]


def unpack_layers(images: list[np.ndarray], num: int) -> np.ndarray:
    """The way back: float32 images (H, W) -> ids (L, H, W), L rounded up to whole images."""
    images = [np.ascontiguousarray(image)[..., None].view(smallest_type(num)) for image in images]
    return np.array([layer for image in images for layer in cv2.split(image)])


def refuse_moved_targets(results: dict, step: str) -> None:
    """Raise CellMMError where there is already what ``step``, which moves pixels, would leave behind."""
    writers = dict(gt_points="ReferencePoints", gt_disks="DiskTargets", sampling_density="SamplingDensity")
    for key, writer in writers.items():
        if key in results:
            raise CellMMError(f"{step} comes after {writer}, whose {key} it does not move: put it before")


def cell_pixels(cells: LabelLayers) -> tuple[np.ndarray, np.ndarray]:
    """Flat indices of the pixels of (H, W) that cells cover, layer after layer, and the id at each, (P,)."""
    flat = cells.layers.reshape(cells.num_layers, -1)
    pixels = [np.flatnonzero(layer > 0) for layer in flat]
    ids = [layer[where] for layer, where in zip(flat, pixels, strict=True)]
    return np.concatenate(pixels), np.concatenate(ids)


def replace_cells(results: dict, layers: np.ndarray, min_area: int = 1) -> None:
    """Put warped ``layers`` (L, H, W) of the old ids into ``results``, renumbered.

    Cells of fewer than ``min_area`` pixels are dropped from ``gt_layers`` and from each key with one entry a
    cell. One table look-up does the renumbering: the cost does not depend on the number of cells.
    """
    num = len(results["gt_layers"])
    layers = layers.astype(smallest_type(num), copy=False)
    if not np.issubdtype(layers.dtype, np.integer):
        layers = layers.astype(np.int32)
    areas = np.bincount(layers[layers > 0], minlength=num + 1)[1:]  # most pixels are background
    kept = np.flatnonzero(areas >= min_area)
    table = np.zeros(max(num + 1, 256 if layers.dtype == np.uint8 else 65536), dtype=np.int32)
    table[kept + 1] = np.arange(1, len(kept) + 1)
    if layers.dtype.itemsize <= LOOK_UP_BYTES:
        layers = cv2.LUT(layers.reshape(-1), table).reshape(layers.shape)
    else:
        layers = table.take(layers.astype(np.intp), mode="clip")
    results["gt_layers"] = LabelLayers(layers, num=len(kept))
    if len(kept) < num:
        for key in ("gt_labels", "gt_ignore", "gt_areas"):
            if key in results:
                results[key] = results[key][kept]
