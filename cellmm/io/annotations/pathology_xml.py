"""XML of programs for histology: Aperio ImageScope (as in MoNuSeg and MoNuSAC), and ASAP."""

from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.annotations import outlines
from cellmm.io.annotations.base import AnnotatedCell, ImageAnnotation
from cellmm.io.annotations.collected import BOXES, CollectedCells, checked_cells, class_name
from cellmm.io.annotations.pixels import cell_runs, united
from cellmm.io.xml_file import read_xml, xml_tags
from cellmm.registry import ANNOTATION_READERS

RECTANGLE, ELLIPSE = "1", "2"
MARKS = {"3": "arrows", "4": "rulers", "5": "counted points"}
NO_NAMES = ("Description", "Name")  # of attributes that ImageScope adds itself
ASAP_KINDS = {"Dot": "points", "PointSet": "points", "Spline": "splines", "Rectangle": BOXES}


@ANNOTATION_READERS.register_module()
class AperioReader:
    """Regions of every layer; negative ones are cut out of the region they lie in. The class is the name of
    the layer, else that of its first attribute."""

    title = "Aperio ImageScope XML"
    suffixes = (".xml",)

    def recognises(self, path: Path) -> bool:
        tags = xml_tags(path)
        return tags[:1] == ["Annotations"] and ("Annotation" in tags[1:2] or len(tags) == 1)

    def read(self, path: Path) -> list[ImageAnnotation]:
        found = CollectedCells(path)
        for number, layer in enumerate(read_xml(path, "Annotations").iter("Annotation")):
            _read_layer(found, layer, number)
        return checked_cells(path, [found])


@ANNOTATION_READERS.register_module()
class AsapReader:
    """Polygons; the class is the group."""

    title = "ASAP XML"
    suffixes = (".xml",)

    def recognises(self, path: Path) -> bool:
        return xml_tags(path)[:1] == ["ASAP_Annotations"]

    def read(self, path: Path) -> list[ImageAnnotation]:
        found = CollectedCells(path)
        for number, annotation in enumerate(read_xml(path, "ASAP_Annotations").iter("Annotation")):
            kind = annotation.get("Type", "Polygon")
            if kind != "Polygon":
                found.leave_out(ASAP_KINDS.get(kind, f"shapes of the type {kind[:40]}"))
                continue
            what = f"annotation {number}"
            points = list(annotation.iter("Coordinate"))
            points.sort(key=lambda point: _number(found, point, "Order", what))
            group = class_name(annotation.get("PartOfGroup"))
            label = None if group == "None" else group
            found.add([_points(found, points, what)], what, label=label)
        return checked_cells(path, [found], "draw cells by polygons in ASAP")


def _read_layer(found: CollectedCells, layer: Element, number: int) -> None:
    label = class_name(layer.get("Name"))
    for attribute in layer.findall("Attributes/Attribute"):
        name = class_name(attribute.get("Name"))
        label = label or (name if name not in NO_NAMES else None)
    regions: dict[str, AnnotatedCell] = {}
    negative: list[tuple[str, AnnotatedCell]] = []
    holes = CollectedCells(found.path)
    for place, region in enumerate(layer.iter("Region")):
        what = f"layer {number}, region {region.get('Id', place)}"
        into = holes if region.get("NegativeROA") == "1" else found
        before = len(into.cells)
        _read_region(into, region, what, label)
        if into is found and len(into.cells) > before:
            regions[region.get("Id", f"place {place}")] = into.cells[-1]
        elif len(into.cells) > before:
            negative.append((region.get("InputRegionId", ""), into.cells[-1]))
    found.left_out += holes.left_out
    cut: dict[str, list[AnnotatedCell]] = {}
    for wanted, hole in negative:
        owners = [wanted] if wanted in regions else [name for name in regions if _holds(regions[name], hole)]
        for name in owners[:1]:
            cut.setdefault(name, []).append(hole)
        found.leave_out("negative regions outside of all regions", not owners)
    for name, without in cut.items():
        at = next(i for i, cell in enumerate(found.cells) if cell is regions[name])
        found.cells[at] = united(found.path, [regions[name]], without)


def _read_region(found: CollectedCells, region: Element, what: str, label: str | None) -> None:
    kind = region.get("Type", "0")
    if kind in MARKS:
        found.leave_out(MARKS[kind])
        return
    ring = _points(found, list(region.iter("Vertex")), what)
    if len(ring) and (kind == ELLIPSE or (kind == RECTANGLE and len(ring) == 2)):
        (x0, y0), (x1, y1) = ring.min(0).tolist(), ring.max(0).tolist()
        if kind == RECTANGLE:
            ring = outlines.rectangle(x0, y0, x1 - x0, y1 - y0)
        else:
            ring = outlines.ellipse((x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2)
    found.add([ring], what, label=label)


def _holds(cell: AnnotatedCell, hole: AnnotatedCell) -> bool:
    """Whether a corner of the hole lies within the outline."""
    corner = hole.rings[0][0]
    ring = cell.rings[0] - corner + 0.5
    return bool(cell_runs(AnnotatedCell(rings=[ring]), (1, 1)).areas()[0])


def _points(found: CollectedCells, elements: list[Element], what: str) -> np.ndarray:
    points = [[_number(found, element, name, what) for name in "XY"] for element in elements]
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def _number(found: CollectedCells, element: Element, name: str, what: str) -> float:
    text = element.get(name) or ""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise CellMMError(f"{found.path}: {what} has {name} {text!r:.60}: repair or remove it") from None
