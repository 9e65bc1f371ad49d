"""Read microscope images and masks from PNG, TIFF, JPEG and BMP files, or say what is wrong.

A file that is absent, cut off, of an unusable type or not finite raises a ``CellMMError`` that names it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.image_file import ImageFile
from cellmm.io.sources import ImageSource, ReadOptions, open_image
from cellmm.io.sources.grey import read_grey

EXACT_IN_FLOAT32 = 2**24


def read_image(
    image: str | Path | Sequence[str | Path] | np.ndarray | ImageSource,
    options: ReadOptions | None = None,
    *,
    grey: bool = False,
    **fields: Any,
) -> np.ndarray:
    """One image as float32 (H, W, C), its values unscaled.

    Args:
        image: a file, several files whose channels are joined, an array or a source.
        options: which part of the file; a file with several time points or positions needs a choice.
        fields: those of ReadOptions, in place of ``options``.
        grey: one channel per file is wanted: RGB with three equal samples at each pixel becomes grey.

    Raises:
        CellMMError: it cannot be read, or its values do not fit float32.
    """
    source = image if hasattr(image, "read_all") else open_image(image, options or ReadOptions(**fields))
    pixels = read_grey(source) if grey else source.read_all()
    return to_float32(pixels, source.path or source.name)


def read_mask(path: str | Path) -> np.ndarray:
    """The mask of one cell, bool (H, W), from a file of 0 and one other value."""
    with ImageFile(path) as file:
        stored = file.white_is_zero
    with ImageFile(path, stored=stored) as file:
        if file.white_is_zero:
            raise CellMMError(
                f"{path} is a TIFF in which white is zero, which leaves open what the cell is: save the mask "
                "as PNG, with 0 outside of the cell"
            )
        mask, axes = file.read(), file.axes
    if mask.ndim == 3 and axes.endswith("S") and (mask[..., :3] == mask[..., :1]).all():
        mask = mask[..., 0]
    if mask.ndim != 2:
        raise CellMMError(f"{path} has shape {mask.shape}: a mask of one cell is one grey image")
    cell = mask != 0
    if (mask[cell] != mask[cell][:1]).any():
        raise CellMMError(
            f"{path} holds {len(np.unique(mask))} values, a mask of one cell 0 and one other: "
            "threshold it, or read it as a label image"
        )
    return cell


def to_float32(image: np.ndarray, path: str | Path) -> np.ndarray:
    """The values of ``image`` as float32, unscaled.

    Args:
        path: what messages call the image.

    Raises:
        CellMMError: a value is not finite, or not exact in float32.
    """
    if np.issubdtype(image.dtype, np.floating):
        if bad := int(np.count_nonzero(~np.isfinite(image))):
            raise CellMMError(
                f"{path}: {bad} of {image.size} values are NaN or infinite; repair or leave out the file"
            )
        if np.abs(image).max() > np.finfo(np.float32).max:
            raise CellMMError(
                f"{path}: values up to {np.abs(image).max():g} do not fit float32; rescale the image"
            )
    elif np.issubdtype(image.dtype, np.integer):
        if image.dtype.itemsize > 2 and max(int(image.max()), -int(image.min())) > EXACT_IN_FLOAT32:
            raise CellMMError(
                f"{path}: {image.dtype} values above 2^24 are not exact in float32; save as 16 bit"
            )
    elif image.dtype != bool:
        raise CellMMError(f"{path} has type {image.dtype}: save it as 8 or 16 bit integers, or as float")
    return np.ascontiguousarray(image, dtype=np.float32)
