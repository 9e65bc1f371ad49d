"""Cells cut out of an annotated image, each warped with its mask: what copy-paste inserts elsewhere."""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.special import erfc

from cellmm.datasets.transforms.warping import bend, resample, sampling_map
from cellmm.structures import LabelLayers

REACH = 2  # standard deviations of the blur beyond the outline, where 4.6 % of the weight is left
STEPS = 16  # entries of the table of weights per pixel of distance
# bits of the image that is warped by nearest neighbour; where the cell lies on others it is OWN alone
OWN, OTHER, NUCLEUS, INSIDE = (np.uint8(bit) for bit in (1, 2, 4, 8))


@dataclass(frozen=True)
class CellWarp:
    """How a cell is changed. The same values, and the same blur of its edge, give the same cell again.

    Args:
        angle: degrees, counter-clockwise.
        scale: 2 makes the cell twice as large.
        flip: left to right, before the rotation.
        elastic_magnitude: standard deviation of the random displacements, px of the source; 0: none.
        elastic_spacing: their distance, px of the result.
        elastic_seed: of their generator.
    """

    angle: float = 0.0
    scale: float = 1.0
    flip: bool = False
    elastic_magnitude: float = 0.0
    elastic_spacing: float = 64.0
    elastic_seed: int = 0


@dataclass(frozen=True)
class Cutout:
    """A warped cell. ``image`` and ``weight`` may reach beyond its mask, to blend its edge.

    Args:
        image: float32 (h, w, C), minus the background that was given.
        weight: float32 (h, w), 0 to 1, how much of each pixel is pasted: 1 in the cell.
        mask: bool (m, n), tight, with a pixel in each outermost row and column.
        nucleus: bool (m, n), of the cell's nucleus; None where nuclei are not known.
        origin: (row, column) of the mask's first pixel in ``image``.
    """

    image: np.ndarray
    weight: np.ndarray
    mask: np.ndarray
    nucleus: np.ndarray | None
    origin: tuple[int, int]


def draw_warp(
    rng: np.random.Generator,
    *,
    rotate: Sequence[float] = (-180, 180),
    scale: Sequence[float] = (1, 1),
    flip: float = 0.5,
    elastic_magnitude: float = 0.0,
    elastic_spacing: float = 64.0,
) -> CellWarp:
    """A random CellWarp: ``rotate`` and ``scale`` are (lowest, highest), ``flip`` is a probability."""
    return CellWarp(
        angle=float(rng.uniform(*rotate)),
        scale=float(rng.uniform(*scale)),
        flip=bool(rng.random() < flip),
        elastic_magnitude=elastic_magnitude,
        elastic_spacing=elastic_spacing,
        elastic_seed=int(rng.integers(2**32)),
    )


def cells_to_copy(
    cells: LabelLayers, *, shared: float = 0.2, outside: np.ndarray | None = None
) -> np.ndarray:
    """Indices of the cells that can be copied, int64 (M,) ascending.

    They are whole, touching neither the border of the image nor ``outside``, bool (H, W), pixels that do not
    show it. At most the share ``shared``, from 0 to 1, of their pixels lies on other cells: parts of these
    are copied with them, but not annotated. 0: cells that stand alone.
    """
    areas = cells.areas()
    others = cells.layers[:, cells.overlap()]
    usable = (areas > 0) & (np.bincount(others[others > 0], minlength=len(cells) + 1)[1:] <= shared * areas)
    cut = np.ones((cells.shape[0] + 2, cells.shape[1] + 2), np.uint8)
    cut[1:-1, 1:-1] = 0 if outside is None else outside
    ids = cells.layers[:, cv2.dilate(cut, np.ones((3, 3), np.uint8))[1:-1, 1:-1] > 0]
    usable[ids[ids > 0] - 1] = False
    return np.flatnonzero(usable)


def draw_group(
    cells: LabelLayers, candidates: np.ndarray, number: int, rng: np.random.Generator
) -> np.ndarray:
    """``number`` random candidates of which no two overlap, or as many as are found, int64 (M,)."""
    order = rng.permutation(candidates)
    meets = _meeting(cells)
    group: list[int] = []
    for index in order.tolist():
        if len(group) == number:
            break
        if meets[index].isdisjoint(group):
            group.append(index)
    return np.array(group, np.int64)


def _meeting(cells: LabelLayers) -> list[set[int]]:
    """The cells that share a pixel with each cell."""
    meets: list[set[int]] = [set() for _ in range(len(cells))]
    stacks = cells.layers[:, cells.overlap()]
    for upper, lower in itertools.combinations(stacks, 2):
        both = (upper > 0) & (lower > 0)
        for i, j in np.unique(np.stack([upper[both], lower[both]], 1) - 1, axis=0).tolist():
            meets[i].add(j)
            meets[j].add(i)
    return meets


def background_level(image: np.ndarray, cells: LabelLayers) -> np.ndarray:
    """The median of the pixels without a cell, per channel, float32 (C,); of all pixels if cells cover them.

    Args:
        image: (H, W, C).
    """
    free = ~cells.covered()
    pixels = image[free] if free.any() else image.reshape(-1, image.shape[2])
    return np.median(pixels, axis=0).astype(np.float32)


