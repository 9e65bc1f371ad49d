"""What the images of a person are like, and the cells on them: measured, so that a config can be chosen."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from cellmm.datasets.base import CellDataset
from cellmm.datasets.transforms import LoadCells
from cellmm.datasets.transforms.diameter import diameter_of_areas
from cellmm.datasets.transforms.reference_points import cut_cells
from cellmm.errors import CellMMError
from cellmm.io.memory import LARGE_IMAGE
from cellmm.io.sources import ImageSource, open_image
from cellmm.io.sources.color import is_grey
from cellmm.messages import name_some
from cellmm.results.instances import Instances
from cellmm.results.measurements import measure
from cellmm.structures import LabelLayers, MaskRuns

MOST_IMAGES = 48  # that are measured, spread over the set
MOST_AXES = 25  # cells of an image whose axis is measured
WINDOW = 2048  # pixels a side of the middle of larger images whose grey values are looked at
LEVELS = (1.0, 50.0, 99.8)  # percentiles


@dataclass(frozen=True)
class ImageStatistics:
    """One annotated image.

    Args:
        shape: (H, W) in pixels.
        dtype: as stored, such as 'uint16'.
        channels: as stored.
        color: the channels are red, green and blue.
        grey: they are equal in each pixel.
        levels: float (C, 3), the percentiles LEVELS of each channel.
        areas: int (N,), pixels of each cell, crowd regions and cells without a pixel left out.
        lengths, widths: float (n,) of at most MOST_AXES of them, along and across the medial axis, pixels.
        covered, shared: pixels of any cell, and of two or more.
        cut: cells on the edge of the image.
        crowd: regions that are not learned.
        windowed: only the middle of the image was looked at for ``levels`` and ``grey``.
    """

    name: str
    shape: tuple[int, int]
    dtype: str
    channels: int
    color: bool
    grey: bool
    levels: np.ndarray
    areas: np.ndarray
    lengths: np.ndarray
    widths: np.ndarray
    covered: int
    shared: int
    cut: int
    crowd: int
    windowed: bool

    @property
    def diameter(self) -> float | None:
        """Of a circle as large as the median cell, pixels; None: there is no cell."""
        return diameter_of_areas(self.areas)


@dataclass(frozen=True)
class SetStatistics:
    """The images that were measured.

    Args:
        total: how many there are.
        failed: {name: why it could not be read}.

    Raises:
        CellMMError: no image could be read, or none has a cell.
    """

    images: Sequence[ImageStatistics]
    total: int
    failed: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.images:
            raise CellMMError(f"no image could be read; the first error: {next(iter(self.failed.values()))}")
        if not len(self.areas):
            raise CellMMError(
                f"none of {len(self.images)} images has a cell that can be learned (crowd regions: "
                f"{sum(image.crowd for image in self.images)}); check the annotation"
            )

    @property
    def areas(self) -> np.ndarray:
        return np.concatenate([image.areas for image in self.images])

    @property
    def diameter(self) -> float:
        """Of a circle as large as the median cell of all images, pixels."""
        return diameter_of_areas(self.areas)

    @property
    def diameters(self) -> np.ndarray:
        """The same of each image that has a cell."""
        return np.array([image.diameter for image in self.images if image.diameter is not None])

    @property
    def width(self) -> float:
        """Of the median cell across its axis, pixels."""
        return float(np.median(self._of_cells("widths")))

    @property
    def length(self) -> float:
        """Of the median cell along its axis, pixels."""
        return float(np.median(self._of_cells("lengths")))

    def long_cell(self, scales: np.ndarray) -> float:
        """The length that 95 of 100 cells do not exceed where each image is scaled by its own factor."""
        scaled = [image.lengths * scale for image, scale in zip(self.images, scales, strict=True)]
        return float(np.percentile(np.concatenate(scaled), 95))

    @property
    def elongation(self) -> float:
        """Length by width of the median cell."""
        return float(np.median(self._of_cells("lengths") / self._of_cells("widths")))

    @property
    def overlap(self) -> float:
        """Share of the pixels of cells that belong to several cells."""
        return sum(image.shared for image in self.images) / sum(image.covered for image in self.images)

    @property
    def density(self) -> float:
        """Share of the images' pixels that belong to a cell."""
        pixels = sum(image.shape[0] * image.shape[1] for image in self.images)
        return sum(image.covered for image in self.images) / pixels

    @property
    def cut(self) -> int:
        return sum(image.cut for image in self.images)

    @property
    def one_sided(self) -> bool:
        """Whether the median image is dark but for what is bright, as in fluorescence.

        In brightfield and phase contrast values lie on both sides of the background.
        """
        low, middle, high = np.stack([image.levels.mean(0) for image in self.images], axis=1)
        span = np.maximum(high - low, np.finfo(float).tiny)
        return bool(np.median((middle - low) / span) < 0.25)

    def _of_cells(self, name: str) -> np.ndarray:
        return np.concatenate([getattr(image, name) for image in self.images])

    def describe(self) -> list[str]:
        """Lines for people."""
        counts = [len(image.areas) for image in self.images]
        low, high = np.percentile(self.diameters, (10, 90))
        lines = [
            f"images: {_counted(_size(image) for image in self.images)}",
            f"values: {_counted(_values(image) for image in self.images)}",
            f"cells: {sum(counts)}, {min(counts)} to {max(counts)} per image; they cover {self.density:.1%} "
            f"of the images, and {self.overlap:.1%} of their pixels belong to several cells",
            f"size: {self.diameter:.0f} px across (a circle as large as the median cell), from {low:.0f} to "
            f"{high:.0f} in 8 of 10 images; {self.length:.0f} px long and {self.width:.0f} px wide",
        ]
        if len(self.images) + len(self.failed) < self.total:
            measured = len(self.images) + len(self.failed)
            lines.append(f"measured: {measured} of {self.total} images, spread over the set")
        if windowed := sum(image.windowed for image in self.images):
            lines.append(f"{windowed} large images: grey values were measured in the middle only")
        if without := [image.name for image in self.images if not len(image.areas)]:
            lines.append(f"without cells: {name_some(without)}")
        if crowd := sum(image.crowd for image in self.images):
            lines.append(f"crowd regions: {crowd}, which are not learned")
        if self.failed:
            lines.append(f"not readable: {name_some(self.failed.values())}")
        return lines


