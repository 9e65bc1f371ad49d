"""Cells pasted into an image, of which every mask is kept. Source: sparseseunet 4.4.1, after Ghiasi 2021."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from cellmm.datasets.transforms.cutouts import Cutout
from cellmm.structures import LabelLayers

MODES = ("add", "replace")


@dataclass(frozen=True)
class Pasted:
    """What ``paste_cells`` made.

    Args:
        image: float32 (H, W, C).
        cells: those that were there, with their ids, then those pasted, in their order.
        nuclei: with the ids of ``cells``; None if there were none to begin with.
        placed: indices of the cutouts that were pasted, int64 (M,) ascending.
        places: (row, column) of the first pixel of each one's tight mask, int64 (M, 2).
        overlaps: share of each one's pixels on cells that were there before it, float64 (M,).
        num_unplaced: cutouts that fitted nowhere.
    """

    image: np.ndarray
    cells: LabelLayers
    nuclei: LabelLayers | None
    placed: np.ndarray
    places: np.ndarray
    overlaps: np.ndarray
    num_unplaced: int


def paste_cells(
    image: np.ndarray,
    cells: LabelLayers,
    cutouts: Iterable[Cutout | None],
    rng: np.random.Generator,
    *,
    nuclei: LabelLayers | None = None,
    overlap: Sequence[float] = (0.0, 0.2),
    mode: str = "add",
    tries: int = 100,
) -> Pasted:
    """Paste one cell after the other, each wholly inside the image, at the first random place that fits.

    A place fits if the overlap of the pasted cell P with the cells C that are there by then,
    ``|P and C| / |P|``, lies in ``overlap``, ends included. A cell that is given as None, with the pixels of
    no mask left, fits nowhere. The masks are never cut, in either mode.

    Args:
        image: float32 (H, W, C), not changed.
        cells: those in it.
        nuclei: with the ids of ``cells``; pasted nuclei are then added.
        overlap: (least, most), from 0 to 1.
        mode: ``'add'``: the intensities add up, as in phase contrast; the cutouts are differences to their
            background. ``'replace'``: the cutout, with its background, covers what was there, which no
            transparent cell does: models then learn to tell pasted overlaps by their edges.
        tries: random places that are tried for a cell.

    Raises:
        ValueError: ``overlap``, ``mode`` or ``tries`` is out of range.
    """
    check_pasting(overlap, mode, tries)
    image, height, width = image.copy(), *image.shape[:2]
    covered = cells.covered().astype(np.uint8)
    layers, nucleus_layers = list(cells.layers.copy()), None if nuclei is None else list(nuclei.layers.copy())
    num, placed, places, overlaps, index = len(cells), [], [], [], -1
    for index, cutout in enumerate(cutouts):
        found = None if cutout is None else _find_place(covered, cutout.mask, rng, overlap, tries)
        if found is None:
            continue
        num += 1
        y, x, ratio = found
        _blend(image, cutout, y - cutout.origin[0], x - cutout.origin[1], mode)
        part = np.s_[y : y + cutout.mask.shape[0], x : x + cutout.mask.shape[1]]
        covered[part] |= cutout.mask
        _put(layers, part, cutout.mask, num, (height, width))
        if nucleus_layers is not None and cutout.nucleus is not None:
            _put(nucleus_layers, part, cutout.nucleus, num, (height, width))
        placed.append(index)
        places.append((y, x))
        overlaps.append(ratio)
    return Pasted(
        image=image,
        cells=LabelLayers(np.stack(layers), num=num),
        nuclei=None if nucleus_layers is None else LabelLayers(np.stack(nucleus_layers), num=num),
        placed=np.array(placed, np.int64),
        places=np.array(places, np.int64).reshape(-1, 2),
        overlaps=np.array(overlaps, np.float64),
        num_unplaced=index + 1 - len(placed),
    )


def check_pasting(overlap: Sequence[float], mode: str, tries: int) -> None:
    """ValueError where ``paste_cells`` does not take these values."""
    if np.shape(overlap) != (2,) or not 0 <= overlap[0] <= overlap[1] <= 1:
        raise ValueError(f"overlap must be (least, most) from 0 to 1, got {overlap!r}")
    if mode not in MODES:
        raise ValueError(f"mode must be 'add' or 'replace', got {mode!r}")
    if tries < 1:
        raise ValueError(f"tries must be at least 1, got {tries!r}")


def _find_place(
    covered: np.ndarray, mask: np.ndarray, rng: np.random.Generator, overlap: Sequence[float], tries: int
) -> tuple[int, int, float] | None:
    """Row and column of a random place that fits, and the overlap there."""
    free = np.subtract(covered.shape, mask.shape)
    if free.min() < 0:
        return None
    mask, area = mask.view(np.uint8), np.count_nonzero(mask)
    for y, x in rng.integers(0, free + 1, (tries, 2)).tolist():
        part = covered[y : y + mask.shape[0], x : x + mask.shape[1]]
        ratio = cv2.countNonZero(cv2.bitwise_and(part, mask)) / area
        if overlap[0] <= ratio <= overlap[1]:
            return y, x, ratio
    return None


def _blend(image: np.ndarray, cutout: Cutout, top: int, left: int, mode: str) -> None:
    """Paste the pixels of a cutout whose first pixel lies at (top, left), which may be outside."""
    y, x = max(-top, 0), max(-left, 0)
    part = image[top + y : top + cutout.weight.shape[0], left + x : left + cutout.weight.shape[1]]
    inside = np.s_[y : y + part.shape[0], x : x + part.shape[1]]
    weight, pixels = cutout.weight[inside][..., None], cutout.image[inside]
    part += weight * (pixels if mode == "add" else pixels - part)


def _put(
    layers: list[np.ndarray], part: tuple[slice, slice], mask: np.ndarray, number: int, shape: tuple[int, int]
) -> None:
    """Write ``number`` on the first layer that is free under the mask, or on a new one."""
    for layer in layers:
        if not layer[part][mask].any():
            break
    else:
        layer = np.zeros(shape, np.int32)
        layers.append(layer)
    layer[part][mask] = number
