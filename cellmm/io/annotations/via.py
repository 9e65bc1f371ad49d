"""VGG Image Annotator, version 1 and 2: its project, or its annotations as json or csv."""

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cellmm.errors import CellMMError
from cellmm.io.annotations import outlines
from cellmm.io.annotations.base import ImageAnnotation
from cellmm.io.annotations.collected import (
    BOXES,
    CollectedCells,
    checked_cells,
    class_name,
    file_name,
    whole,
    word,
)
from cellmm.io.coco_segmentations import short
from cellmm.io.json_file import json_keys, read_json
from cellmm.registry import ANNOTATION_READERS

PROJECT = "_via_img_metadata"
COLUMNS = ("filename", "region_shape_attributes", "region_attributes")
KINDS = {"rect": BOXES, "point": "points", "polyline": "lines", "line": "lines"}
MAIN = ("label", "class", "type", "name")  # of several attributes, these are the class
RADII = dict(circle=("r", "r"), ellipse=("rx", "ry"))
Regions = list[tuple[Any, Any]]  # the shape and the attributes of each


@ANNOTATION_READERS.register_module()
class ViaReader:
    """Polygons, circles and ellipses; the class is the attribute of a region called label, class, type or
    name, or its only one."""

    title = "VIA (VGG Image Annotator)"
    suffixes = (".json", ".csv")

    def recognises(self, path: Path) -> bool:
        if path.suffix.lower() == ".csv":
            try:
                with open(path, encoding="utf-8-sig") as file:
                    columns = file.readline().strip().split(",")
                return all(name in columns for name in COLUMNS[1:])
            except (OSError, UnicodeDecodeError):
                return False
        top, keys = json_keys(path)
        return top == "{" and (PROJECT in keys[0] or {"filename", "regions"} <= keys[1])

    def read(self, path: Path) -> list[ImageAnnotation]:
        found = []
        rows = _from_csv(path) if path.suffix.lower() == ".csv" else _from_json(path)
        for name, regions in rows.items():
            cells = CollectedCells(path, name)
            for number, (shape, attributes) in enumerate(regions):
                _read_region(cells, shape, attributes, f"{name}, region {number}")
            found.append(cells)
        return checked_cells(path, found)


def _from_json(path: Path) -> dict[str, Regions]:
    content = read_json(path)
    content = content.get(PROJECT, content) if isinstance(content, dict) else content
    if not isinstance(content, dict):
        raise CellMMError(f"{path} is not a file of VIA: export its annotations again")
    images: dict[str, Regions] = {}
    for image in content.values():
        name = file_name(image.get("filename")) if isinstance(image, dict) else None
        regions = image.get("regions") if name else None
        regions = list(regions.values()) if isinstance(regions, dict) else regions  # VIA 1
        if not isinstance(regions, list) or not all(isinstance(region, dict) for region in regions):
            raise CellMMError(
                f"{path}: an image has no filename and list of regions: export it again from VIA"
            )
        pairs = [(region.get("shape_attributes"), region.get("region_attributes")) for region in regions]
        images.setdefault(name, []).extend(pairs)
    if not images:
        raise CellMMError(f"{path} holds no image: export it again from VIA")
    return images


def _from_csv(path: Path) -> dict[str, Regions]:
    images: dict[str, Regions] = {}
    stated: dict[str, str | None] = {}
    for line, row in _rows(path):
        if (name := file_name(row.get("filename"))) is None:
            raise CellMMError(f"{path}: line {line} has no filename: export it again from VIA")
        regions = images.setdefault(name, [])
        try:
            shape, attributes = (json.loads(row.get(column)) for column in COLUMNS[1:])
        except (ValueError, TypeError, RecursionError) as error:
            raise CellMMError(
                f"{path}: line {line} is damaged ({error}): export it again from VIA"
            ) from error
        if shape:  # an image without regions has a line, too
            regions.append((shape, attributes))
        stated[name] = row.get("region_count")
    if not images:
        raise CellMMError(f"{path} holds no image: export it again from VIA")
    for name, regions in images.items():
        if whole(stated[name]) not in (None, len(regions)):
            raise CellMMError(
                f"{path}: {name} has {len(regions)} of {stated[name]} regions: it is cut off, export it "
                "again from VIA"
            )
    return images


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            reader.fieldnames = [name.lstrip("#") for name in reader.fieldnames or ()]
            yield from ((reader.line_num, row) for row in reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CellMMError(f"{path} cannot be read ({error}): export it again from VIA") from error


def _read_region(cells: CollectedCells, shape: Any, attributes: Any, what: str) -> None:
    if not isinstance(shape, dict):
        raise CellMMError(f"{cells.path}: {what} has the shape {short(shape)}: export it again from VIA")
    kind, fields = word(shape.get("name")), dict(label=_label(attributes))
    if kind == "polygon":
        x, y = shape.get("all_points_x"), shape.get("all_points_y")
        if not isinstance(x, list) or not isinstance(y, list) or len(x) != len(y):
            raise CellMMError(f"{cells.path}: {what} has points without x or y: export it again from VIA")
        cells.add([[list(point) for point in zip(x, y, strict=True)]], what, **fields)
    elif kind in RADII:
        values = [shape.get(name) for name in ("cx", "cy", *RADII[kind])]
        turn = shape.get("theta") or 0.0  # radians
        if not all(type(value) in (int, float) for value in (*values, turn)):
            raise CellMMError(f"{cells.path}: {what} has the shape {short(shape)}: export it again from VIA")
        cells.add([outlines.ellipse(*values, math.degrees(turn))], what, **fields)
    else:
        cells.leave_out(KINDS.get(kind, f"shapes of the kind {kind}"))


def _label(attributes: Any) -> str | None:
    """The class that the attributes of a region name."""
    if not isinstance(attributes, dict):
        return None
    key = next((name for name in attributes if name.lower() in MAIN), None)
    if key is None and len(attributes) == 1:
        key = next(iter(attributes))
    value = attributes.get(key)
    if isinstance(value, dict):  # of a checkbox: {name: whether it is ticked}
        value = next((name for name, ticked in value.items() if ticked), None)
    return class_name(value)
