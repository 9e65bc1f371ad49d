"""Images of counts as TIFFs."""

from pathlib import Path

import numpy as np
import tifffile

from cellmm.io.files import atomic_path


def write_planes(path: str | Path, planes: np.ndarray) -> None:
    """Write (C, H, W), of any type, as a grey TIFF of C channels, whole or not at all."""
    with atomic_path(path) as tmp:
        if len(planes) == 1:
            tifffile.imwrite(tmp, planes[0], photometric="minisblack")
        else:
            tifffile.imwrite(tmp, planes, photometric="minisblack", metadata={"axes": "CYX"})
