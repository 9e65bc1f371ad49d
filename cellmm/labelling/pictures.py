"""Copies of images for programs that show only pictures of 8 bits."""

from pathlib import Path

import numpy as np
import tifffile

from cellmm.errors import CellMMError
from cellmm.io.files import atomic_path
from cellmm.io.sources import ImageSource
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
    image = np.moveaxis(source.read_all(), 2, 0)
    with atomic_path(path) as tmp:
        if len(image) == 1:
            tifffile.imwrite(tmp, image[0], photometric="minisblack", compression="zlib")
        else:
            tifffile.imwrite(
                tmp, image, photometric="minisblack", compression="zlib", metadata={"axes": "CYX"}
            )
