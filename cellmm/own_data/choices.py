"""The numbers of a config, chosen from what was measured, each with its reason."""

import math
from dataclasses import dataclass, field

import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.sources.base import MAX_CHANNELS
from cellmm.own_data.start import StartModel
from cellmm.own_data.statistics import SetStatistics

MODELS = ("diskmask", "sparseseunet")
STRIDE = 2  # of the masks of both models' CPU configs
WIDTHS = (10.0, 28.0)  # of cells where they reach the network, pixels
SAME = (0.8, 1.25)  # factors that are not worth a rescaling
SPREAD = 2.0  # of the diameters of images, 10th to 90th percentile, beyond which each image has its own scale
LONG, OVERLAPS = (
    2.5,
    0.003,
)  # elongation and share of shared pixels from which cells are found along their axes
CROPS = (128, 352)  # pixels a side
BATCH_PIXELS = 2**18
MAX_WHOLE = 1536  # pixels a side of an image that the network tests in one piece
CACHE_BYTES = 2**30  # of decoded cells


@dataclass(frozen=True)
class Choices:
    """What the config says; lengths in pixels that reach the network, if nothing else is said.

    Args:
        model: of MODELS.
        in_channels, color: of the images as they are read; color as in LoadImage.
        normalize: the arguments of Normalize.
        factor: by which all images are scaled; None: each so that its cells are ``diameter`` across.
        diameter: of a circle as large as the median cell.
        crop: side of the parts of images to train on.
        dense: crops are taken anywhere, else where cells are.
        along: gateways lie along the axis of long or overlapping cells.
        whole: cells on the edge of an image are annotated.
        tile, overlap: of larger images when testing; None: they are tested whole.
        cache: decoded cells stay in memory.
        reasons: {name of the field: why}.
    """

    model: str
    in_channels: int
    color: str
    normalize: dict
    factor: float | None
    diameter: float
    crop: int
    batch_size: int
    dense: bool
    along: bool
    whole: bool
    window: int
    radius: int
    num_gates: int
    num_queries: int
    min_area: int
    tile: int | None
    overlap: int
    cache: bool
    reasons: dict[str, str] = field(default_factory=dict, compare=False)


def choose(found: SetStatistics, model: str = "diskmask", start: StartModel | None = None) -> Choices:
    """Choose the numbers.

    Args:
        start: a model whose weights are the start, and which sets scale and normalisation.

    Raises:
        CellMMError: images with different channels, or with more than cellmm reads.
    """
    reasons: dict[str, str] = {}
    channels, color = _channels(found, start is not None and start.rgb, reasons)
    factor, across = _scale(found, start, reasons)
    own = [image.diameter or found.diameter for image in found.images]
    scales = across / np.array(own) if factor is None else np.full(len(own), factor)
    length = found.long_cell(scales)
    crop = _crop(found, scales, length, across)
    in_crop = found.density * crop**2 / (math.pi / 4 * across**2)
    along = found.elongation >= LONG or found.overlap >= OVERLAPS
    window = _between(_multiple(1.3 * length / STRIDE, 16), 32, 96)
    if start is not None and start.window is not None:
        window = max(window, start.window)
    tile, overlap = _tiles(found, scales, length, crop, model)
    kind = "long" if found.elongation >= LONG else "round"
    reasons |= dict(
        crop=f"holds about {in_crop:.1f} cells; 95 of 100 cells are shorter than {length:.0f} px",
        along=(
            f"{kind} cells (length by width {found.elongation:.1f}), {found.overlap:.1%} of their pixels are "
            "shared"
        ),
        whole=f"{found.cut} of {len(found.areas)} annotated cells lie on the edge of their image",
    )
    pixels = sum(image.shape[0] * image.shape[1] for image in found.images) / len(found.images)
    return Choices(
        model=model,
        in_channels=channels,
        color=color,
        normalize=_normalize(found, start, reasons),
        factor=factor,
        diameter=across,
        crop=crop,
        batch_size=_between(round(BATCH_PIXELS / crop**2), 1, 12),
        dense=in_crop >= 2,
        along=along,
        whole=found.cut > 0,
        window=window,
        radius=_between(round(0.2 * across / STRIDE), 3, 6),
        num_gates=_between(math.ceil((2.0 if along else 1.3) * (crop / STRIDE / window) ** 2), 4, 16),
        num_queries=_queries(found, scales, crop, reasons),
        min_area=max(4, round(0.05 * math.pi / 4 * across**2)),
        tile=tile,
        overlap=overlap,
        cache=2 * pixels * found.total <= CACHE_BYTES,
        reasons=reasons,
    )


