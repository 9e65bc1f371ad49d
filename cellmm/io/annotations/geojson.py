"""GeoJSON, as QuPath exports objects."""

from pathlib import Path
from typing import Any

from cellmm.errors import CellMMError
from cellmm.io.annotations.base import AnnotatedCell, ImageAnnotation
from cellmm.io.annotations.collected import CollectedCells, checked_cells, class_name, dicts, whole, word
from cellmm.io.annotations.pixels import united
from cellmm.io.coco_segmentations import short
from cellmm.io.json_file import json_keys, read_json
from cellmm.registry import ANNOTATION_READERS

LINES = {
    "Point": "points",
    "MultiPoint": "points",
    "LineString": "lines",
    "MultiLineString": "lines",
}
FOUND = ("detection", "cell")
NOT_CELLS = {"tile": "tiles", "tma_core": "TMA cores", "root": "whole images"}


@ANNOTATION_READERS.register_module()
class GeoJSONReader:
    """Polygons with holes, in pixels; ``classification`` is the class.

    Annotations beside detections or cells are regions in which QuPath searched, and left out; so are the
    nuclei within cells. Objects of the class 'Ignore*' are regions that are not learned.
    """

    title = "QuPath GeoJSON"
    suffixes = (".geojson", ".json")

    def recognises(self, path: Path) -> bool:
        top, keys = json_keys(path)
        if top == "[":
            return {"geometry", "type"} <= keys[1]
        return {"type", "features"} <= keys[0] or {"type", "geometry"} <= keys[0]

    def read(self, path: Path) -> list[ImageAnnotation]:
        content = read_json(path)
        if isinstance(content, dict):
            content = content["features"] if "features" in content else [content]
        elif not content:
            raise CellMMError(f"{path} holds no object: annotate, and export it again")
        features = dicts(path, content, "features")
        types = [word(_properties(feature).get("objectType")) for feature in features]
        found = CollectedCells(path)
        for number, (feature, kind) in enumerate(zip(features, types, strict=True)):
            if kind == "annotation" and any(other in FOUND for other in types):
                found.leave_out("annotations around detections, which are regions and not cells")
            elif kind in NOT_CELLS:
                found.leave_out(NOT_CELLS[kind])
            else:
                _read_feature(found, feature, f"feature {number}")
        if any(cell.time for cell in found.cells):
            return checked_cells(path, [found])
        found.cells = [_without_time(cell) for cell in found.cells]
        return checked_cells(path, [found], "outline cells by areas, such as polygons")


def _read_feature(found: CollectedCells, feature: dict, what: str) -> None:
    geometry = feature.get("geometry")
    if not isinstance(geometry, dict):
        raise CellMMError(f"{found.path}: {what} has no geometry: export it again")
    label = _class(_properties(feature))
    if label is not None and label.startswith("Region*"):
        found.leave_out("objects of the class Region*")
        return
    found.leave_out("nuclei within cells", feature.get("nucleusGeometry") is not None)
    fields = dict(label=label, iscrowd=label is not None and label.startswith("Ignore*"))
    plane = geometry.get("plane")
    time = whole(plane.get("t")) if isinstance(plane, dict) else None
    before = len(found.cells)
    for polygon in _polygons(found, geometry, what):
        if not isinstance(polygon, list) or not polygon:
            raise CellMMError(f"{found.path}: {what} has the polygon {short(polygon)}: export it again")
        found.add(polygon, what, time=time or 0, **fields)
    if len(parts := found.cells[before:]) > 1:
        found.cells[before:] = [_joined(found.path, parts)]


def _polygons(found: CollectedCells, geometry: dict, what: str) -> list[Any]:
    """The polygons of a geometry, each a list of rings."""
    kind = word(geometry.get("type"))
    if kind == "GeometryCollection":
        parts = dicts(found.path, geometry.get("geometries"), f"geometries of {what}")
        if any(part.get("type") == kind for part in parts):
            raise CellMMError(f"{found.path}: {what} has collections within each other: export it again")
        return [polygon for part in parts for polygon in _polygons(found, part, what)]
    coordinates = geometry.get("coordinates")
    if kind in LINES:
        found.leave_out(LINES[kind])
        return []
    if kind not in ("Polygon", "MultiPolygon") or not isinstance(coordinates, list):
        raise CellMMError(f"{found.path}: {what} is a {kind} without an outline: export it again")
    if not coordinates:
        found.leave_out("empty geometries")
    return [coordinates] if kind == "Polygon" and coordinates else coordinates


def _joined(path: Path, parts: list[AnnotatedCell]) -> AnnotatedCell:
    """One cell of several parts, which keeps its outlines where the boxes of the parts are apart."""
    boxes = [(part.rings[0].min(0), part.rings[0].max(0)) for part in parts]
    apart = all(
        (low > other_high).any() or (other_low > high).any()
        for i, (low, high) in enumerate(boxes)
        for other_low, other_high in boxes[:i]
    )
    if not apart:
        return united(path, parts)
    rings = [ring for part in parts for ring in part.rings]
    first = parts[0]
    return AnnotatedCell(rings=rings, label=first.label, iscrowd=first.iscrowd, time=first.time)


def _without_time(cell: AnnotatedCell) -> AnnotatedCell:
    return AnnotatedCell(cell.rings, cell.pixels, cell.corner, cell.label, cell.iscrowd)


def _properties(feature: dict) -> dict:
    properties = feature.get("properties")
    return properties if isinstance(properties, dict) else {}


def _class(properties: dict) -> str | None:
    """The name of the classification: a text, a dict with ``name``, or with ``names``, one of each level."""
    found = properties.get("classification")
    if isinstance(found, dict):
        names = found.get("names")
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            found = ": ".join(names)
        else:
            found = found.get("name")
    return class_name(found)
