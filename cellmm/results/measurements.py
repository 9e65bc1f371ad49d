"""Measurements of the cells of an image: shape, medial axis, intensity and overlap."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from scipy.ndimage import affine_transform
from skimage.measure import regionprops_table

from cellmm.io.sources import ImageSource
from cellmm.results.instances import Instances
from cellmm.results.measurement_columns import AXIS, INTENSITY, OVERLAP, SHAPE, in_order
from cellmm.results.medial_axis import measure_axes, solid
from cellmm.structures import MaskRuns

GAP = 4  # pixels between cells on a sheet
SHEET = 2_000_000  # pixels of the cells' boxes that are measured together
BLOCK = 1024  # pixels; cells whose boxes begin in one block of the image are measured together
FROM_SPACING = ("axis_major_length", "axis_minor_length", "feret_diameter_max", "area_convex")
RATIOS = ("eccentricity", "orientation")


def measure(instances: Instances, image: ImageSource | np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Measure every cell whole, whatever lies over it; the cost is that of the cells' own boxes.

    The columns are those of ``cellmm.results.measurement_columns``; where the pixel size is known, also those
    in micrometres. With pixels that are not square, ``eccentricity`` and ``orientation`` are those of the
    real shape. A cell of one pixel has length and width 1, solidity 1, and perimeter, axes of the ellipse,
    eccentricity and curvature 0. A cell without pixels has area 0 and NaN for the rest.

    Args:
        image: for the intensities, (H, W) or (H, W, C), or a source, of which only the cells' surroundings
            are read; None: no intensities.

    Returns:
        N values for each column. ``class`` is text; ``overlap_labels`` and ``overlap_areas`` hold str.

    Raises:
        ValueError: an image of another size than that of the cells.
    """
    if isinstance(image, np.ndarray):
        image = _Array(image if image.ndim == 3 else image[..., None])
    if image is not None and tuple(image.shape) != tuple(instances.shape):
        raise ValueError(f"cells of an image of {instances.shape} pixels, not of {tuple(image.shape)}")
    masks, num = instances.masks, len(instances)
    square = instances.pixel_size is None or instances.pixel_size[0] == instances.pixel_size[1]
    columns = {column.name: np.full(num, np.nan) for column in SHAPE + AXIS}
    if not square:
        columns |= {c.in_micrometres: np.full(num, np.nan) for c in SHAPE + AXIS if c.power is not None}
    if image is not None:
        for channel in range(image.num_channels):
            columns |= {f"{column.name}-{channel}": np.full(num, np.nan) for column in INTENSITY}
    for cells in _groups(masks):
        for name, values in _measure_group(masks, cells, image, None if square else instances.pixel_size):
            columns[name][cells] = values
    boxes = masks.boxes()
    columns["area"] = masks.areas()
    columns["label"] = np.arange(1, num + 1)
    columns["class"] = np.array(instances.classes, dtype=str)[instances.labels]
    columns["score"] = instances.scores
    columns |= {f"bbox-{axis}": boxes[:, axis] for axis in range(4)} | _overlaps(masks)
    if instances.pixel_size is not None:
        columns |= _in_micrometres(columns, instances.pixel_size)
    return {name: columns[name] for name in in_order(columns)}


