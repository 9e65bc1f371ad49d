"""Copies of images for programs that show only pictures of 8 bits."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.planes import write_planes
from cellmm.io.sources import ImageSource
from cellmm.labelling.ranking import RankedImage
from cellmm.results.run_folder import Record
from cellmm.visualization import save_picture, to_display

PICTURES = "images"  # the folder of the copies
FRAMES = "frames"  # the folder of images out of stacks, in full depth


def as_picture(image: np.ndarray) -> np.ndarray:
    """(H, W, C) as RGB uint8 (H, W, 3): grey and RGB of 8 bits unchanged, others as ``to_display``."""
    if image.dtype == np.uint8 and image.shape[2] in (1, 3):
        return np.broadcast_to(image, (*image.shape[:2], 3))
    return to_display(image)


def write_picture(path: Path, source: ImageSource) -> bool:
    """Write the PNG of an image, with a pixel for each of its pixels; whether values were stretched.

    Raises:
        CellMMError: it holds NaN or infinite values, or is too large for a PNG.
    """
    try:
        save_picture(path, as_picture(source.read_all()))
    except ValueError as error:
        raise CellMMError(
            f"{source.path or source.name}: it cannot be shown ({error}): leave it out"
        ) from error
    return not (source.dtype == np.uint8 and source.num_channels in (1, 3))


def write_frame(path: Path, source: ImageSource) -> None:
    """Write an image as a TIFF of its own, unchanged, with its channels as the first axis."""
    write_planes(path, np.moveaxis(source.read_all(), 2, 0), compression="zlib")


@dataclass
class WrittenImages:
    """What was written beside the proposals.

    Attributes:
        images: that can be shown, in order.
        failures: a line for each image that cannot.
        stretched: pictures that show other values than the image.
        frames: images out of stacks, which are files of their own.
    """

    images: list[RankedImage] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    stretched: int = 0
    frames: int = 0


def write_images(
    out: Path,
    ranked: Iterable[RankedImage],
    most: int | None,
    open_source: Callable[[Record], ImageSource],
    *,
    pictures: bool,
) -> WrittenImages:
    """Write the pictures, and the frames of stacks, of the first ``most`` images that can be shown.

    Args:
        most: None: all of them.
        open_source: opens the image of a record.
        pictures: write pictures; else just frames.
    """
    written = WrittenImages()
    for image in ranked:
        if len(written.images) == most:
            break
        record = image.record
        try:
            source = open_source(record)
            if record.total > 1:
                write_frame(out / FRAMES / f"{record.stem}.tif", source)
            if pictures:
                written.stretched += write_picture(out / PICTURES / f"{record.stem}.png", source)
        except CellMMError as error:
            written.failures.append(str(error))
            continue
        written.frames += record.total > 1
        written.images.append(image)
    return written
