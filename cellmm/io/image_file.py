"""The TIFF, PNG, JPEG and BMP reader: pixels as they are stored, or one line that says what is wrong."""

import logging
import math
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import tifffile
from mmengine.logging import print_log

from cellmm.errors import CellMMError, cure_of
from cellmm.io.memory import check_memory
from cellmm.io.tiff_check import check_description, check_pages

MAX_VALUES = 2**30  # pixels times channels of a file; OpenCV's limit, too
BYTES_A_VALUE = 24  # as stored, as float32, and as float64 while it is normalised
_AGAIN = "copy or export it again"
_ENDS = {b"\x89PNG": b"IEND\xaeB`\x82", b"\xff\xd8": b"\xff\xd9"}
_DAMAGE = re.compile(r"offset|\[ERROR|libpng error|Premature end")
_ORIGIN = re.compile(r"^\[ERROR\S* global \S+ \S+ ")
_DOUBT = re.compile(r"Corrupt")
_STDERR = threading.Lock()


def read_pixels(path: str | Path) -> tuple[np.ndarray, str]:
    """The pixels, and a letter per axis: Y, X, S samples of a colour, C channels, T time, Z, I pages ...

    Axes of size 1 are left out, except Y and X. An indexed TIFF gives the indices: most are grey images
    with a look-up table for the screen.

    Raises:
        CellMMError: the file is absent, not an image, cut off or damaged, or has no pixels or too many.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise CellMMError(_why_absent(path))
    read = _read_tiff if path.suffix.lower() in (".tif", ".tiff") else _read_other
    try:
        image, axes = read(path)
    except CellMMError:
        raise
    except OSError as error:
        raise CellMMError(f"{path} cannot be read ({error.strerror}): {cure_of(error.errno)}") from error
    except MemoryError as error:
        raise CellMMError(f"{path} does not fit into memory ({error}): crop or tile it") from error
    except Exception as error:  # a damaged file can fail anywhere inside the decoder
        text = " ".join(str(error).split())[:200]
        raise CellMMError(f"{path} cannot be read as an image ({text}): {_AGAIN}") from error
    if image.size == 0:
        raise CellMMError(f"{path} has no pixels (shape {image.shape}): the file is damaged, {_AGAIN}")
    if 1 in image.shape:
        keep = [i for i, size in enumerate(image.shape) if size > 1 or axes[i] in "YX"]
        image, axes = image.reshape([image.shape[i] for i in keep]), "".join(axes[i] for i in keep)
    return image, axes


def _why_absent(path: Path) -> str:
    if os.path.isdir(path):
        return f"{path} is a folder, not an image: move it away, or name the images in it"
    if os.path.islink(path):
        return f"{path} is a link to {os.readlink(path)}, which is absent: copy that file here"
    return f"{path} is absent: check data_root and the folder names of the dataset"


def _read_other(path: Path) -> tuple[np.ndarray, str]:
    data = path.read_bytes()
    if not data:
        raise CellMMError(f"{path} is empty (0 bytes): {_AGAIN}")
    for start, end in _ENDS.items():
        if data.startswith(start) and end not in data[-256:]:
            raise CellMMError(f"{path} is cut off after {len(data)} bytes: {_AGAIN}")
    with _complaints() as complaints:
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error as error:
            if "MAX_IMAGE" not in str(error):
                raise
            raise CellMMError(
                f"{path} says that it has more than 2^30 pixels: crop or tile it, or {_AGAIN}"
            ) from error
    if image is None:
        raise CellMMError(f"{path} ({len(data)} bytes) cannot be read as an image: {_AGAIN}")
    _check_complaints(path, complaints)
    check_memory(path, image.shape, BYTES_A_VALUE)
    return _from_bgr(image)


def _read_tiff(path: Path) -> tuple[np.ndarray, str]:
    size = path.stat().st_size
    if size == 0:
        raise CellMMError(f"{path} is empty (0 bytes): {_AGAIN}")
    check_pages(path)
    with _complaints() as complaints, tifffile.TiffFile(path) as tiff:
        if not tiff.pages:
            raise CellMMError(f"{path} is damaged: it has no readable page: {_AGAIN}")
        check_description(path, tiff.pages.first.description)
        for page in tiff.pages:
            ends = [
                start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=False)
            ]
            if not ends or max(ends) > size:
                raise CellMMError(f"{path} is cut off after {size} bytes: {_AGAIN}")
        series = [
            part for part in tiff.series if not part.keyframe.is_reduced
        ] or tiff.series  # no thumbnails
        shape, axes, count = series[0].shape, series[0].axes, len(tiff.pages)
        if len(series) * math.prod(shape) > MAX_VALUES:
            raise CellMMError(f"{path} has the shape {shape}, more than 2^30 values: crop or tile it")
        check_memory(path, shape if len(series) == 1 else (len(series), *shape), BYTES_A_VALUE)
        if others := [part.shape for part in series if part.shape != shape]:
            raise CellMMError(f"{path} has images of sizes {shape} and {others[0]}: save one image per file")
        try:
            pages = [part.asarray() for part in series]
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            pages = []
    _check_complaints(path, complaints)
    if not pages:
        return _read_tiff_by_cv2(path, count)
    return (pages[0], axes) if len(pages) == 1 else (np.stack(pages), "I" + axes)


def _read_tiff_by_cv2(path: Path, count: int) -> tuple[np.ndarray, str]:
    """For compressions (LZW above all) that tifffile can only read with the optional imagecodecs."""
    data = np.frombuffer(path.read_bytes(), np.uint8)
    with _complaints() as complaints:
        read, pages = cv2.imdecodemulti(data, cv2.IMREAD_UNCHANGED)
    _check_complaints(path, complaints)
    if not read or len(pages) != count or len({page.shape for page in pages}) > 1:
        raise CellMMError(
            f"{path}: {len(pages)} of {count} pages could be decoded; pip install imagecodecs, or export it "
            "without compression"
        )
    image, axes = _from_bgr(pages[0])
    return (image, axes) if count == 1 else (np.stack([_from_bgr(page)[0] for page in pages]), "I" + axes)


def _from_bgr(image: np.ndarray) -> tuple[np.ndarray, str]:
    if image.ndim == 2:
        return image, "YX"
    if image.shape[2] in (3, 4):
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    return image, "YXS"


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What decoders complain of in this block: some return half an image with just a line on stderr.

    tifffile logs, libraries in C write to the process's stderr; that is caught here and goes nowhere else.
    """
    texts: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: texts.append(record.getMessage())  # type: ignore[method-assign]
    logger = tifffile.logger()
    with _STDERR, tempfile.TemporaryFile() as file:
        logger.addHandler(handler)
        try:
            stderr = os.dup(2)
            os.dup2(file.fileno(), 2)
        except OSError:  # a program with windows has none
            stderr = None
        try:
            yield texts
        finally:
            if stderr is not None:
                os.dup2(stderr, 2)
                os.close(stderr)
            logger.removeHandler(handler)
            file.seek(0)
            texts += file.read().decode(errors="replace").splitlines()


def _check_complaints(path: Path, complaints: list[str]) -> None:
    for text in complaints:
        if _DAMAGE.search(text):
            raise CellMMError(f"{path} is damaged ({_ORIGIN.sub('', text)}): {_AGAIN}")
        if _DOUBT.search(text):
            print_log(
                f"{path}: {text}; look at the image, and {_AGAIN} if a part of it is wrong",
                logger="current",
                level=logging.WARNING,
            )
