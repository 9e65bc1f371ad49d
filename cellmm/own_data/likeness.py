"""Measure annotated images, so that scenes like them can be simulated."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cellmm.datasets.base import CellDataset
from cellmm.datasets.transforms import LoadCells
from cellmm.datasets.transforms.diameter import diameter_of_areas
from cellmm.errors import CellMMError
from cellmm.io.sources import open_image
from cellmm.io.sources.color import is_grey
from cellmm.own_data.appearance import crops, measure_appearance
from cellmm.results.instances import Instances
from cellmm.results.measurements import measure
from cellmm.simulation.crowding import GAP
from cellmm.simulation.likeness import CellLook, ImageLook, Likeness
from cellmm.structures import LabelLayers, MaskRuns

MOST_IMAGES = 24  # that are measured, spread over the set
MOST_SHAPES = 60  # of an image
LARGEST = 1024  # px a side of what is measured and simulated of an image
FEWEST = 10  # cells
SMALLEST = 5.0  # px across
ODD = 10.0  # times smaller or larger than the median cell: left out
COMPACT = 2.0  # length over width up to which the outline tells how rough it is
SHARPEST = 0.5  # turns per length over width: what is sharper in a short cell is noise
EXAMPLES = 4


@dataclass(frozen=True)
class LikenessReport:
    """What was measured.

    Args:
        likeness: of the set.
        total: images of the set; ``failed``: why some could not be read.
        odd, edge: cells that were left out of the shapes, for their size or as the image cuts them.
        parts: images whose middle was measured; ``empty``: images without cells.
        examples: pixels (H, W, C) of the first of them.
    """

    likeness: Likeness
    total: int
    failed: dict[str, str]
    odd: int
    edge: int
    parts: int
    empty: int
    examples: list[np.ndarray]


@dataclass(frozen=True)
class _Image:
    """An image in memory: pixels float32 (H, W, C), its cells, and what was measured of them."""

    name: str
    pixels: np.ndarray
    masks: MaskRuns
    count: np.ndarray
    table: dict[str, np.ndarray]
    whole: np.ndarray
    dtype: np.dtype
    color: str
    part: bool


def measure_likeness(dataset: CellDataset) -> LikenessReport:
    """Measure at most MOST_IMAGES images of a dataset, spread over it.

    Raises:
        CellMMError: no image can be read; fewer than FEWEST cells, or cells smaller than SMALLEST px;
            images of different types.
    """
    images, failed = [], {}
    for index in np.unique(np.linspace(0, len(dataset) - 1, MOST_IMAGES).round().astype(int)).tolist():
        info = dataset.get_data_info(index)
        try:
            images.append(_read(info))
        except CellMMError as error:
            failed[str(info["img_path"])] = str(error)
    if not images:
        raise CellMMError(f"no image could be read; the first error: {next(iter(failed.values()))}")
    _check_alike(images)
    empty = sum(not len(image.masks) for image in images)
    images = [image for image in images if len(image.masks)] or images
    areas = np.concatenate([image.masks.areas() for image in images])
    if len(areas) < FEWEST:
        raise CellMMError(
            f"{len(areas)} annotated cells in {len(images)} images: {FEWEST} are needed to measure what "
            "cells are like; annotate more"
        )
    if (diameter := diameter_of_areas(areas)) < SMALLEST:
        raise CellMMError(
            f"cells are {diameter:.1f} px across: a shape is measured from {SMALLEST:.0f} px on; take "
            "images of a higher magnification, or enlarge them"
        )
    looks, overlaps = [], []
    odd = edge = whole = 0
    for image in images:
        some = image.masks.areas()[image.whole]  # what the edge cuts tells no size
        across = diameter_of_areas(some) if len(some) >= 3 else diameter
        sizes = image.masks.areas() / (np.pi / 4 * across**2)
        usual = (sizes > 1 / ODD) & (sizes < ODD)
        odd, edge = odd + int((~usual).sum()), edge + int((usual & ~image.whole).sum())
        shapes = [
            _cell(image.table, i, across, image.count.shape) for i in np.flatnonzero(usual & image.whole)
        ]
        looks.append(_look(image, across, shapes))
        whole += len(shapes)
        overlaps += _overlaps(image.masks)
    if whole < FEWEST:
        raise CellMMError(
            f"{whole} of {len(areas)} annotated cells are whole, and {FEWEST} are needed: the others lie on "
            "the edge of their image; annotate larger images"
        )
    first = images[0]
    top = max(float(image.pixels.max()) for image in images)
    likeness = Likeness(
        dtype=str(first.dtype),
        bits=_bits(first.dtype, top),
        color=first.color,
        images=looks,
        overlaps=[round(float(share), 4) for share in np.percentile(overlaps, range(5, 100, 10))]
        if overlaps
        else [],
    )
    return LikenessReport(
        likeness,
        len(dataset),
        failed,
        odd,
        edge,
        sum(image.part for image in images),
        empty,
        [image.pixels for image in images[:EXAMPLES]],
    )


def _read(info: dict) -> _Image:
    source = info.get("img_source") or open_image(info["img_path"])
    shape = tuple(source.shape)
    cells = LoadCells().read(info | dict(img_shape=shape, ori_shape=shape))
    layers = LabelLayers(cells["layers"].astype(np.int32), num=cells["num"])
    layers = layers.select(np.flatnonzero(~cells["gt_ignore"]))
    top, left = (max(n - LARGEST, 0) // 2 for n in shape)
    bottom, right = min(top + LARGEST, shape[0]), min(left + LARGEST, shape[1])
    pixels = source.read(top, left, bottom, right)
    layers = layers.crop(top, left, bottom, right)
    layers = layers.select(np.flatnonzero(layers.areas() > 0))
    color = "channels"
    if getattr(source, "is_color", False):
        color = "grey" if is_grey(pixels) else "rgb"
    masks = MaskRuns.from_rles(layers.to_rles(), layers.shape)
    table = measure(Instances(masks, np.ones(len(masks), np.float32), np.zeros(len(masks), np.int64)))
    boxes = masks.boxes()
    whole = (boxes[:, :2] > 0).all(1) & (boxes[:, 2:] < np.array(layers.shape)).all(1)
    return _Image(
        source.name,
        pixels[..., :1].astype(np.float32) if color == "grey" else pixels.astype(np.float32),
        masks,
        layers.count(),
        table,
        whole,
        np.dtype(source.dtype),
        color,
        layers.shape != shape,
    )


def _check_alike(images: list[_Image]) -> None:
    kinds = {(str(image.dtype), image.color, image.pixels.shape[2]) for image in images}
    if len(kinds) > 1:
        texts = [f"{dtype} with {n} {color}" for dtype, color, n in sorted(kinds)]
        raise CellMMError(
            f"images of {' and of '.join(texts)}: a simulated set is of one kind; move each kind into a "
            "folder of its own"
        )


def _bits(dtype: np.dtype, top: float) -> int:
    """The bits of the camera, at least 8; 0 for floats."""
    return 0 if dtype.kind == "f" else max(8, int(np.ceil(np.log2(top + 1))))


def _cell(table: dict[str, np.ndarray], i: int, across: float, shape: tuple[int, int]) -> CellLook:
    length, area = float(table["length"][i]), float(table["area"][i])
    # what a smooth cell of its size would have, less what it has: from drawn ones
    dents = 0.98 - 0.25 / np.sqrt(area) - float(table["solidity"][i])
    width = float(table["width_max"][i])
    reach = 0.8 * float(table["feret_diameter_max"][i])  # of its box, in the mean over its directions
    room = np.prod([max(n - reach, 0.2 * n) / n for n in shape])
    return CellLook(
        length=round(length / across, 4),
        width=round(width / across, 4),
        area=round(area / across**2, 4),
        turn=round(min(float(table["curvature"][i]) * length, SHARPEST * length / width), 3),
        extent=round(float(table["feret_diameter_max"][i]) / length, 4),
        roughness=round(float(np.clip(10 * dents, 0.03, 0.2)), 3) if length < COMPACT * width else 0.03,
        weight=round(float(1 / room), 3),
    )


def _look(image: _Image, across: float, shapes: list[CellLook]) -> ImageLook:
    overlapping, touching = _crowding(image.masks, image.count)
    some = np.unique(np.linspace(0, len(shapes) - 1, MOST_SHAPES).round().astype(int)) if shapes else []
    channels, levels = measure_appearance(image.pixels, image.masks, image.count)
    return ImageLook(
        name=image.name,
        shape=image.count.shape,
        diameter=round(float(across), 2),
        cells=len(image.masks),
        overlapping=overlapping,
        touching=touching,
        covered=round(float((image.count > 0).mean()), 5),
        channels=channels,
        shapes=[shapes[i] for i in some],
        levels=levels,
    )


def _crowding(masks: MaskRuns, count: np.ndarray) -> tuple[int, int]:
    """Cells that overlap another, and that touch one without overlap."""
    wide = np.pad(count, GAP)
    overlapping = touching = 0
    for _, crop, window in crops(masks):
        if (count[window][crop] > 1).any():
            overlapping += 1
            continue
        mask = np.pad(crop, GAP)
        near = ndimage.distance_transform_edt(~mask) < GAP
        there = wide[tuple(slice(part.start, part.stop + 2 * GAP) for part in window)]
        touching += bool((near & ~mask & (there > 0)).any())
    return overlapping, touching


def _overlaps(masks: MaskRuns) -> list[float]:
    """The share of the smaller cell of each pair that overlaps."""
    mine, theirs, shared = masks.intersections(masks)
    areas = masks.areas()
    pairs = mine < theirs
    return (shared[pairs] / np.minimum(areas[mine[pairs]], areas[theirs[pairs]])).tolist()
