"""Masks that json files hold as the text of a PNG."""

import base64
import binascii
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.complaints import stderr_complaints

HEADER = b"\x89PNG\r\n\x1a\n"
MOST_BYTES = 2**28  # of a PNG of one cell, and its pixels


def decode_png(text: object, path: Path, what: str, packed: bool = False) -> np.ndarray:
    """The mask of a PNG in base64, bool (h, w): what is not 0, or of an image with opacity not transparent.

    Args:
        path: of the annotation file.
        what: names the shape in errors.
        packed: the PNG was compressed by zlib once more.

    Raises:
        CellMMError: it is damaged, or absurdly large.
    """
    try:
        data = base64.b64decode(text, validate=True)
        if packed:
            unpacker = zlib.decompressobj()
            data = unpacker.decompress(data, MOST_BYTES)
            if unpacker.unconsumed_tail:
                raise ValueError(f"more than {MOST_BYTES} bytes")
        if not data.startswith(HEADER):
            raise ValueError("it is not a PNG")
        width, height = struct.unpack_from(">II", data, 16)
        if not 0 < height * width <= MOST_BYTES:
            raise ValueError(f"{height}x{width} pixels")
        with stderr_complaints(path):
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if image is None or b"IEND" not in data[-16:]:
            raise ValueError("it is cut off")
    except CellMMError:
        raise
    except (TypeError, ValueError, binascii.Error, zlib.error, struct.error, cv2.error) as error:
        raise CellMMError(
            f"{path}: {what} has a mask that cannot be read ({error}): export it again"
        ) from error
    if image.ndim == 3:
        image = image[..., 3] if image.shape[2] == 4 else image.max(-1)
    return image != 0
