"""Simulate what the examples train on: data/wells for cellmm_border, data/fiji for cellmm_offsets."""

import shutil
import struct
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from cellmm.io.layered_tiff import read_label_layers
from cellmm.simulation import make_dataset


def write_wells(simulated: Path, out: Path) -> None:
    """``out/train/0001/image.tif`` and ``cells.tif``, and so on, from the folder of ``make_dataset``."""
    for image in simulated.glob("*/images/*.tif"):
        well = out / image.parts[-3] / image.stem
        well.mkdir(parents=True)
        shutil.copy(image, well / "image.tif")
        shutil.copy(image.parents[1] / "layers" / image.name, well / "cells.tif")


def write_fiji(simulated: Path, out: Path) -> None:
    """``out/train/0001.tif`` and ``0001.zip``, a RoiSet with the outline of each cell's largest part."""
    for image in simulated.glob("*/images/*.tif"):
        path = out / image.parts[-3] / image.name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, path)
        masks = read_label_layers(image.parents[1] / "layers" / image.name).to_masks()
        with zipfile.ZipFile(path.with_suffix(".zip"), "w") as rois:
            for i, mask in enumerate(masks.astype(np.uint8), start=1):
                outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
                rois.writestr(f"{i:04}.roi", roi(max(outlines, key=cv2.contourArea).ravel()))


def roi(outline: Sequence[float], kind: int = 0) -> bytes:
    """What Fiji saves of a polygon x, y, x, y, ..., in whole pixels. ``kind``: 0 is a polygon, 2 an oval."""
    points = np.array(outline).reshape(-1, 2).astype(int)
    (left, top), (right, bottom) = points.min(0), points.max(0)
    header = b"Iout" + struct.pack(">hBx4hH", 228, kind, top, left, bottom, right, len(points))
    return header.ljust(64, b"\0") + (points - [left, top]).T.astype(">i2").tobytes()


def main(out: Path = Path("data")) -> None:
    for folder in (out / "wells", out / "fiji"):
        if folder.exists():
            sys.exit(f"{folder} exists; remove or rename it first")
    with tempfile.TemporaryDirectory() as folder:
        simulated = Path(folder) / "simulated"
        make_dataset(simulated, splits=dict(train=16, val=4, test=4), scene="small")
        write_wells(simulated, out / "wells")
        write_fiji(simulated, out / "fiji")


if __name__ == "__main__":
    main()
