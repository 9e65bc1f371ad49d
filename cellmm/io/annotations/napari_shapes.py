"""The csv file of a shapes layer of napari."""

import csv
import math
from pathlib import Path

import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.annotations import outlines
from cellmm.io.annotations.base import ImageAnnotation
from cellmm.io.annotations.collected import CollectedCells, checked_cells
from cellmm.registry import ANNOTATION_READERS

COLUMNS = ["index", "shape-type", "vertex-index"]
AREAS = ("polygon", "rectangle", "ellipse")
CENTRE = 0.5  # napari's (0, 0) is the centre of the first pixel


@ANNOTATION_READERS.register_module()
class NapariShapesReader:
    """Polygons, rectangles and ellipses. Axes before row and column are the time, and others that are the
    same for all shapes."""

    title = "napari shapes csv"
    suffixes = (".csv",)

    def recognises(self, path: Path) -> bool:
        try:
            with open(path, encoding="utf-8-sig") as file:
                return file.readline().strip().split(",")[:4] == [*COLUMNS, "axis-0"]
        except (OSError, UnicodeDecodeError):
            return False

    def read(self, path: Path) -> list[ImageAnnotation]:
        found, planes = CollectedCells(path), set()
        for number, (kind, vertices) in _shapes(path).items():
            if kind not in AREAS:
                found.leave_out("lines" if kind in ("line", "path") else f"shapes of the type {kind[:40]}")
                continue
            places = np.unique(vertices[:, :-2].round(), axis=0)
            if len(places) > 1 or (places < 0).any():
                raise CellMMError(
                    f"{path}: shape {number} lies on several slices; draw a cell on one slice, or remove it"
                )
            planes.add(tuple(places[0][1:].tolist()))
            ring = vertices[:, :-3:-1] + CENTRE
            if kind == "ellipse":
                ring = _ellipse(path, number, ring)
            time = int(places[0][0]) if places.shape[1] else None
            found.add([ring], f"shape {number}", time=time)
        if len(planes) > 1:
            raise CellMMError(
                f"{path}: shapes on {len(planes)} slices of an axis that is not the time; save one csv "
                "per slice"
            )
        return checked_cells(path, [found], "outline cells by polygons in napari")


def _shapes(path: Path) -> dict[str, tuple[str, np.ndarray]]:
    """{index: (type, vertices float (K, D))}, in the order of the file."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            text = file.read()
        rows = list(csv.reader(text.splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CellMMError(f"{path} cannot be read ({error}): save it again in napari") from error
    if not text.endswith(("\n", "\r")):
        raise CellMMError(f"{path} is cut off in line {len(rows)}: save it again in napari")
    header = rows[0] if rows else []
    axes = [f"axis-{i}" for i in range(len(header) - len(COLUMNS))]
    if header != [*COLUMNS, *axes] or len(axes) < 2:
        raise CellMMError(f"{path} has not the columns of a shapes layer of napari: save it again there")
    shapes: dict[str, tuple[str, list[list[float]]]] = {}
    for line, row in enumerate(rows[1:], start=2):
        try:
            values = [float(text) for text in row[2:]]
            if len(values) != 1 + len(axes) or not all(map(math.isfinite, values)):
                raise ValueError
        except ValueError:
            raise CellMMError(f"{path}: line {line} is cut off or not of numbers: save it again") from None
        shapes.setdefault(row[0], (row[1], []))[1].append(values)
    return {number: (kind, np.array(sorted(rows))[:, 1:]) for number, (kind, rows) in shapes.items()}


def _ellipse(path: Path, number: str, corners: np.ndarray) -> np.ndarray:
    """The outline of an ellipse that fills a turned box, given by its corners (x, y)."""
    if len(corners) != 4:
        raise CellMMError(
            f"{path}: shape {number} is an ellipse of {len(corners)} corners, not 4: save it again"
        )
    x, y = corners.mean(0).tolist()
    across, down = ((corners[i] - corners[0]) / 2 for i in (1, 3))
    a, b = math.hypot(*across), math.hypot(*down)
    return outlines.ellipse(x, y, a, b, math.degrees(math.atan2(across[1], across[0])))