def measure_dataset(dataset: CellDataset, most: int = MOST_IMAGES) -> SetStatistics:
    """Measure the annotated images of a dataset, at most ``most`` of them, spread over it.

    Raises:
        CellMMError: none of them can be read, or none has a cell.
    """
    images, failed = [], {}
    for index in np.unique(np.linspace(0, len(dataset) - 1, most).round().astype(int)).tolist():
        info = dataset.get_data_info(index)
        try:
            images.append(measure_image(info))
        except CellMMError as error:
            failed[str(info["img_path"])] = str(error)
    return SetStatistics(images, len(dataset), failed)


def measure_image(info: dict) -> ImageStatistics:
    """Measure the image that ``get_data_info`` of a dataset describes.

    Raises:
        CellMMError: image or annotation cannot be read, or do not fit.
    """
    source = info.get("img_source") or open_image(info["img_path"])
    shape = tuple(source.shape)
    cells = LoadCells().read(info | dict(img_shape=shape, ori_shape=shape))
    layers = LabelLayers(cells["layers"].astype(np.int32), num=cells["num"])
    learned = layers.select(np.flatnonzero((layers.areas() > 0) & ~cells["gt_ignore"]))
    pixels = _middle(source)
    lengths, widths = _axes(learned)
    count = learned.count()
    color = bool(getattr(source, "is_color", False))
    return ImageStatistics(
        name=source.name,
        shape=shape,
        dtype=str(np.dtype(source.dtype)),
        channels=source.num_channels,
        color=color,
        grey=color and is_grey(pixels),
        levels=np.percentile(pixels.reshape(-1, pixels.shape[2]), LEVELS, axis=0).T,
        areas=learned.areas(),
        lengths=lengths,
        widths=widths,
        covered=int(np.count_nonzero(count)),
        shared=int(np.count_nonzero(count > 1)),
        cut=int(cut_cells(learned).sum()),
        crowd=int(cells["gt_ignore"].sum()),
        windowed=pixels.shape[:2] != shape,
    )


def _middle(source: ImageSource) -> np.ndarray:
    """The pixels (h, w, C) of an image, of a very large one those in the middle."""
    height, width = source.shape
    if height * width * source.num_channels <= LARGE_IMAGE:
        return source.read_all()
    top, left = max(height - WINDOW, 0) // 2, max(width - WINDOW, 0) // 2
    return source.read(top, left, min(top + WINDOW, height), min(left + WINDOW, width))


def _axes(cells: LabelLayers) -> tuple[np.ndarray, np.ndarray]:
    """Length and width of at most MOST_AXES cells, spread over their numbers."""
    if not len(cells):
        return np.zeros(0), np.zeros(0)
    some = np.unique(np.linspace(0, len(cells) - 1, MOST_AXES).round().astype(int))
    masks = MaskRuns.from_rles(cells.select(some).to_rles(), cells.shape)
    table = measure(Instances(masks, np.ones(len(some), np.float32), np.zeros(len(some), np.int64)))
    return table["length"], np.maximum(table["width_mean"], 1.0)


def _size(image: ImageStatistics) -> str:
    return f"{image.shape[0]}x{image.shape[1]} px"


def _values(image: ImageStatistics) -> str:
    kind = f"{image.channels} channel{'s' if image.channels > 1 else ''}"
    if image.color:
        kind = "grey stored as RGB" if image.grey else "RGB"
    return f"{image.dtype}, {kind}"


def _counted(texts: Iterable[str], most: int = 4) -> str:
    """'12 of 512x512 px, 3 of 64x64 px and 2 others', the most frequent first."""
    counts = Counter(texts).most_common()
    parts = [f"{number} of {text}" for text, number in counts[:most]]
    if others := sum(number for _, number in counts[most:]):
        parts.append(f"{others} others")
    return ", ".join(parts)
