"""TIFFs tag by tag, with layouts and tags that writers of images do not write."""

import struct
from pathlib import Path

import imagecodecs
import numpy as np

ENCODERS = {
    1: bytes,
    5: imagecodecs.lzw_encode,
    8: imagecodecs.zlib_encode,
    32773: imagecodecs.packbits_encode,
}
PACKED = {"B": 1, "H": 3, "I": 4, "Q": 16}


def write_tiff(
    path: Path,
    pages: list[np.ndarray],
    *,
    order: str = "<",
    big: bool = False,
    compression: int = 1,
    planar: int = 1,
    photometric: int | None = 1,
    rows: int | None = None,
    bits: int | None = None,
    extra: dict[int, tuple[str, list[int]]] | None = None,
    description: bytes = b"",
) -> None:
    """Pages (H, W, S), in strips of ``rows``; ``planar`` 2 has a plane per sample.

    ``bits``: packed below 8. ``extra``: further tags, a type of struct and the values. ``photometric``: None
    leaves the tag out.
    """
    number, offset_size, entry_size, count_type = ("Q", 8, 20, "Q") if big else ("I", 4, 12, "H")
    mark = b"II" if order == "<" else b"MM"
    out = bytearray(
        mark + (struct.pack(f"{order}HHHQ", 43, 8, 0, 0) if big else struct.pack(f"{order}HI", 42, 0))
    )
    link = 8 if big else 4
    for page in pages:
        height, width, samples = page.shape
        tall = rows or height
        planes = [page] if planar == 1 else [page[..., i : i + 1] for i in range(samples)]
        strips = [
            ENCODERS[compression](_bytes(plane[top : top + tall], order, bits))
            for plane in planes
            for top in range(0, height, tall)
        ]
        starts = []
        for strip in strips:
            starts.append(len(out))
            out += strip + bytes(len(strip) % 2)
        tags = {
            256: ("I", [width]),
            257: ("I", [height]),
            258: ("H", [bits or page.dtype.itemsize * 8] * samples),
            259: ("H", [compression]),
            273: (number, starts),
            277: ("H", [samples]),
            278: ("I", [tall]),
            279: (number, [len(strip) for strip in strips]),
            284: ("H", [planar]),
            339: ("H", [{"u": 1, "i": 2, "f": 3, "b": 1}[page.dtype.kind]] * samples),
        }
        if photometric is not None:
            tags[262] = ("H", [photometric])
        if description:
            tags[270] = ("B", list(description + b"\0"))
        tags.update(extra or {})
        entries = b""
        for tag, (kind, values) in sorted(tags.items()):
            raw = struct.pack(f"{order}{len(values)}{kind}", *values)
            if len(raw) > offset_size:
                place = len(out)
                out += raw + bytes(len(raw) % 2)
                raw = struct.pack(f"{order}{number}", place)
            code = 2 if tag == 270 else PACKED[kind]
            entries += struct.pack(f"{order}HH{number}", tag, code, len(values)) + raw.ljust(
                offset_size, b"\0"
            )
        assert len(entries) == entry_size * len(tags)
        struct.pack_into(f"{order}{number}", out, link, len(out))
        out += struct.pack(f"{order}{count_type}", len(tags)) + entries
        link = len(out)
        out += bytes(offset_size)
    path.write_bytes(out)


def _bytes(strip: np.ndarray, order: str, bits: int | None) -> bytes:
    if bits is not None and bits < 8:
        return b"".join(_pack(row, bits) for row in strip.reshape(len(strip), -1))
    return np.ascontiguousarray(strip).astype(strip.dtype.newbyteorder(order)).tobytes()


def _pack(row: np.ndarray, bits: int) -> bytes:
    places = np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, -bits:]
    return np.packbits(places.ravel()).tobytes()
