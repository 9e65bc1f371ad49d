"""PNG, JPEG and BMP: the header, and the pixels as OpenCV decodes them."""

import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.complaints import AGAIN, stderr_complaints
from cellmm.io.file_layout import FileLayout, plausible, upright
from cellmm.io.memory import MAX_VALUES, check_size

KINDS = {b"\x89PNG": "PNG", b"\xff\xd8": "JPEG", b"BM": "BMP"}
_ENDS = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}
_PNG_SAMPLES = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type: grey, RGB, palette, grey and alpha, RGBA
_SOF = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG markers with the size of the image


class PictureFile:
    """An image file of one picture: grey, grey and alpha, RGB or RGBA, turned as its EXIF says.

    A palette is replaced by its colours; ``stored``: the numbers of a PNG's palette, for label images. Alpha
    is never multiplied into colours.
    """

    white_is_zero = False

    def __init__(self, path: Path, kind: str, *, level: int, position: int | None, stored: bool) -> None:
        if level or position:
            raise CellMMError(
                f"{path} is a {kind}, which has one level and one position: leave out level and position"
            )
        self.path, self.kind = path, kind
        self._data = path.read_bytes()
        if kind in _ENDS and _ENDS[kind] not in self._data[-256:]:
            raise CellMMError(f"{path} is cut off after {len(self._data)} bytes: {AGAIN}")
        self._orientation, self._pixel_size, self._pixels = 1, None, None
        self._stored, self._step = stored, 1
        self._lock = threading.Lock()
        self.alpha = False
        if kind == "BMP":  # its header tells the channels in a dozen ways
            self._pixels = self._decode()
            height, width, samples = (*self._pixels.shape, 1)[:3]
            self.dtype = self._pixels.dtype
        else:
            height, width, samples, self.dtype = (self._png if kind == "PNG" else self._jpeg)()
        if self._orientation >= 5:
            height, width = width, height
            self._pixel_size = self._pixel_size and self._pixel_size[::-1]
        self.axes = "YX" if samples == 1 else "YXS"
        self.shape = (height, width, samples)[: len(self.axes)]

    def read(self, region: tuple[int, int, int, int] | None = None, **numbers: int) -> np.ndarray:
        """The pixels of the region (top, left, bottom, right), without the axes in ``numbers``."""
        with self._lock:
            if self._pixels is None:
                self._pixels, self._data = self._upright(), None
        image = self._pixels[..., numbers["S"]] if "S" in numbers else self._pixels
        if region is None:
            return image
        top, left, bottom, right = region
        return image[top:bottom, left:right]

    def _upright(self) -> np.ndarray:
        check_size(self.path, self.shape)
        image = self._decode()
        if self.axes == "YXS" and self.shape[2] == 2:  # OpenCV makes grey and alpha four
            image = image[..., [0, 3]]
        image = upright(image, self.axes, self._orientation)
        if image.shape != self.shape or image.dtype != self.dtype:
            raise CellMMError(
                f"{self.path} gives pixels of shape {image.shape}, its header says {self.shape}: {AGAIN}"
            )
        return image

    def layout(self) -> FileLayout:
        return FileLayout(
            path=self.path,
            kind=self.kind,
            axes=self.axes,
            shape=self.shape,
            dtype=self.dtype,
            pixel_size=plausible(self._pixel_size),
            levels=(self.shape[:2],),
            alpha=self.alpha,
        )

    def close(self) -> None:
        self._pixels = self._data = None  # memory, where the object lives on

    def _decode(self) -> np.ndarray:
        with stderr_complaints(self.path):
            try:
                image = cv2.imdecode(np.frombuffer(self._data, np.uint8), cv2.IMREAD_UNCHANGED)
            except cv2.error as error:
                if "MAX_IMAGE" not in str(error):
                    raise
                raise CellMMError(
                    f"{self.path} says that it has more than 2^30 pixels: crop or tile it, or {AGAIN}"
                ) from error
        if image is None:
            raise CellMMError(f"{self.path} ({len(self._data)} bytes) cannot be read as an image: {AGAIN}")
        if self._step > 1:
            image = image // self._step
        if image.ndim == 3 and image.shape[2] in (3, 4):
            code = cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
            image = cv2.cvtColor(image, code)
        return image

    def _png(self) -> tuple[int, int, int, np.dtype]:
        chunks = {}
        for name, start, length in _png_chunks(self._data):
            chunks.setdefault(name, self._data[start : start + min(length, 2**16)])
        width, height, bits, color = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
        if b"acTL" in chunks:
            raise CellMMError(f"{self.path} is a PNG animation: save one image per file")
        if height * width > MAX_VALUES:
            raise CellMMError(
                f"{self.path} says that it has more than 2^30 pixels: crop or tile it, or {AGAIN}"
            )
        if color == 3 and self._stored:
            self._data, color = _numbers_as_grey(self._data), 0
            self._step = 255 // (2**bits - 1)  # OpenCV scales grey of less than 8 bit to 255
        samples = _PNG_SAMPLES[color] + (color in (2, 3) and b"tRNS" in chunks)
        self.alpha = samples in (2, 4)
        if b"eXIf" in chunks:
            self._orientation = _exif_orientation(chunks[b"eXIf"])
        if b"pHYs" in chunks:
            x, y, unit = struct.unpack(">IIB", chunks[b"pHYs"][:9])
            self._pixel_size = (1e6 / y, 1e6 / x) if unit == 1 and x and y else None
        return height, width, samples, np.dtype(np.uint16 if bits == 16 else np.uint8)

    def _jpeg(self) -> tuple[int, int, int, np.dtype]:
        for marker, start, length in _jpeg_segments(self._data):
            if marker == 0xE1 and self._data[start : start + 6] == b"Exif\0\0":
                self._orientation = _exif_orientation(self._data[start + 6 : start + length])
            if marker not in _SOF:
                continue
            bits, height, width, samples = struct.unpack_from(">BHHB", self._data, start)
            if bits != 8 or samples not in (1, 3):
                what = f"{bits} bit" if bits != 8 else "CMYK" if samples == 4 else f"{samples} samples"
                raise CellMMError(f"{self.path} is a JPEG of {what}: save it as 8 bit grey or RGB")
            return height, width, samples, np.dtype(np.uint8)
        raise CellMMError(f"{self.path} is a JPEG without a size: {AGAIN}")


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and length of each chunk."""
    at = 8
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        yield name, at + 8, length
        at += length + 12


def _numbers_as_grey(data: bytes) -> bytes:
    """The PNG as if the numbers of its palette were grey."""
    out = data[:8]
    for name, start, length in _png_chunks(data):
        body = data[start : start + length]
        if name == b"IHDR":
            body = body[:9] + b"\0" + body[10:]
        elif name in (b"PLTE", b"tRNS", b"hIST", b"sPLT", b"bKGD", b"sBIT"):
            continue
        checksum = data[start + length : start + length + 4]
        out += struct.pack(">I", length) + name + body
        out += struct.pack(">I", zlib.crc32(name + body)) if name == b"IHDR" else checksum
    return out


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and length of each segment up to the pixels."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return
        marker, length = data[at + 1], struct.unpack_from(">H", data, at + 2)[0]
        if marker == 0xFF:  # filling
            at += 1
            continue
        yield marker, at + 4, length - 2
        if marker == 0xDA:
            return
        at += length + 2


def _exif_orientation(data: bytes) -> int:
    """1 to 8; 1 where the data state none or are damaged."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return 1
    try:
        first = struct.unpack_from(f"{order}I", data, 4)[0]
        for i in range(struct.unpack_from(f"{order}H", data, first)[0]):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", data, first + 2 + 12 * i)
            if tag == 0x0112:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1
