"""Pixels of one page of a TIFF, whole or a region of it."""

import logging
import math
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
import tifffile
from mmengine.logging import print_log

from cellmm.errors import CellMMError
from cellmm.io.complaints import AGAIN
from cellmm.io.memory import check_memory

Page = tifffile.TiffPage | tifffile.TiffFrame
Region = tuple[int, int, int, int]  # top, left, bottom, right; ends excluded
CACHED = 2**28
_JPEG = (6, 7, 33007, 34892)


class SegmentCache:
    """The strips and tiles that were decoded last: at most ``CACHED`` bytes, but always the last one.

    Regions beside each other share strips and tiles; with the cache each is decoded once. May be used by
    several threads.
    """

    def __init__(self) -> None:
        self.checked: set[tuple[str, int]] = set()  # pages, by file and offset
        self._parts: OrderedDict[tuple[str, int, int], tuple[np.ndarray | None, tuple]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: tuple[str, int, int]) -> tuple[np.ndarray | None, tuple] | None:
        """Pixels and place of a segment, by its file, the offset of its page and its number; or None."""
        with self._lock:
            if key in self._parts:
                self._parts.move_to_end(key)
            return self._parts.get(key)

    def put(self, key: tuple[str, int, int], pixels: np.ndarray | None, place: tuple) -> None:
        with self._lock:
            if key in self._parts:
                return
            self._parts[key] = pixels, place
            self._bytes += 0 if pixels is None else pixels.nbytes
            while self._bytes > CACHED and len(self._parts) > 1:
                _, (old, _) = self._parts.popitem(last=False)
                self._bytes -= 0 if old is None else old.nbytes


def read_page(
    path: Path, page: Page, first: tifffile.TiffPage, region: Region | None, cache: SegmentCache
) -> np.ndarray:
    """Pixels of the region (None: all) in native byte order; only its strips or tiles are decoded.

    ``first``: the page whose tags say what the numbers mean.
    The shape is (separate samples, depth, height, width, samples of a pixel).
    """
    key, file = page.keyframe, page.parent.filehandle
    closed = file.closed  # another file of a set
    if closed:
        file.open()
    try:
        if (file.path, page.offset) not in cache.checked:
            check_alike(path, page, first)
            _check_segments(path, page, file.size)
            cache.checked.add((file.path, page.offset))
        _, depth, height, width, _ = key.shaped
        whole = region is None or region == (0, 0, height, width)
        if key.is_memmappable and not whole:
            dtype = np.dtype(key.parent.byteorder + key.dtype.char)
            stored = file.memmap_array(dtype, key.shaped, page.dataoffsets[0])
            return native(_cut(stored, region))
        if depth > 1 or (whole and not _ends(key)):
            image = page.asarray(squeeze=False, maxworkers=1).reshape(key.shaped)
            return image if whole else _cut(image, region)
        return _segments(path, page, region or (0, 0, height, width), cache)
    finally:
        if closed:
            file.close()


def _ends(page: tifffile.TiffPage) -> bool:
    """Whether each strip or tile is a JPEG with its end; those of Hamamatsu go on in the next."""
    return page.compression in (7, 33007) and page.jpegheader is None


def native(image: np.ndarray) -> np.ndarray:
    """A copy in the byte order of this machine."""
    return np.array(image, dtype=image.dtype.newbyteorder("="))


def _cut(image: np.ndarray, region: Region) -> np.ndarray:
    top, left, bottom, right = region
    return image[:, :, top:bottom, left:right]


def _segments(path: Path, page: Page, region: Region, cache: SegmentCache) -> np.ndarray:
    """The region from the strips or tiles that it touches."""
    key = page.keyframe
    planes, _, height, width, samples = key.shaped
    top, left, bottom, right = region
    tall, wide = (key.tilelength, key.tilewidth) if key.is_tiled else (min(key.rowsperstrip, height), width)
    rows, columns = math.ceil(height / tall), math.ceil(width / wide)
    indices = [
        (plane * rows + row) * columns + column
        for plane in range(planes)
        for row in range(top // tall, math.ceil(bottom / tall))
        for column in range(left // wide, math.ceil(right / wide))
    ]
    check_memory(path, (tall, wide, samples), 2 * key.dtype.itemsize)
    ends = _ends(key)
    options = dict(jpegtables=page.jpegtables, jpegheader=key.jpegheader) if key.compression in _JPEG else {}
    out = np.full((planes, 1, bottom - top, right - left, samples), key.nodata, key.dtype)
    file = page.parent.filehandle
    known = {i: cache.get((file.path, page.offset, i)) for i in indices}
    new = [i for i in indices if known.get(i) is None]
    found = file.read_segments([page.dataoffsets[i] for i in new], [page.databytecounts[i] for i in new], new)
    for data, i in found:
        if data and ends and not data.rstrip(b"\0").endswith(b"\xff\xd9"):
            raise CellMMError(f"{path} is damaged, strip or tile {i} is a JPEG without an end: {AGAIN}")
        pixels, place, _ = key.decode(data, i, **options)
        known[i] = pixels, place
        cache.put((file.path, page.offset, i), pixels, place)
    for i in indices:
        pixels, (plane, _, y, x, _) = known[i]
        if pixels is None:
            continue
        y1, x1 = min(y + pixels.shape[1], bottom), min(x + pixels.shape[2], right)
        y0, x0 = max(y, top), max(x, left)
        out[plane, 0, y0 - top : y1 - top, x0 - left : x1 - left] = pixels[
            0, y0 - y : y1 - y, x0 - x : x1 - x
        ]
    return out


def check_alike(path: Path, page: Page, first: tifffile.TiffPage) -> None:
    """Raise CellMMError where a page is stored in another way than its key frame, or turned unlike ``first``.

    tifffile reads the tags of the first page of a description alone, and takes those of the others as equal.
    """
    if page is first or page.is_virtual:
        return
    with page.parent.filehandle.lock:
        own, key = page.aspage(), page.keyframe
    if own.hash != key.hash or own.is_contiguous != key.is_contiguous or _turn(own) != _turn(first):
        raise CellMMError(
            f"{path}: page {page.index} differs from the first page of the image in its compression, layout, "
            "photometric interpretation or orientation: save all pages in the same way"
        )


def _turn(page: tifffile.TiffPage) -> int:
    return int(page.tags.valueof("Orientation", 1))


def check_end(path: Path, page: tifffile.TiffPage, size: int) -> None:
    """Raise CellMMError where the pixels of a page end after the ``size`` of its file."""
    parts = zip(page.dataoffsets, page.databytecounts, strict=False)
    if max((start + count for start, count in parts), default=0) > size:
        raise CellMMError(f"{path} is cut off after {size} bytes: {AGAIN}")


def _check_segments(path: Path, page: tifffile.TiffPage, size: int) -> None:
    starts, counts = page.dataoffsets, page.databytecounts
    number = 1 if page.keyframe.is_contiguous else math.prod(page.keyframe.chunked)
    if not starts or min(len(starts), len(counts)) < number:
        raise CellMMError(f"{path} is damaged, it holds {len(starts)} of {number} strips or tiles: {AGAIN}")
    check_end(path, page, size)
    empty = sum(not (start and count) for start, count in zip(starts, counts, strict=False))
    if empty == len(starts):
        raise CellMMError(f"{path} is damaged, its strips or tiles are empty: {AGAIN}")
    if empty:
        print_log(
            f"{path}: {empty} of {number} strips or tiles are empty and read as {page.keyframe.nodata}; "
            f"{AGAIN} if they should hold pixels",
            logger="current",
            level=logging.WARNING,
        )
