"""The cells of annotation files, as the dicts of a dataset."""

from collections.abc import Sequence
from pathlib import Path

from cellmm.datasets.folders.pairing import Unit
from cellmm.errors import CellMMError
from cellmm.io.annotations import AnnotatedCell, AnnotationReader, CocoReader, cell_runs
from cellmm.io.coco_index import read_coco_index
from cellmm.io.image_file import ImageFile
from cellmm.io.sources import ImageSource, ReadOptions, open_images
from cellmm.structures import MaskRuns


def read_units(root: Path, reader: AnnotationReader, files: Sequence[str]) -> tuple[list[Unit], list[str]]:
    """What annotation files hold, and the names of their classes: in the order of a COCO json, else sorted.

    A class None stands for cells whose class is not named.
    """
    units: list[Unit] = []
    classes: dict[str, None] = {}
    for file in files:
        if isinstance(reader, CocoReader):
            index = read_coco_index(root / file)
            classes |= dict.fromkeys(name for _, name in sorted(index["categories"].items()))
            units += [
                Unit(
                    file,
                    tuple(image["files"]),
                    alone=False,
                    instances=[
                        {key: cell[key] for key in ("segmentation", "iscrowd", "area")}
                        | {"label": index["categories"][cell["category_id"]]}
                        for cell in image["instances"]
                    ],
                    shape=(image["height"], image["width"]),
                )
                for image in index["images"]
            ]
            continue
        found = reader.read(root / file)
        units += [
            Unit(
                file,
                () if image.image is None else (image.image,),
                alone=len(found) == 1,
                found=image,
                shape=image.shape,
            )
            for image in found
        ]
    labels = {cell.label for unit in units if unit.found is not None for cell in unit.found.cells}
    return units, list(classes) or sorted(label for label in labels if label is not None)


def instances_of(cells: Sequence[AnnotatedCell], shape: tuple[int, int]) -> list[dict]:
    """Cells as ``instances`` of CellDataset, with the names of their classes."""
    runs = MaskRuns.concatenate([MaskRuns.empty(shape), *(cell_runs(cell, shape) for cell in cells)])
    return [
        {"segmentation": mask, "label": cell.label, "iscrowd": int(cell.iscrowd), "area": None}
        for mask, cell in zip(runs.to_rles(), cells, strict=True)
    ]


def frames_of(path: Path) -> list[ImageSource]:
    """The images of a file: one, or the frames of a film.

    Raises:
        CellMMError: it cannot be read, or holds several fields of view.
    """
    try:
        sources = open_images(path)
    except CellMMError:
        sources = open_images(path, ReadOptions(z="max"))  # planes are chosen when the pixels are read
    if len({source.position for source in sources}) > 1:
        raise CellMMError(
            f"{path} holds {len({source.position for source in sources})} fields of view: save each as an "
            "image of its own"
        )
    return sources


def pages_of(path: Path, count: int) -> list[ImageSource]:
    """The ``count`` focal planes, or pages without a name, of a file as images; else []."""
    with ImageFile(path) as file:
        sizes = {axis: n for axis, n in zip(file.axes, file.shape, strict=True) if axis not in "YXCSTR"}
    if list(sizes.values()) != [count]:
        return []
    axis = "z" if "Z" in sizes else "time"
    return [open_images(path, ReadOptions(**{axis: number}))[0] for number in range(count)]


def label_layout(path: Path) -> tuple[str, tuple[int, ...]]:
    """The axes and the shape of a label image.

    Raises:
        CellMMError: it cannot hold a number per cell.
    """
    with ImageFile(path, stored=True) as file:
        axes, shape, kind, dtype = file.axes, file.shape, file.kind, file.dtype
    if kind == "JPEG":
        raise CellMMError(f"{path}: JPEG changes the numbers of cells; save label images as PNG or TIFF")
    if "S" in axes:
        raise CellMMError(
            f"{path} is a colour image of shape {shape}, not a label image: save the ids as 16 bit"
        )
    if len(axes) > 3 or dtype.kind not in "biuf":
        raise CellMMError(
            f"{path} has shape {shape} and type {dtype}, not that of a label image (H, W) or of layers "
            "(L, H, W): save one label image per file"
        )
    return axes, shape
