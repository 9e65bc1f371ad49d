"""Writers of image files for tests: each takes what is in the file and gives a function of its path."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile

from tests.io.tiff_by_hand import write_tiff

Write = Callable[[Path], None]
IMAGEJ = b"ImageJ=1.54f\nimages=%d\n%s"


def tif(image: np.ndarray, **options) -> Write:
    return lambda path: tifffile.imwrite(path, image, **options)


def hand(*pages: np.ndarray, **options) -> Write:
    pages = [page if page.ndim == 3 else page[..., None] for page in pages]
    return lambda path: write_tiff(path, pages, **options)


def pages(*images: np.ndarray, **options) -> Write:
    """Pages with directories of their own, without a statement of axes."""

    def write(path: Path) -> None:
        with tifffile.TiffWriter(path) as file:
            for image in images:
                file.write(image, metadata=None, contiguous=False, **options)

    return write


def pyramid(image: np.ndarray, ome: bool, **options) -> Write:
    """Three levels; pixels are 0.5 by 0.25 micrometres (x, y) at the finest."""

    def write(path: Path) -> None:
        size = dict(axes="YX", PhysicalSizeX=0.5, PhysicalSizeY=0.25)
        with tifffile.TiffWriter(path, ome=ome) as file:
            file.write(image, subifds=2 if ome else 0, metadata=size if ome else None, **options)
            for step in (2, 4):
                file.write(image[::step, ::step], subfiletype=1, metadata=None, **options)

    return write


def positions(*images: np.ndarray) -> Write:
    """An OME-TIFF with fields of view."""

    def write(path: Path) -> None:
        with tifffile.TiffWriter(path, ome=True) as file:
            for number, image in enumerate(images):
                metadata = dict(axes="YX", Name=f"field {number}", PhysicalSizeX=number + 1, PhysicalSizeY=1)
                file.write(image, photometric="minisblack", metadata=metadata)

    return write


def lsm(image: np.ndarray, pixel_size: tuple[float, float]) -> Write:
    """A Zeiss LSM of channels (H, W, C), three or more, with a second page in place of the thumbnail."""
    info = np.zeros(1, np.dtype([(name, kind) for name, kind in tifffile.TIFF.CZ_LSMINFO]))
    height, width, channels = image.shape
    stated = dict(MagicNumber=0x400494C, StructureSize=info.itemsize, DimensionZ=1, DimensionTime=1)
    stated |= dict(DimensionX=width, DimensionY=height, DimensionChannels=channels)
    stated |= dict(VoxelSizeY=pixel_size[0] / 1e6, VoxelSizeX=pixel_size[1] / 1e6)
    for name, value in stated.items():
        info[name] = value
    return hand(image, image, planar=2, extra={34412: ("B", list(info.tobytes()))})


def png(image: np.ndarray, color: int, *more: tuple[bytes, bytes], bits: int | None = None) -> Write:
    """``color``: PNG's type of colour; ``more``: chunks before the pixels; ``bits``: of packed rows."""

    def write(path: Path) -> None:
        depth = bits or image.dtype.itemsize * 8
        height, width = image.shape[0], image.shape[1] * 8 // min(depth, 8)
        rows = image.astype(image.dtype.newbyteorder(">"))
        head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
        body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
        parts = [(b"IHDR", head), *more, (b"IDAT", body), (b"IEND", b"")]
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts))

    return write


def per_metre(x: int, y: int) -> tuple[bytes, bytes]:
    """The chunk of a PNG with its pixels per metre."""
    return b"pHYs", struct.pack(">IIB", x, y, 1)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def exif(orientation: int, order: str = "<") -> bytes:
    mark = b"II" if order == "<" else b"MM"
    return mark + struct.pack(f"{order}HIHHHIHHI", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def jpeg(image: np.ndarray, *segments: tuple[int, bytes], **options) -> Write:
    """``segments``: markers and contents, before the others."""

    def write(path: Path) -> None:
        data = imagecodecs.jpeg8_encode(image, level=95, **options)
        more = b"".join(struct.pack(">BBH", 255, marker, len(body) + 2) + body for marker, body in segments)
        path.write_bytes(data[:2] + more + data[2:])

    return write
