"""Images of planes as TIFFs."""

from pathlib import Path

import numpy as np
import tifffile

from cellmm.io.files import atomic_path


def write_planes(path: str | Path, planes: np.ndarray, compression: str | None = None) -> None:
    """Write (C, H, W), of any type, as a grey TIFF of C channels, whole or not at all."""
    options = dict(photometric="minisblack", compression=compression)
    with atomic_path(path) as tmp:
        if len(planes) == 1:
            tifffile.imwrite(tmp, planes[0], **options)
        else:
            tifffile.imwrite(tmp, planes, metadata={"axes": "CYX"}, **options)