def _channels(found: SetStatistics, rgb: bool, reasons: dict[str, str]) -> tuple[int, str]:
    """How many channels the network takes, and the ``color`` of LoadImage that gives as many."""
    kinds = {(1, True) if image.grey else (image.channels, image.color) for image in found.images}
    stored = {image.channels for image in found.images}
    colours = {(3, True), (4, True)}
    if kinds <= {(1, False), (1, True)} and len(stored | kinds) > 1 and (1, True) in kinds and not rgb:
        reasons["in_channels"] = "some images are grey, and stored as RGB"
        return 1, "grayscale"
    if kinds <= {(1, False), (1, True), *colours} and (rgb or kinds & colours):
        reasons["in_channels"] = "RGB; grey images are read as three equal channels"
        return 3, "rgb"
    if len(kinds) > 1:
        texts = [f"{count} channels{' of colour' if color else ''}" for count, color in sorted(kinds)]
        raise CellMMError(
            f"images with {' and with '.join(texts)}: a model takes images of one kind; move each kind into "
            "a folder of its own"
        )
    count = stored.pop()
    if count > MAX_CHANNELS:
        raise CellMMError(f"images with {count} channels: at most {MAX_CHANNELS}; save fewer of them")
    reasons["in_channels"] = "as many channels as the images have"
    return count, "unchanged"


def _normalize(found: SetStatistics, start: StartModel | None, reasons: dict[str, str]) -> dict:
    if start is not None:
        reasons["normalize"] = f"as {start.name} knows its images"
        return start.normalize
    if found.one_sided or found.images[0].color:
        reasons["normalize"] = "1st and 99.8th percentile to 0 and 1: a few bright pixels do not matter"
        return dict(mode="percentile")
    reasons["normalize"] = "values lie on both sides of the background, as in brightfield and phase contrast"
    return dict(mode="median_std")


def _scale(
    found: SetStatistics, start: StartModel | None, reasons: dict[str, str]
) -> tuple[float | None, float]:
    """The factor of all images, or None; and the diameter of the cells once they are scaled."""
    low, high = np.percentile(found.diameters, (10, 90))
    differ = len(found.diameters) >= 5 and high > SPREAD * low
    narrow, wide = WIDTHS
    if start is not None:
        why = f"{start.name} knows cells of {start.diameter:.0f} px across"
        wanted = start.diameter / found.diameter
    else:
        why = f"cells of {narrow:.0f} to {wide:.0f} px are seen well and fast"
        least = (narrow + wide) / 2 if differ else narrow  # where images are scaled anyway, not to the least
        wanted = min(least / found.width, 4.0) if found.width < least else min(wide / found.width, 1.0)
    now = f"cells are {found.diameter:.0f} px across and {found.width:.0f} px wide"
    if differ:
        reasons["factor"] = (
            f"{low:.0f} to {high:.0f} px across in 8 of 10 images, so each has its own scale; {why}"
        )
        return None, round(wanted * found.diameter, 1)
    if start is None and SAME[0] <= wanted <= SAME[1]:
        reasons["factor"] = f"{now}, no scaling is needed; {why}"
        return 1.0, found.diameter
    reasons["factor"] = f"{now}; {why}"
    factor = float(f"{wanted:.3g}")
    return factor, factor * found.diameter


def _crop(found: SetStatistics, scales: np.ndarray, length: float, across: float) -> int:
    """Several cells wide, at least twice the longest, and not much larger than the images."""
    shorter = np.median([min(image.shape) * scale for image, scale in zip(found.images, scales, strict=True)])
    wanted = min(max(2 * length, 7 * across), float(shorter))
    return _between(_multiple(wanted, 32), *CROPS)


def _tiles(
    found: SetStatistics, scales: np.ndarray, length: float, crop: int, model: str
) -> tuple[int | None, int]:
    largest = max(max(image.shape) * scale for image, scale in zip(found.images, scales, strict=True))
    if model == "sparseseunet":  # its queries are for a crop
        return (crop, _multiple(min(length, crop / 2 - 31), 32)) if largest > 1.25 * crop else (None, 0)
    if largest <= MAX_WHOLE:
        return None, 0
    return 1024, min(_multiple(1.2 * length, 64), 512)


def _queries(found: SetStatistics, scales: np.ndarray, crop: int, reasons: dict[str, str]) -> int:
    """Half as many again as the fullest image has in a crop, if they lie twice as dense there."""
    most = max(
        len(image.areas) * min(1.0, 2 * (crop / scale) ** 2 / (image.shape[0] * image.shape[1]))
        for image, scale in zip(found.images, scales, strict=True)
    )
    reasons["num_queries"] = f"half as many again as cells in the fullest crop, about {most:.0f}"
    return max(20, _multiple(1.5 * most, 10))


def _multiple(value: float, step: int) -> int:
    """The smallest multiple of ``step`` that is not below ``value``."""
    return math.ceil(value / step) * step


def _between(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)
