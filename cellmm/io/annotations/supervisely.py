"""Supervisely: a json file per image."""

from pathlib import Path

import cv2
import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.annotations.base import ImageAnnotation
from cellmm.io.annotations.collected import (
    BOXES,
    CollectedCells,
    checked_cells,
    class_name,
    dicts,
    stated_shape,
    word,
)
from cellmm.io.annotations.png_masks import decode_png
from cellmm.io.coco_segmentations import short
from cellmm.io.file_index import IMAGE_SUFFIXES
from cellmm.io.json_file import json_keys, read_json
from cellmm.registry import ANNOTATION_READERS

KINDS = {"rectangle": BOXES, "point": "points", "line": "lines", "graph": "skeletons", "cuboid": "cuboids"}


@ANNOTATION_READERS.register_module()
class SuperviselyReader:
    """Bitmaps, and polygons with holes. Corners that are all whole numbers are pixels, which belong to the
    cell, as Supervisely draws them; others are places, (0, 0) the corner of the first pixel."""

    title = "Supervisely json"
    suffixes = (".json",)

    def recognises(self, path: Path) -> bool:
        top, keys = json_keys(path)
        return top == "{" and {"objects", "size"} <= keys[0]

    def read(self, path: Path) -> list[ImageAnnotation]:
        content = read_json(path)
        size = content.get("size") if isinstance(content, dict) else None
        shape = stated_shape(size.get("height"), size.get("width")) if isinstance(size, dict) else None
        if shape is None:
            raise CellMMError(f"{path} has no size of its image with height and width: export it again")
        name = path.stem if Path(path.stem).suffix.lower() in IMAGE_SUFFIXES else None  # a.png.json
        found = CollectedCells(path, name, shape)
        for number, item in enumerate(dicts(path, content.get("objects"), "objects")):
            _read_object(found, item, f"object {number}")
        return checked_cells(path, [found])


def _read_object(found: CollectedCells, item: dict, what: str) -> None:
    kind, fields = word(item.get("geometryType")), dict(label=class_name(item.get("classTitle")))
    if kind not in ("bitmap", "polygon"):
        found.leave_out(KINDS.get(kind, f"objects of the kind {kind}"))
        return
    part = item.get("bitmap" if kind == "bitmap" else "points")
    if not isinstance(part, dict):
        raise CellMMError(f"{found.path}: {what} is a {kind} without its pixels or points: export it again")
    if kind == "bitmap":
        pixels = decode_png(part.get("data"), found.path, what, packed=True)
        origin = part.get("origin")
        if not (isinstance(origin, list) and [type(value) for value in origin] == [int, int]):
            raise CellMMError(f"{found.path}: {what} has the origin {short(origin)}: export it again")
        found.add_pixels(pixels, (origin[1], origin[0]), what, **fields)
        return
    exterior, interior = part.get("exterior"), part.get("interior") or []
    before = len(found.cells)
    found.add([exterior, *interior] if isinstance(interior, list) else [exterior], what, **fields)
    if len(found.cells) > before and all((ring == ring.round()).all() for ring in found.cells[-1].rings):
        rings = found.cells.pop().rings
        found.add_pixels(*_drawn(found, rings), what, **fields)


def _drawn(found: CollectedCells, rings: list[np.ndarray]) -> tuple[np.ndarray, tuple[int, int]]:
    """The polygon drawn from pixel to pixel, with its outlines, within the image; and its (top, left)."""
    points = np.clip(np.concatenate(rings), 0, np.array(found.shape[::-1]) - 1)
    (left, top), (right, bottom) = points.min(0).astype(int).tolist(), points.max(0).astype(int).tolist()
    pixels = np.zeros((bottom - top + 1, right - left + 1), dtype=np.uint8)
    cv2.fillPoly(pixels, [(ring - (left, top)).astype(np.int32) for ring in rings], 1)
    return pixels > 0, (top, left)
