"""LabelLayers as a multi-page TIFF, one layer a page: viewers of label images open it, overlap is kept."""

import json
from pathlib import Path

import numpy as np
import tifffile

from cellmm.errors import CellMMError
from cellmm.structures.label_layers import LabelLayers
from cellmm.utils import atomic_path


def write_layered_tiff(path: str | Path, layers: LabelLayers) -> None:
    """Write ids as in ``layers``, 16 bit (32 bit from 65,536 instances on), compressed without loss.

    The description holds the number of instances, so that empty ones come back, too.
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


def read_layered_tiff(path: str | Path) -> LabelLayers:
    """Read a TIFF of one or more pages of labels; a single page is a label image.

    A file of ``write_layered_tiff`` gives the same layers and ids. In others the ids, counted over all pages,
    are renumbered 1..N in ascending order. What is no label image is a CellMMError that names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise CellMMError(f"{path} is absent: check the folder and the name")
    try:
        with tifffile.TiffFile(path) as tiff:
            pages = [series.asarray() for series in tiff.series]
            axes = tiff.series[0].axes
            description = tiff.pages[0].description
    except Exception as error:  # a damaged file can fail anywhere inside the decoder
        raise CellMMError(f"{path} cannot be read as a TIFF: {error}") from error
    shapes = {page.shape for page in pages}
    if len(shapes) != 1 or pages[0].ndim not in (2, 3) or axes.endswith("S"):
        raise CellMMError(
            f"{path} has pages of shapes {sorted(shapes)}, axes {axes}: label images of one size (H, W) are "
            "needed"
        )
    stack = np.concatenate([page.reshape(-1, *page.shape[-2:]) for page in pages])
    try:
        layers = LabelLayers.from_label_image(stack)
    except CellMMError as error:
        raise CellMMError(f"{path}: {error}") from error
    num = _num_cells(description)
    return layers if num is None or stack.max() > num else LabelLayers(stack, num=num)


def _num_cells(description: str) -> int | None:
    try:
        num = json.loads(description)["num_cells"]
    except (ValueError, TypeError, KeyError):
        return None
    return num if isinstance(num, int) else None
