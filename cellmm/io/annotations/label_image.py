"""Label images and TIFFs of label layers, such as _masks.tif of Cellpose."""

from pathlib import Path

import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.annotations.base import ImageAnnotation
from cellmm.io.annotations.collected import EMPTY, CollectedCells
from cellmm.io.image_file import ImageFile
from cellmm.io.layered_tiff import read_label_layers
from cellmm.registry import ANNOTATION_READERS
from cellmm.structures import LabelLayers, MaskRuns
from cellmm.structures.label_faults import label_faults

LOOK = 1024  # rows and columns that are looked at
ALIKE = 0.7  # of the pixels of cells, those whose right neighbour has the same number
PIECES = 4  # per number, where numbers are of cells
ENDINGS = ("_cp_masks", "_masks", "_mask", "_labels", "_label", "_seg", "_layers")


@ANNOTATION_READERS.register_module()
class LabelImageReader:
    """A number per cell. In a TIFF of several pages each page is a layer, and cells may overlap."""

    title = "label image"
    suffixes = (".tif", ".tiff", ".png", ".bmp")

    def recognises(self, path: Path) -> bool:
        try:
            with ImageFile(path, stored=True) as file:
                if (
                    "S" in file.axes
                    or "T" in file.axes
                    or file.dtype.kind not in "iub"
                    or file.kind == "JPEG"
                ):
                    return False
                label = file.read()
        except (CellMMError, OSError):
            return False
        if label.ndim not in (2, 3):
            return False
        label = label[..., :LOOK, :LOOK]
        cells = label != 0
        if not cells.any():
            return path.stem.lower().endswith(ENDINGS)
        alike = (label[..., 1:] == label[..., :-1])[cells[..., :-1]]
        if label.min() < 0 or (alike.size and alike.mean() < ALIKE):
            return False
        faults = label_faults(label.astype(np.int64))
        return faults.pieces <= PIECES * faults.ids

    def read(self, path: Path) -> list[ImageAnnotation]:
        layers = read_label_layers(path)
        stem = path.stem
        ending = next((text for text in ENDINGS if stem.lower().endswith(text)), "")
        found = CollectedCells(path, stem[: len(stem) - len(ending)] if ending else None, tuple(layers.shape))
        add_layers(found, layers)
        return [found.annotation()]


def add_labels(found: CollectedCells, label: np.ndarray) -> None:
    """The cells of a label image (H, W), in the order of their numbers."""
    try:
        add_layers(found, LabelLayers.from_label_image(label))
    except CellMMError as error:
        raise CellMMError(f"{found.path}: {error}") from error


def add_layers(found: CollectedCells, layers: LabelLayers) -> None:
    """The cells of label layers."""
    add_masks(found, MaskRuns.from_rles(layers.to_rles(), layers.shape))


def add_masks(found: CollectedCells, masks: MaskRuns, **fields: list) -> None:
    """The cells of masks; ``fields``: of AnnotatedCell, a value per mask."""
    for i in range(len(masks)):
        pixels, corner = masks.crop(i)
        if pixels.size == 0:
            found.leave_out(EMPTY)
        else:
            values = {name: value[i] for name, value in fields.items()}
            found.add_pixels(pixels, corner, f"mask {i}", **values)
