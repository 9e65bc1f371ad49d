"""CVAT: the export 'CVAT for images 1.1'."""

from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.annotations import outlines
from cellmm.io.annotations.base import ImageAnnotation
from cellmm.io.annotations.collected import (
    BOXES,
    CollectedCells,
    checked_cells,
    class_name,
    file_name,
    stated_shape,
    whole,
)
from cellmm.io.annotations.pixels import united_groups
from cellmm.io.coco_segmentations import short
from cellmm.io.memory import MAX_VALUES
from cellmm.io.xml_file import read_xml, xml_tags
from cellmm.registry import ANNOTATION_READERS

KINDS = {"box": BOXES, "polyline": "lines", "points": "points", "cuboid": "cuboids", "skeleton": "skeletons"}
IGNORED = ("tag", "attribute")  # of the image as a whole


@ANNOTATION_READERS.register_module()
class CvatReader:
    """Polygons, masks and ellipses; shapes of one group and class are the parts of one cell."""

    title = "CVAT for images 1.1"
    suffixes = (".xml",)

    def recognises(self, path: Path) -> bool:
        tags = xml_tags(path)
        return tags[:1] == ["annotations"] and bool({"image", "meta", "track", "version"} & set(tags[1:3]))

    def read(self, path: Path) -> list[ImageAnnotation]:
        root = read_xml(path, "annotations")
        if root.find("track") is not None:
            raise CellMMError(
                f"{path} holds tracks of a video, which are drawn on key frames only: export it as 'CVAT for "
                "images 1.1'"
            )
        return checked_cells(path, [_read_image(path, image) for image in root.iter("image")])


def _read_image(path: Path, image: Element) -> CollectedCells:
    name = file_name(image.get("name"))
    shape = stated_shape(image.get("height"), image.get("width"))
    if name is None or shape is None:
        raise CellMMError(f"{path}: image {image.get('id')} has no name, width and height: export it again")
    found = CollectedCells(path, name, shape)
    groups: list[str | None] = []
    for number, element in enumerate(image):
        _read_shape(found, element, f"{name}, shape {number} ({element.tag})")
        group = element.get("group_id")
        groups += [group if group not in ("", "0") else None] * (len(found.cells) - len(groups))
    found.cells = united_groups(path, found.cells, groups)
    return found


def _read_shape(found: CollectedCells, element: Element, what: str) -> None:
    fields = dict(label=class_name(element.get("label")))
    if element.tag == "polygon":
        points = [pair.split(",") for pair in element.get("points", "").split(";") if pair.strip()]
        found.add([_numbers(found.path, points, what)], what, **fields)
    elif element.tag == "mask":
        pixels, corner = _mask(found.path, element, what)
        found.add_pixels(pixels, corner, what, **fields)
    elif element.tag == "ellipse":
        values = [element.get(name) for name in ("cx", "cy", "rx", "ry")] + [element.get("rotation", "0")]
        found.add([outlines.ellipse(*_numbers(found.path, values, what))], what, **fields)
    elif element.tag in KINDS:
        found.leave_out(KINDS[element.tag])
    elif element.tag not in IGNORED:
        found.leave_out(f"shapes of the kind {element.tag[:40]}")


def _mask(path: Path, element: Element, what: str) -> tuple[np.ndarray, tuple[int, int]]:
    """The pixels and their (top, left): runs of 0 and 1 in turn, row by row within a box."""
    box = [whole(element.get(name)) for name in ("top", "left", "height", "width")]
    runs = [whole(text) for text in element.get("rle", "").split(",")]
    if None in box or None in runs or min(runs) < 0 or min(box[2:]) < 1:
        raise CellMMError(
            f"{path}: {what} has no rle, left, top, width and height in numbers: export it again"
        )
    top, left, height, width = box
    if sum(runs) != height * width or sum(runs) > MAX_VALUES:
        raise CellMMError(
            f"{path}: {what} has runs of {sum(runs)} pixels in a box of {height}x{width}: export it again"
        )
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    return pixels, (top, left)


def encode_mask(mask: np.ndarray) -> str:
    """A mask in its box, bool (h, w), as CVAT writes its runs: background first, row by row.

    Examples:
        >>> encode_mask(np.array([[0, 1], [1, 1]], bool))
        '1, 3'
    """
    flat = mask.ravel().astype(np.int8)
    edges = np.flatnonzero(np.diff(flat, prepend=0))
    return ", ".join(map(str, np.diff(edges, prepend=0, append=flat.size).tolist()))


def _numbers(path: Path, texts: list, what: str) -> list:
    try:
        return np.array(texts, dtype=np.float64).tolist()
    except (TypeError, ValueError):
        raise CellMMError(f"{path}: {what} has the points {short(texts)}: repair or remove it") from None
