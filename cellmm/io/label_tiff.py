"""Label images as OME-TIFF; large ones are tiled and written in bands, which need little memory."""

import json
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tifffile

from cellmm.io.files import atomic_path
from cellmm.structures.mask_runs import MaskRuns
from cellmm.structures.painting import BAND, paint_bands

LARGE = 2**26  # pixels from which on the file is tiled; ImageJ without Bio-Formats reads no tiles
BIG = 2**31  # bytes without compression from which on the file is a BigTIFF
Page = tuple[MaskRuns, np.ndarray]  # masks in the order of painting, and their ids


def write_label_tiff(
    path: str | Path,
    pages: Sequence[Page],
    *,
    num_cells: int,
    pixel_size: tuple[float, float] | None = None,
    name: str = "",
) -> int:
    """Write one label image, or several as the channels of one file; 16 bit, or 32 for many cells.

    The description holds the number of cells for ``read_label_layers``, as some may have no pixel.

    Args:
        pages: masks of one image with ids from 1 to ``num_cells``; the last one counts where they overlap.
        pixel_size: (y, x) in micrometres.
        name: of the image.

    Returns:
        How many pixels of all pages hold an id.
    """
    height, width = pages[0][0].shape
    dtype = np.dtype(np.uint16 if num_cells < 2**16 else np.uint32)
    painted = 0

    def whole() -> Iterator[np.ndarray]:
        nonlocal painted
        for masks, ids in pages:
            page = np.empty((height, width), dtype=dtype)
            for top, band in paint_bands(masks, ids):
                page[top : top + len(band)] = band
            painted += int(np.count_nonzero(page))
            yield page

    def tiles() -> Iterator[np.ndarray]:
        nonlocal painted
        for masks, ids in pages:
            for _, band in paint_bands(masks, ids, BAND):
                painted += int(np.count_nonzero(band))
                filled = np.zeros((BAND, -(-width // BAND) * BAND), dtype=dtype)
                filled[: band.shape[0], :width] = band
                yield from np.split(filled, filled.shape[1] // BAND, axis=1)

    tiled = height * width >= LARGE
    layered = len(pages) > 1
    metadata = {
        "axes": "CYX" if layered else "YX",
        "Name": name or "cells",
        "Description": json.dumps({"num_cells": num_cells}),
        "UUID": str(uuid.uuid5(uuid.NAMESPACE_OID, f"cellmm {len(pages)} label images of {name}")),
    }
    if layered:
        metadata["Channel"] = {"Name": [f"layer {i + 1}" for i in range(len(pages))]}
    resolution: dict = {}
    if pixel_size is not None:
        for axis, size in zip("YX", pixel_size, strict=True):
            metadata |= {f"PhysicalSize{axis}": float(size), f"PhysicalSize{axis}Unit": "µm"}
        per_cm = tuple(1e4 / size for size in reversed(pixel_size))
        resolution = dict(resolution=per_cm, resolutionunit="CENTIMETER")
    with atomic_path(path) as tmp:
        tifffile.imwrite(
            tmp,
            tiles() if tiled else whole(),
            shape=(len(pages), height, width) if layered else (height, width),
            dtype=dtype,
            tile=(BAND, BAND) if tiled else None,
            ome=True,
            bigtiff=len(pages) * height * width * dtype.itemsize >= BIG,
            photometric="minisblack",
            compression="zlib",
            metadata=metadata,
            **resolution,
        )
    return painted
