"""ROIs of ImageJ and Fiji: a .roi file, or the .zip of the ROI manager."""

import logging
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from roifile import ROI_OPTIONS, ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from cellmm.errors import CellMMError
from cellmm.io.annotations import outlines
from cellmm.io.annotations.base import ImageAnnotation
from cellmm.io.annotations.collected import CollectedCells, checked_cells, class_name
from cellmm.registry import ANNOTATION_READERS

MAGIC, ZIP_MAGIC = b"Iout", b"PK\3\4"
HEAD = 2**12
HEADER2_AT, HEADER2_SIZE = 60, 52  # where the place of the second header is stated, and its bytes
MOST_BYTES = 2**30  # of all ROIs of a zip, unpacked
DAMAGED = (ValueError, TypeError, IndexError, KeyError, struct.error, RuntimeError, AssertionError)
CURE = "outline cells by a selection with an area, such as Polygon or Freehand, in Fiji"
STEPS = {0: 2, 1: 2, 2: 4, 3: 6, 4: 0}  # coordinates after each command of a path
NO_AREA = {
    ROI_TYPE.LINE: "lines",
    ROI_TYPE.FREELINE: "lines",
    ROI_TYPE.POLYLINE: "lines",
    ROI_TYPE.ANGLE: "angles",
    ROI_TYPE.POINT: "points",
    ROI_TYPE.NOROI: "empty ROIs",
}
SUBTYPES = {
    ROI_SUBTYPE.TEXT: "texts",
    ROI_SUBTYPE.ARROW: "arrows",
    ROI_SUBTYPE.IMAGE: "pictures laid over the image",
}


@ANNOTATION_READERS.register_module()
class FijiRoiReader:
    """Every selection with an area is a cell; the class is that written by cellmm, or 'group 2' of Fiji.

    The time is the ROI's frame; in a stack without frames, its slice. An ROI that belongs to several focal
    planes or channels belongs to the image.
    """

    title = "Fiji ROIs"
    suffixes = (".roi", ".zip")

    def recognises(self, path: Path) -> bool:
        try:
            with open(path, "rb") as file:
                head = file.read(HEAD)
            if head.startswith(ZIP_MAGIC):
                return b".roi" in head or any(_is_roi(name) for name in zipfile.ZipFile(path).namelist())
            return head.startswith(MAGIC)
        except (OSError, zipfile.BadZipFile, NotImplementedError):
            return False

    def read(self, path: Path) -> list[ImageAnnotation]:
        found = CollectedCells(path)
        planes: set[int] = set()
        for name, data in _files(path, found):
            try:
                _check_whole(data)
                roi = ImagejRoi.frombytes(data)
                rings = _rings(roi)
            except DAMAGED as error:
                raise CellMMError(f"{path}: {name} is damaged ({error}): save it again in Fiji") from error
            if isinstance(rings, str):
                found.leave_out(rings)
            else:
                planes.add(roi.z_position)
                found.add(rings, name, label=_label(roi), time=_time(roi))
        times = {cell.time for cell in found.cells}
        if None in times and len(times) > 2:
            lost = sum(cell.time is None for cell in found.cells)
            raise CellMMError(
                f"{path}: {lost} of {len(found.cells)} ROIs belong to no frame, the others to several; give "
                "each its position in the ROI manager (Properties), or remove these"
            )
        if len(planes - {0}) > 1:
            print_log(
                f"{path}: ROIs of {len(planes - {0})} focal planes are taken as cells of one image; where "
                "the same cell is outlined on several planes, keep one outline",
                logger="current",
                level=logging.WARNING,
            )
        return checked_cells(path, [found], CURE)


def _is_roi(name: str) -> bool:
    return name.lower().endswith(".roi") and not name.startswith("__MACOSX/")


