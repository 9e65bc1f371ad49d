"""LabelLayers in files: label images, and multi-page TIFFs with one layer per page, which keep overlap."""

import html
import re
import struct
from pathlib import Path

import numpy as np
import tifffile

from cellmm.errors import CellMMError
from cellmm.io.files import atomic_path
from cellmm.io.image_file import ImageFile
from cellmm.structures.label_layers import LabelLayers


def write_layered_tiff(path: str | Path, layers: LabelLayers) -> None:
    """Write ids as in ``layers``, 16 bit (32 bit from 65,536 instances on), compressed without loss.

    The description holds the number of instances, so that empty ones survive, too.

    Examples:
        >>> import tempfile
        >>> masks = np.zeros((2, 4, 6), bool)
        >>> masks[0, 1:3, :4] = masks[1, 1:3, 3:] = True
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_layered_tiff(f"{folder}/cells.tif", LabelLayers.from_masks(masks))
        ...     cells = read_label_layers(f"{folder}/cells.tif")
        >>> np.array_equal(cells.to_masks(), masks)
        True
    """
    dtype = np.uint16 if len(layers) < 2**16 else np.uint32
    with atomic_path(path) as tmp:
        tifffile.imwrite(
            tmp,
            layers.layers.astype(dtype),
            photometric="minisblack",
            compression="zlib",
            metadata={"axes": "QYX", "num_cells": len(layers)},
        )


def read_label_layers(path: str | Path) -> LabelLayers:
    """A label image (PNG, TIFF, BMP), or a TIFF whose pages are layers with ids counted over all of them.

    A file of ``write_layered_tiff`` gives the same layers and ids. In others the ids, any positive whole
    numbers, are renumbered 1..N in ascending order. Ids of a TIFF or PNG are the numbers as stored, also
    where white is zero or a palette gives them colours. A file that is not a label image raises a
    CellMMError that names it.
    """
    path = Path(path)
    label, layers = read_ids(path)
    num = _num_cells(path)
    return layers if num is None or label.max() > num else LabelLayers(label, num=num)


def read_ids(path: str | Path) -> tuple[np.ndarray, LabelLayers]:
    """The ids of a label image as in the file, (H, W) or (L, H, W), and renumbered 1..N.

    A file that is not a label image raises a CellMMError that names it.
    """
    path = Path(path)
    with ImageFile(path, stored=True) as file:
        if file.kind == "JPEG":
            raise CellMMError(f"{path}: JPEG changes the numbers of cells; save label images as PNG or TIFF")
        if "T" in file.axes:
            raise CellMMError(
                f"{path} has {file.shape[file.axes.index('T')]} time points: save one label image per file"
            )
        if file.white_is_zero and file.dtype == bool:
            raise CellMMError(
                f"{path} has 1 bit and white is zero, which leaves open what the cells are: save the ids as "
                "16 bit"
            )
        label, axes = file.read(), file.axes
    if "S" in axes:
        raise CellMMError(
            f"{path} is a colour image of shape {label.shape}, not a label image: save the ids as 16 bit"
        )
    try:
        return label, LabelLayers.from_label_image(label)
    except CellMMError as error:
        raise CellMMError(f"{path}: {error}") from error


def written_by_cellmm(path: str | Path) -> bool:
    """Whether a file is a label TIFF of cellmm; other files, of whatever kind, are not."""
    try:
        return _num_cells(Path(path)) is not None
    except (OSError, ValueError, IndexError, struct.error, tifffile.TiffFileError):
        return False


def _num_cells(path: Path) -> int | None:
    """The number of cells, with empty ones, as cellmm's writers note it; None in other files."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return None
    with tifffile.TiffFile(path) as tiff:
        description = tiff.pages[0].description
    found = re.search(r'"num_cells": (\d+)', html.unescape(description))
    return int(found[1]) if found else None