def cut_out(
    image: np.ndarray,
    cells: LabelLayers,
    index: int,
    warp: CellWarp,
    *,
    box: Sequence[float],
    nuclei: LabelLayers | None = None,
    background: np.ndarray | float = 0.0,
    blur: float = 20.0,
) -> Cutout | None:
    """Cell ``index`` (from 0) of an image, warped with its mask; None if no pixel of it is left.

    Inside the outline ``weight`` is 1. At a distance d outside it is ``erfc(d / (blur sqrt(2)))``, what a
    Gaussian blur makes of a straight edge, times two so that the cell itself keeps its values. It is 0 on
    other cells of the image. Source: sparseseunet 4.4.1, which blurs the edges with sigma = 20 px and does
    not say more.

    Args:
        image: float32 (H, W, C).
        box: (x0, y0, x1, y1) of the cell, as of ``cells.bboxes()``.
        nuclei: with the ids of ``cells``.
        background: subtracted from the image, one number or (C,).
        blur: standard deviation, px of the result; 0: the mask alone is cut out.
    """
    reach = int(np.ceil(REACH * blur))
    x0, y0, x1, y1 = box
    xs, ys = sampling_map(
        _size(x1 - x0, y1 - y0, warp, reach),
        ((x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2),
        angle=warp.angle,
        scale=warp.scale,
        flip=warp.flip,
    )
    if warp.elastic_magnitude:
        rng = np.random.default_rng(warp.elastic_seed)
        bend(xs, ys, rng, warp.elastic_spacing, warp.elastic_magnitude)
    rows, columns = _part(ys, image.shape[0]), _part(xs, image.shape[1])
    bits = _bits(cells, nuclei, index, rows, columns)
    part = image[rows, columns]
    smooth = [np.ascontiguousarray(part[..., c : c + 4]) for c in range(0, part.shape[2], 4)]
    xs, ys = xs - np.float32(columns.start), ys - np.float32(rows.start)
    smooth, (bits,) = resample(smooth, [bits], xs, ys, 0.0)
    own = bits & OWN
    used_x, used_y, width, height = cv2.boundingRect(own)
    if not width:
        return None
    top, left = max(used_y - reach, 0), max(used_x - reach, 0)
    kept = np.s_[top : used_y + height + reach, left : used_x + width + reach]
    mask = bits[used_y : used_y + height, used_x : used_x + width]
    pixels = np.concatenate([values[kept].reshape(*bits[kept].shape, -1) for values in smooth], axis=2)
    return Cutout(
        image=pixels - np.asarray(background, np.float32),
        weight=_weight(bits[kept], blur),
        mask=mask & OWN > 0,
        nucleus=None if nuclei is None else mask & NUCLEUS > 0,
        origin=(used_y - top, used_x - left),
    )


def _size(width: float, height: float, warp: CellWarp, reach: int) -> tuple[int, int]:
    """(h, w) that hold a box after the warp, with ``reach`` px around it."""
    cos, sin = abs(np.cos(np.deg2rad(warp.angle))), abs(np.sin(np.deg2rad(warp.angle)))
    around = 2 * (reach + int(np.ceil(4 * warp.elastic_magnitude * warp.scale)) + 1)
    turned = cos * height + sin * width, sin * height + cos * width
    # of the parity of the box: without rotation, whole pixels are copied
    sizes = [int(np.ceil(side * warp.scale - 1e-6)) + around for side in turned]
    return sizes[0], sizes[1]


def _part(positions: np.ndarray, length: int) -> slice:
    """The pixels along an axis of the image that linear interpolation reads at ``positions``."""
    first = min(max(int(positions.min()) - 1, 0), length - 1)
    return slice(first, min(max(int(positions.max()) + 2, first + 1), length))


def _bits(
    cells: LabelLayers, nuclei: LabelLayers | None, index: int, rows: slice, columns: slice
) -> np.ndarray:
    """OWN, OTHER, NUCLEUS and INSIDE of a part of the image, uint8 (h, w)."""
    layers = cells.layers[:, rows, columns]
    own = np.bitwise_or.reduce(layers == index + 1, axis=0).view(np.uint8)
    covered = (np.bitwise_or.reduce(layers, axis=0) > 0).view(np.uint8)
    bits = INSIDE + OWN * own + OTHER * (covered & ~own)
    if nuclei is not None:
        nucleus = np.bitwise_or.reduce(nuclei.layers[:, rows, columns] == index + 1, axis=0)
        bits += NUCLEUS * nucleus.view(np.uint8)
    return bits


def _weight(bits: np.ndarray, blur: float) -> np.ndarray:
    own = bits & OWN
    if not blur:
        return own.astype(np.float32)
    distance = cv2.distanceTransform(1 - own, cv2.DIST_L2, cv2.DIST_MASK_5)
    table = _falling(blur)
    distance *= STEPS
    np.minimum(distance, len(table) - 1, out=distance)
    weight = table.take(distance.astype(np.int32))
    weight *= bits & (OTHER | INSIDE) == INSIDE
    return weight


@functools.lru_cache(8)
def _falling(blur: float) -> np.ndarray:
    """The weight by distance from the cell's nearest pixel, in steps of 1 / STEPS px; the last one is 0."""
    distance = np.arange(int(np.ceil(REACH * blur)) * STEPS + 1) / STEPS
    table = erfc(np.maximum(distance - 0.5, 0) / (blur * np.sqrt(2))).astype(np.float32)
    table[-1] = 0
    return table