def _files(path: Path, found: CollectedCells) -> Iterator[tuple[str, bytes]]:
    """(name for messages, content) of each ROI."""
    try:
        data = path.read_bytes()
        if not data.startswith(ZIP_MAGIC):
            if not data.startswith(MAGIC):
                raise CellMMError(
                    f"{path} ({len(data)} bytes) is not an ROI of ImageJ: save it again in Fiji"
                )
            yield "the ROI", data
            return
        with zipfile.ZipFile(path) as file:
            entries = [entry for entry in file.infolist() if _is_roi(entry.filename)]
            others = [entry for entry in file.infolist() if not entry.is_dir() and entry not in entries]
            found.leave_out("files that are not ROIs", len(others))
            if not entries:
                raise CellMMError(f"{path} holds no .roi file: save it in Fiji's ROI manager")
            if (size := sum(entry.file_size for entry in entries)) > MOST_BYTES:
                raise CellMMError(
                    f"{path} unpacks to {size} bytes, more than 2^30: save its ROIs as several zips"
                )
            for entry in entries:
                yield entry.filename, file.read(entry)
    except OSError as error:
        raise CellMMError(f"{path} cannot be read ({error.strerror}): get the right to read it") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise CellMMError(f"{path} is damaged or cut off ({error}): copy or save it again") from error


def _check_whole(data: bytes) -> None:
    """Raise ValueError where the second header, or a text it points to, is cut off: roifile reads on."""
    (second,) = struct.unpack_from(">i", data, HEADER2_AT)
    if second <= 0:
        return
    name, name_length = struct.unpack_from(">ii", data, second + 16)
    props, props_length = struct.unpack_from(">ii", data, second + 40)
    ends = [second + HEADER2_SIZE]
    ends += [
        at + 2 * length for at, length in ((name, name_length), (props, props_length)) if at > 0 < length
    ]
    if max(ends) > len(data):
        raise ValueError(f"it ends after {len(data)} of {max(ends)} bytes")


def _rings(roi: ImagejRoi) -> list[np.ndarray] | str:
    """The outlines, or what the ROI is if it has no area."""
    if roi.subtype in SUBTYPES:
        return SUBTYPES[roi.subtype]
    if roi.composite:
        if roi.multi_coordinates is None:
            raise ValueError(f"a composite of type {int(roi.roitype)}")
        return _path(roi.multi_coordinates)
    if roi.roitype in NO_AREA:
        return NO_AREA[roi.roitype]
    if roi.roitype in (ROI_TYPE.RECT, ROI_TYPE.OVAL):
        left, top, width, height = roi.left, roi.top, roi.right - roi.left, roi.bottom - roi.top
        if roi.subpixelrect:
            left, top, width, height = roi.xd, roi.yd, roi.widthd, roi.heightd
        if roi.roitype == ROI_TYPE.OVAL:
            return [outlines.ellipse(left + width / 2, top + height / 2, width / 2, height / 2)]
        if roi.rounded_rect_arc_size:
            return [outlines.rounded_rectangle(left, top, width, height, roi.rounded_rect_arc_size)]
        return [outlines.rectangle(left, top, width, height)]
    if roi.roitype not in (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED):
        raise ValueError(f"type {int(roi.roitype)} is not known")
    ring = np.asarray(roi.coordinates(), dtype=np.float64)
    return [outlines.smooth(ring) if roi.options & ROI_OPTIONS.SPLINE_FIT else ring]


def _path(path: np.ndarray) -> list[np.ndarray]:
    """The closed outlines of a composite: commands with the points that each needs."""
    rings: list[list[list[float]]] = []
    values, at = path.tolist(), 0
    while at < len(values):
        command = values[at]
        if command not in STEPS or (command != 0 and not rings):
            raise ValueError(f"its path has the command {command:g} at {at}")
        points = values[at + 1 : at + 1 + STEPS[command]]
        if len(points) < STEPS[command]:
            raise ValueError("its path ends within a command")
        at += 1 + len(points)
        pairs = [points[i : i + 2] for i in range(0, len(points), 2)]
        if command == 0:
            rings.append(pairs)
        elif command == 1:
            rings[-1] += pairs
        elif command in (2, 3):
            rings[-1] += outlines.bezier([rings[-1][-1], *pairs]).tolist()
    rings.sort(key=lambda ring: len(ring) < 3)  # a path may end with a single step
    return [np.array(ring) for ring in rings]


def _label(roi: ImagejRoi) -> str | None:
    """The class that cellmm wrote, else Fiji's group."""
    written = class_name(str(roi.properties.get("class", "")))
    return written or (f"group {roi.group}" if roi.group else None)


def _time(roi: ImagejRoi) -> int | None:
    if roi.t_position > 0:
        return roi.t_position - 1
    is_plain = not (roi.c_position > 0 or roi.z_position > 0)
    return roi.position - 1 if roi.position > 0 and is_plain else None