def _groups(masks: MaskRuns) -> Iterator[np.ndarray]:
    """Cells with pixels that are measured together: neighbours, not too many, int64 (n,) each."""
    boxes = masks.boxes()
    pixels = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = np.lexsort((boxes[:, 1] // BLOCK, boxes[:, 0] // BLOCK))
    order = order[pixels[order] > 0]
    block = (boxes[order, :2] // BLOCK).tolist()
    begin, total = 0, 0
    for i, cell in enumerate(order):
        if i > begin and (block[i] != block[begin] or total + pixels[cell] > SHEET):
            yield order[begin:i]
            begin, total = i, 0
        total += pixels[cell]
    if len(order):
        yield order[begin:]


def _measure_group(
    masks: MaskRuns,
    cells: np.ndarray,
    image: "ImageSource | _Array | None",
    pixel_size: tuple[float, float] | None,
) -> Iterator[tuple[str, np.ndarray]]:
    """Columns of ``cells``; with ``pixel_size``, of pixels that are not square, also in micrometres."""
    crops, corners = zip(*(masks.crop(cell) for cell in cells), strict=True)
    corners = np.array(corners)
    labels, places = _sheet(crops)
    pixels = None if image is None else _pixels(image, crops, corners, labels.shape, places)
    names = [c.name for c in SHAPE if not c.name.startswith(("area", "centroid"))]
    wanted = ["centroid_local", "area_convex", *names]
    table = regionprops_table(
        labels, pixels, properties=wanted + ([c.name for c in INTENSITY] if image is not None else [])
    )
    for axis in (0, 1):
        yield f"centroid-{axis}", table.pop(f"centroid_local-{axis}") + corners[:, axis]
    yield from table.items()
    yield from measure_axes(_sheet([solid(crop) for crop in crops])[0], len(crops)).items()
    if pixel_size is not None:
        table = regionprops_table(labels, properties=[*FROM_SPACING, *RATIOS], spacing=pixel_size)
        yield from ((name, table[name]) for name in RATIOS)
        units = {column.name: column.in_micrometres for column in SHAPE + AXIS}
        yield from ((units[name], table[name]) for name in FROM_SPACING)
        side = min(pixel_size)
        squared = [_resampled(crop, pixel_size) for crop in crops]
        yield units["perimeter"], np.array([_perimeter(crop, pixel_size) for crop in crops])
        for name, values in measure_axes(_sheet([solid(crop) for crop in squared])[0], len(crops)).items():
            yield units[name], values / side if name == "curvature" else values * side


def _sheet(crops: Sequence[np.ndarray]) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """The crops, bool (h, w), as the labels 1 to n of one image, and their first pixels there."""
    width = max(1500, max(crop.shape[1] for crop in crops) + 2 * GAP)
    places: list[tuple[int, int]] = [(0, 0)] * len(crops)
    top, left, bottom = GAP, GAP, GAP
    for i in sorted(range(len(crops)), key=lambda i: crops[i].shape[0]):
        if left + crops[i].shape[1] + GAP > width:
            top, left = bottom + GAP, GAP
        places[i] = (top, left)
        left, bottom = left + crops[i].shape[1] + GAP, top + crops[i].shape[0]
    labels = np.zeros((bottom + GAP, width), dtype=np.int32)
    for i, (crop, (top, left)) in enumerate(zip(crops, places, strict=True)):
        labels[top : top + crop.shape[0], left : left + crop.shape[1]] = crop * np.int32(i + 1)
    return labels, places


def _pixels(
    image: "ImageSource | _Array",
    crops: Sequence[np.ndarray],
    corners: np.ndarray,
    shape: tuple[int, int],
    places: Sequence[tuple[int, int]],
) -> np.ndarray:
    """The image (h, w, C) below each crop, side by side as the crops are; read in one piece."""
    ends = corners + [crop.shape for crop in crops]
    start = corners.min(0)
    block = image.read(*map(int, start), *map(int, ends.max(0)))
    sheet = np.zeros((*shape, block.shape[2]), dtype=block.dtype)
    for crop, (y, x), (top, left) in zip(crops, corners - start, places, strict=True):
        height, width = crop.shape
        sheet[top : top + height, left : left + width] = block[y : y + height, x : x + width]
    return sheet


def _perimeter(crop: np.ndarray, pixel_size: tuple[float, float]) -> float:
    """The way around the cell and its holes, through the middles of the pixels at the border."""
    borders, _ = cv2.findContours(crop.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    steps = [np.diff(border[:, 0], axis=0, append=border[:1, 0]) for border in borders]
    return float(
        sum(np.hypot(step[:, 0] * pixel_size[1], step[:, 1] * pixel_size[0]).sum() for step in steps)
    )


def _resampled(crop: np.ndarray, pixel_size: tuple[float, float]) -> np.ndarray:
    """The cell in square pixels, whose side is the shorter one of ``pixel_size``."""
    scale = np.array(pixel_size) / min(pixel_size)
    padded = np.pad(crop, 1).astype(np.float32)
    shape = tuple(np.ceil(np.array(padded.shape) * scale).astype(int))
    return affine_transform(padded, 1 / scale, 0.5 / scale - 0.5, shape, order=1) >= 0.5


def _in_micrometres(columns: dict[str, np.ndarray], pixel_size: tuple[float, float]) -> dict[str, np.ndarray]:
    """The columns in micrometres that do not depend on more than the sides of the pixels."""
    y, x = pixel_size
    found = {"centroid-0_um": columns["centroid-0"] * y, "centroid-1_um": columns["centroid-1"] * x}
    for column in SHAPE + AXIS + OVERLAP:
        name = column.in_micrometres
        if column.power == 2 and name not in columns:
            found[name] = columns[column.name] * (y * x)
        elif name is not None and name not in columns and name not in found:
            found[name] = columns[column.name] * x**column.power
    found["area_um2"] = columns["area"] * (y * x)
    return found


def _overlaps(masks: MaskRuns) -> dict[str, np.ndarray]:
    """Which other cells share pixels with each cell, and how many pixels those are."""
    mine, theirs, shared = masks.intersections(masks)
    other = mine != theirs
    mine, theirs, shared = mine[other], theirs[other], shared[other]
    first = np.searchsorted(mine, np.arange(len(masks) + 1))
    covered = np.bincount(mine, shared, len(masks)).astype(np.int64)
    labels, areas = [""] * len(masks), [""] * len(masks)
    for cell in np.unique(mine).tolist():
        pairs = slice(first[cell], first[cell + 1])
        labels[cell] = " ".join(map(str, (theirs[pairs] + 1).tolist()))
        areas[cell] = " ".join(map(str, shared[pairs].tolist()))
        if pairs.stop - pairs.start > 1:  # pixels that several others share count once
            covered[cell] = _covered(masks, cell, theirs[pairs].tolist())
    area = masks.areas()
    values = (np.array(labels, object), np.array(areas, object), covered, covered / np.maximum(area, 1))
    return dict(zip((column.name for column in OVERLAP), values, strict=True))


def _covered(masks: MaskRuns, cell: int, others: Sequence[int]) -> int:
    """Pixels of ``cell`` that belong to any of ``others`` too."""
    crop, (top, left) = masks.crop(cell)
    shared = np.zeros_like(crop)
    for other in others:
        theirs, (y, x) = masks.crop(other)
        y, x = y - top, x - left
        part = theirs[max(-y, 0) : crop.shape[0] - y, max(-x, 0) : crop.shape[1] - x]
        shared[max(y, 0) :, max(x, 0) :][: part.shape[0], : part.shape[1]] |= part
    return int(np.count_nonzero(shared & crop))


class _Array:
    """An array (H, W, C) with the part of an ImageSource that measurements use."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels
        self.shape, self.num_channels = pixels.shape[:2], pixels.shape[2]

    def read(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        return self.pixels[top:bottom, left:right]
