"""Probability maps as images that Fiji and other programs open."""

from pathlib import Path

import numpy as np
import tifffile

from cellmm.io.files import atomic_path


def write_map(path: str | Path, probs: np.ndarray) -> None:
    """Write probabilities (H, W), 0 to 1, as a 16 bit TIFF of round(65535 p), compressed without loss."""
    values = (65535 * np.asarray(probs, np.float32)).round().astype(np.uint16)
    with atomic_path(path) as tmp:
        tifffile.imwrite(tmp, values, photometric="minisblack", compression="zlib")
