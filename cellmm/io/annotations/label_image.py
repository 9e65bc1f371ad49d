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

LOOK, PAGES = 1024, 8  # rows and columns, and pages, that are looked at
ALIKE = 0.7  # of the pixels of cells, those whose right neighbour has the same number
PIECES = 4  # per number, where numbers are of cells
ENDINGS = ("_cp_masks", "_masks", "_mask", "_labels", "_label", "_seg", "_layers")


@ANNOTATION_READERS.register_module()
class LabelImageReader:
    """A number per cell.

    The pages of a TIFF are time points where it says so, or where the same numbers are on several pages.
    Otherwise they are layers, and cells may overlap.
    """

    title = "label image"
    suffixes = (".tif", ".tiff", ".png", ".bmp")

    def recognises(self, path: Path) -> bool:
        try:
            with ImageFile(path, stored=True) as file:
                axes = file.axes
                if axes[-2:] != "YX" or len(axes) > 3 or file.dtype.kind not in "iub" or file.kind == "JPEG":
                    return False
                top, left = (max(side - LOOK, 0) // 2 for side in file.shape[-2:])
                region = (top, left, *(np.minimum((top + LOOK, left + LOOK), file.shape[-2:]).tolist()))
                num = file.shape[0] if len(axes) == 3 else 1
                numbers = [{axes[0]: i} if len(axes) == 3 else {} for i in range(min(num, PAGES))]
                label = np.stack([file.read(region, **number) for number in numbers]).astype(np.int64)
        except (CellMMError, OSError):
            return False
        cells = label != 0
        if not cells.any():
            return path.stem.lower().endswith(ENDINGS)
        alike = (label[..., 1:] == label[..., :-1])[cells[..., :-1]]
        if label.min() < 0 or (alike.size and alike.mean() < ALIKE):
            return False
        faults = [label_faults(page) for page in label]
        return sum(fault.pieces for fault in faults) <= PIECES * sum(fault.ids for fault in faults)

    def read(self, path: Path) -> list[ImageAnnotation]:
        frames = _frames(path)
        stem = path.stem
        ending = next((text for text in ENDINGS if stem.lower().endswith(text)), "")
        found = CollectedCells(path, stem[: len(stem) - len(ending)] if ending else None, frames[0].shape)
        for time, layers in enumerate(frames):
            add_layers(found, layers, time if len(frames) > 1 else None)
        return [found.annotation()]


def _frames(path: Path) -> list[LabelLayers]:
    """The layers of each time point."""
    with ImageFile(path, stored=True) as file:
        axes, pages = file.axes, file.read() if len(file.axes) == 3 and "S" not in file.axes else None
    if pages is None:
        return [read_label_layers(path)]
    ids = np.concatenate([np.unique(page[page != 0]) for page in pages])
    if axes[0] != "T" and len(np.unique(ids)) == len(ids):
        return [read_label_layers(path)]
    try:
        return [LabelLayers.from_label_image(page) for page in pages]
    except CellMMError as error:
        raise CellMMError(f"{path}: {error}") from error


def add_labels(found: CollectedCells, label: np.ndarray) -> None:
    """The cells of a label image (H, W), in the order of their numbers."""
    try:
        add_layers(found, LabelLayers.from_label_image(label))
    except CellMMError as error:
        raise CellMMError(f"{found.path}: {error}") from error


def add_layers(found: CollectedCells, layers: LabelLayers, time: int | None = None) -> None:
    """The cells of the label layers of a time point."""
    masks = MaskRuns.from_rles(layers.to_rles(), layers.shape)
    add_masks(found, masks, time=[time] * len(masks))


def add_masks(found: CollectedCells, masks: MaskRuns, **fields: list) -> None:
    """The cells of masks; ``fields``: of AnnotatedCell, a value per mask."""
    for i in range(len(masks)):
        pixels, corner = masks.crop(i)
        if pixels.size == 0:
            found.leave_out(EMPTY)
        else:
            values = {name: value[i] for name, value in fields.items()}
            found.add_pixels(pixels, corner, f"mask {i}", **values)
