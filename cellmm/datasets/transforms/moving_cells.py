"""What every transform that moves pixels does with the cells."""

import cv2
import numpy as np

from cellmm.errors import CellMMError
from cellmm.structures import LabelLayers

# keys that belong to pixels of the image as it is, and who writes them
FIXED_TARGETS = dict(
    gt_points="ReferencePoints",
    gt_disks="DiskTargets",
    gt_semantic="SemanticTargets",
    gt_proximity="ProximityMap",
    gt_weight="PixelWeights",
    gt_center="AuxiliaryMaps",
    gt_boundary="AuxiliaryMaps",
    gt_distance="AuxiliaryMaps",
    gt_center_offsets="AuxiliaryMaps",
    sampling_density="SamplingDensity",
)
# keys that a step that moves pixels moves with them
MOVING_TARGETS = ("gt_layers", "gt_labels", "gt_ignore", "gt_areas", "gt_nuclei")
LOOK_UP_BYTES = 2 if cv2.__version__ >= "5" else 1  # what cv2.LUT looks up, several times as fast as NumPy


def smallest_type(num: int) -> type:
    """The smallest type for ids up to ``num`` that OpenCV warps exactly with nearest-neighbour sampling."""
    return np.uint8 if num < 2**8 else np.uint16 if num < 2**16 else np.float32


def pack_layers(cells: LabelLayers) -> list[np.ndarray]:
    """Layers as float32 images (H, W): the four bytes of each pixel hold four, two or one ids.

    Moving a pixel moves its ids, and a plain image moves several times as fast as an image of four channels.
    Only for operations that copy pixels, such as nearest-neighbour warps, flips and crops, with 0 outside.
    """
    dtype = smallest_type(len(cells))
    layers = [layer.astype(dtype) for layer in cells.layers]
    share = 4 // layers[0].itemsize
    layers += [np.zeros_like(layers[0])] * (-len(layers) % share)
    merged = [cv2.merge(layers[i : i + share]) for i in range(0, len(layers), share)]
    return [np.reshape(image, (*cells.shape, share)).view(np.float32)[..., 0] for image in merged]


def unpack_layers(images: list[np.ndarray], num: int) -> np.ndarray:
    """The inverse of ``pack_layers``: images -> ids (L, H, W), L rounded up to whole images."""
    images = [np.ascontiguousarray(image)[..., None].view(smallest_type(num)) for image in images]
    return np.array([layer for image in images for layer in cv2.split(image)])


def fixed_targets(results: dict) -> dict[str, str]:
    """Targets that do not move, also those that a plug-in writes: {key: the step that writes it}."""
    return {
        key: FIXED_TARGETS.get(key, "the step that writes it")
        for key in results
        if key in FIXED_TARGETS or (str(key).startswith("gt_") and key not in MOVING_TARGETS)
    }


def refuse_moved_targets(results: dict, step: str) -> None:
    """Raise CellMMError if ``results`` has targets that ``step``, which moves pixels, would leave behind."""
    for key, writer in fixed_targets(results).items():
        raise CellMMError(f"{step} comes after {writer}, whose {key} it does not move: put it before")


def moving_layers(results: dict) -> LabelLayers:
    """What a warp moves: the cells' layers, followed by those of ``gt_nuclei`` if they are loaded.

    A nucleus has the id of its cell, on another layer; ``replace_cells`` takes the two apart again.
    """
    cells = results["gt_layers"]
    if "gt_nuclei" not in results:
        return cells
    return LabelLayers(np.concatenate([cells.layers, results["gt_nuclei"].layers]), num=len(cells))


def learned_cells(results: dict) -> tuple[LabelLayers, LabelLayers | None, np.ndarray | None]:
    """Cells and nuclei (None: not loaded) without the crowd regions, and the pixels of these, bool (H, W).

    The pixels are None if the image has no crowd regions.
    """
    cells, nuclei = results["gt_layers"], results.get("gt_nuclei")
    crowd = results.get("gt_ignore")
    if crowd is None or not crowd.any():
        return cells, nuclei, None
    nuclei = None if nuclei is None else nuclei.select(~crowd)
    return cells.select(~crowd), nuclei, cells.select(crowd).covered()


def ignore_crowd(results: dict, crowd: np.ndarray | None) -> dict:
    """``results`` with the pixels of crowd regions, bool (H, W) or None, in ``ignore``."""
    if crowd is not None:
        results["ignore"] = crowd | results["ignore"] if "ignore" in results else crowd
    return results


def cell_pixels(cells: LabelLayers) -> tuple[np.ndarray, np.ndarray]:
    """Flat indices of the pixels of (H, W) that cells cover, layer after layer, and the id at each, (P,)."""
    flat = cells.layers.reshape(cells.num_layers, -1)
    pixels = [np.flatnonzero(layer > 0) for layer in flat]
    ids = [layer.take(where) for layer, where in zip(flat, pixels, strict=True)]
    return np.concatenate(pixels), np.concatenate(ids)


def pixel_means(pixels: np.ndarray, ids: np.ndarray, num: int, width: int) -> np.ndarray:
    """Mean (y, x) of what ``cell_pixels`` gives, float64 (num, 2); nan for cells without pixels.

    ``width``: of the image, px.
    """
    y, x = np.divmod(pixels.astype(np.int32), np.int32(width))
    counts, rows, columns = (np.bincount(ids, weights, num + 1)[1:] for weights in (None, y, x))
    with np.errstate(invalid="ignore"):
        return np.stack([rows, columns], axis=1) / counts[:, None]


def replace_cells(results: dict, layers: np.ndarray, min_area: int = 1) -> None:
    """Put the warped layers (L, H, W) of ``moving_layers``, with the old ids, into ``results``, renumbered.

    Cells of fewer than ``min_area`` pixels are dropped from ``gt_layers``, from ``gt_nuclei`` and from each
    key with one entry per cell. A single table look-up does the renumbering, so the cost does not depend on
    the number of cells.
    """
    num, num_layers = len(results["gt_layers"]), results["gt_layers"].num_layers
    layers = layers.astype(smallest_type(num), copy=False)
    if not np.issubdtype(layers.dtype, np.integer):
        layers = layers.astype(np.int32)
    whole = layers[:num_layers]
    areas = np.bincount(whole[whole > 0], minlength=num + 1)[1:]  # most pixels are background
    kept = np.flatnonzero(areas >= min_area)
    table = np.zeros(max(num + 1, 256 if layers.dtype == np.uint8 else 65536), dtype=np.int32)
    table[kept + 1] = np.arange(1, len(kept) + 1)
    if layers.dtype.itemsize <= LOOK_UP_BYTES:
        layers = cv2.LUT(layers.reshape(-1), table).reshape(layers.shape)
    else:
        layers = table.take(layers.astype(np.intp), mode="clip")
    results["gt_layers"] = LabelLayers(layers[:num_layers], num=len(kept))
    if "gt_nuclei" in results:
        results["gt_nuclei"] = LabelLayers(layers[num_layers:], num=len(kept))
    if len(kept) < num:
        for key in ("gt_labels", "gt_ignore", "gt_areas"):
            if key in results:
                results[key] = results[key][kept]
