"""LabelMe: a json file per image."""

import math
from pathlib import Path

from cellmm.errors import CellMMError
from cellmm.io.annotations import outlines
from cellmm.io.annotations.base import ImageAnnotation
from cellmm.io.annotations.collected import (
    BOX_CURE,
    BOXES,
    CollectedCells,
    checked_cells,
    class_name,
    dicts,
    file_name,
    stated_shape,
    word,
)
from cellmm.io.annotations.pixels import united_groups
from cellmm.io.annotations.png_masks import decode_png
from cellmm.io.coco_segmentations import short
from cellmm.io.json_file import json_keys, read_json
from cellmm.registry import ANNOTATION_READERS

KINDS = {"point": "points", "points": "points", "line": "lines", "linestrip": "lines"}


@ANNOTATION_READERS.register_module()
class LabelMeReader:
    """Polygons, circles, masks and, beside these, rectangles; shapes of one ``group_id`` and class are the
    parts of one cell."""

    title = "LabelMe json"
    suffixes = (".json",)

    def recognises(self, path: Path) -> bool:
        top, keys = json_keys(path)
        return top == "{" and "shapes" in keys[0] and bool({"imagePath", "version"} & keys[0])

    def read(self, path: Path) -> list[ImageAnnotation]:
        content = read_json(path)
        if not isinstance(content, dict):
            raise CellMMError(f"{path} is not a LabelMe json: export it again")
        shapes = dicts(path, content.get("shapes"), "shapes")
        found = CollectedCells(
            path,
            file_name(content.get("imagePath")),
            stated_shape(content.get("imageHeight"), content.get("imageWidth")),
        )
        kinds = {word(shape.get("shape_type", "polygon")) for shape in shapes}
        groups: list[str | None] = []
        for number, shape in enumerate(shapes):
            if kinds == {"rectangle"}:
                found.leave_out(BOXES)
                continue
            _read_shape(found, shape, f"shape {number}")
            group = shape.get("group_id")
            groups += [None if group is None else str(group)] * (len(found.cells) - len(groups))
        found.cells = united_groups(path, found.cells, groups)
        return checked_cells(path, [found], BOX_CURE)


def _read_shape(found: CollectedCells, shape: dict, what: str) -> None:
    kind, points = word(shape.get("shape_type", "polygon")), shape.get("points")
    fields = dict(label=class_name(shape.get("label")))
    if kind == "polygon":
        found.add([points], what, **fields)
    elif kind in ("circle", "rectangle", "mask"):
        (x0, y0), (x1, y1) = _two(found.path, points, what)
        if kind == "circle":
            radius = math.hypot(x1 - x0, y1 - y0)
            found.add([outlines.ellipse(x0, y0, radius, radius)], what, **fields)
        elif kind == "rectangle":
            found.add([outlines.rectangle(x0, y0, x1 - x0, y1 - y0)], what, **fields)
        else:
            mask = decode_png(shape.get("mask"), found.path, what)
            top, left = round(y0), round(x0)
            if mask.shape != (round(y1) - top + 1, round(x1) - left + 1):
                raise CellMMError(
                    f"{found.path}: {what} is a mask of {mask.shape} pixels from ({x0:g}, {y0:g}) to "
                    f"({x1:g}, {y1:g}), which does not fit: save it again"
                )
            found.add_pixels(mask, (top, left), what, **fields)
    else:
        found.leave_out(KINDS.get(kind, f"shapes of the kind {kind}"))


def _two(path: Path, points: object, what: str) -> tuple[tuple[float, float], tuple[float, float]]:
    try:
        (x0, y0), (x1, y1) = ((float(x), float(y)) for x, y in points)
        if not all(map(math.isfinite, (x0, y0, x1, y1))):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise CellMMError(
            f"{path}: {what} has points {short(points)}, not two places: repair or remove it"
        ) from None
    return (x0, y0), (x1, y1)
