"""Checks of a TIFF before it is read: its chain of pages ends, and its header fits them."""

import math
import re
import struct
from pathlib import Path

import tifffile

from cellmm.errors import CellMMError

MAX_PAGES = 100_000
_MEANINGS = (0, 1, 2, 3, 34892)  # white is zero, black is zero, RGB, palette, linear numbers of a sensor
_JPEG = (6, 7, 33007, 34892)  # compressions whose YCbCr tifffile turns into RGB
MAX_PLANES = 2**20  # that a header may state
_OME = re.compile(rb"<(?:\w+:)?Pixels\b[^>]*>")
_OME_SIZE = re.compile(rb'\bSize[CZT]\s*=\s*["\']\s*(\d+)')
_OME_PLANES = re.compile(
    rb'\b(?:NumPlanes|PlaneCount|IFD)\s*=\s*["\']\s*(\d+)|\bEnd\s*=\s*["\']\s*([\d.eE+]+)'
)
_IMAGEJ = re.compile(rb"^(?:images|channels|slices|frames)=(\d+)", re.MULTILINE)


def check_pages(path: Path) -> None:
    """Follow the pages of the file from one to the next.

    A file that is cut off or is not a TIFF is left to the reader.

    Raises:
        CellMMError: a page leads back to an earlier one or itself, or there are more than ``MAX_PAGES``.
    """
    with open(path, "rb") as file:
        head = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        try:
            big = struct.unpack(f"{order}H", head[2:4])[0] == 43 if order else False
            number, size, entry = ("Q", 8, 20) if big else ("I", 4, 12)
            count, count_size = ("Q", 8) if big else ("H", 2)
            offset = struct.unpack_from(f"{order}{number}", head, 8 if big else 4)[0] if order else 0
            seen: set[int] = set()
            while offset:
                if offset in seen:
                    raise CellMMError(
                        f"{path} is damaged, its page {len(seen)} leads back to an earlier one: copy or "
                        "export it again"
                    )
                if len(seen) == MAX_PAGES:
                    raise CellMMError(f"{path} has more than {MAX_PAGES} pages: save one image per file")
                seen.add(offset)
                file.seek(offset)
                tags = struct.unpack(f"{order}{count}", file.read(count_size))[0]
                file.seek(offset + count_size + entry * tags)
                offset = struct.unpack(f"{order}{number}", file.read(size))[0]
        except (struct.error, OverflowError, OSError):
            return


def check_description(path: Path, text: str) -> None:
    """Raise CellMMError where the description of a TIFF states more planes than a file can hold.

    Readers allocate a list of that length before they look for the planes.
    """
    data = text.encode(errors="replace")
    stated = [math.prod(map(int, _OME_SIZE.findall(header))) for header in _OME.findall(data)]
    if stated:
        stated += [int(float(a or b)) for a, b in _OME_PLANES.findall(data) if _is_number(a or b)]
    if data.startswith(b"ImageJ="):
        stated += map(int, _IMAGEJ.findall(data))
    if stated and max(stated) > MAX_PLANES:
        raise CellMMError(
            f"{path} states {max(stated)} planes, more than {MAX_PLANES}: its header is damaged, copy "
            "or export it again"
        )


def _is_number(text: bytes) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def check_meaning(path: Path, page: tifffile.TiffPage) -> None:
    """Raise CellMMError where the pixels of a page mean something else than grey, RGB or channels."""
    photometric, compression = int(page.photometric), int(page.compression)
    if compression != 1 and compression not in tifffile.TIFF.DECOMPRESSORS:
        name = getattr(page.compression, "name", compression)
        raise CellMMError(
            f"{path} is compressed by a method that is not read ({name}): save it with Deflate or LZW"
        )
    if page.dtype is None:
        raise CellMMError(
            f"{path} holds numbers of {page.bitspersample} bit in format {page.sampleformat}, which are not "
            "read: save it as 8 or 16 bit integers, or as float"
        )
    if photometric not in _MEANINGS and not (photometric == 6 and compression in _JPEG):
        name = getattr(page.photometric, "name", photometric)
        raise CellMMError(f"{path} holds colours as {name}, which are not read: save it as grey or RGB")
