"""Corrected cells as training data: images and their annotations, in folders."""

from pathlib import Path

import numpy as np
import tifffile

from cellmm.errors import CellMMError
from cellmm.io.files import atomic_path
from cellmm.io.layered_tiff import write_layered_tiff
from cellmm.io.sources import open_image
from cellmm.results import Instances
from cellmm.results.writers import RoiWriter
from cellmm.structures import LabelLayers

FORMATS = {"layered TIFF": ("labels", ".tif"), "Fiji ROIs": ("rois", ".zip")}


def save_training_data(
    folder: str | Path,
    name: str,
    image: np.ndarray,
    cells: LabelLayers,
    kind: str = "layered TIFF",
    *,
    rgb: bool = False,
) -> tuple[Path, Path]:
    """Write ``images/NAME.tif`` and ``labels/NAME.tif`` (or ``rois/NAME.zip``) below ``folder``.

    The annotation of an image that is there already is replaced.

    Args:
        image: (H, W) or (H, W, C).
        kind: one of ``FORMATS``; both keep overlap.
        rgb: its 3 channels are red, green and blue; else they are saved as channels of their own.

    Returns:
        the two files.

    Raises:
        CellMMError: another image of this name is there, or image and cells differ in size.
    """
    if tuple(cells.shape) != image.shape[:2]:
        raise CellMMError(f"{name}: cells of {cells.shape} pixels on an image of {image.shape[:2]}")
    subfolder, suffix = FORMATS[kind]
    target = Path(folder) / "images" / f"{name}.tif"
    annotation = Path(folder) / subfolder / f"{name}{suffix}"
    others = [Path(folder) / sub / f"{name}{end}" for sub, end in FORMATS.values() if sub != subfolder]
    for other in others:
        if other.exists():
            raise CellMMError(f"{other} annotates this image already: remove it, or save in its format")
    planes = image if image.ndim == 2 or rgb else np.moveaxis(image, -1, 0)
    if target.exists():
        if not np.array_equal(open_image(target).read_all(), np.atleast_3d(image)):
            raise CellMMError(f"{target} is another image: rename the layer, or take another folder")
    else:
        with atomic_path(target) as tmp:
            axes = {2: "YX", 3: "YXS" if rgb else "CYX"}[planes.ndim]
            photometric = "rgb" if axes == "YXS" else "minisblack"
            tifffile.imwrite(
                tmp, planes, photometric=photometric, metadata={"axes": axes}, compression="zlib"
            )
    if suffix == ".tif":
        write_layered_tiff(annotation, cells)
    else:
        RoiWriter().write(annotation, Instances.of_layers(cells, name), None)
    return target, annotation
