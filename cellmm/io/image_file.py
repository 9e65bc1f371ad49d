"""The TIFF, PNG, JPEG and BMP reader: what a file holds, and its pixels, or one line that says what is wrong.

The first bytes of a file say what it is, not its name. tifffile reads every TIFF, OpenCV the others.
"""

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from cellmm.errors import CellMMError, cure_of
from cellmm.io.complaints import AGAIN
from cellmm.io.file_layout import FileLayout
from cellmm.io.picture_file import KINDS, PictureFile
from cellmm.io.tiff_file import TiffFile

_UNPACK = "save it with Deflate or LZW, or pip install --upgrade imagecodecs"
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class ImageFile:
    """An open image file, from which planes and regions are read as they are needed.

    Args:
        path: of a TIFF, PNG, JPEG or BMP file.
        level: of a pyramid, 0 is the finest.
        position: number of the field of view; None: the file has to hold just one.
        stored: the numbers as stored, for label images: white is zero, and palettes of a TIFF or PNG, are not
            taken into account.

    Attributes:
        axes: a letter per axis, see ``FileLayout``.
        shape: sizes of the axes.
        dtype: of the pixels.
        kind: 'TIFF', 'PNG', 'JPEG' or 'BMP'.
        alpha: the last of the samples S is the opacity.
        white_is_zero: a TIFF states it, and it matters for the numbers that are read; in ImageJ files it does
            not matter for those that are ``stored``.

    Raises:
        CellMMError: the file is absent, not an image, cut off or damaged, or has no pixels or too many.

    A file may be read from several threads; to share it between processes, open it in each.
    """

    def __init__(
        self, path: str | Path, *, level: int = 0, position: int | None = None, stored: bool = False
    ) -> None:
        self.path = Path(path)
        with _in_one_line(self.path):
            if not os.path.isfile(self.path):
                raise CellMMError(_why_absent(self.path))
            with open(self.path, "rb") as file:
                head = file.read(4)
            kind = next((name for start, name in KINDS.items() if head.startswith(start)), None)
            if not head:
                raise CellMMError(f"{self.path} is empty (0 bytes): {AGAIN}")
            if head in TIFF_MAGIC:
                self._file = TiffFile(self.path, level=level, position=position, stored=stored)
            elif kind is not None:
                self._file = PictureFile(self.path, kind, level=level, position=position, stored=stored)
            else:
                raise CellMMError(
                    f"{self.path} cannot be read as an image, it is no TIFF, PNG, JPEG or BMP file: {AGAIN}"
                )
        self._describe()

    def _describe(self) -> None:
        self.axes, self.shape, self.dtype = self._file.axes, self._file.shape, self._file.dtype
        self.kind, self.alpha = self._file.kind, self._file.alpha
        self.white_is_zero = self._file.white_is_zero
        if 0 in self.shape:
            raise CellMMError(f"{self.path} has no pixels (shape {self.shape}): the file is damaged, {AGAIN}")

    def at(self, position: int) -> Self:
        """Another field of view of a file that has several; it shares the open file, which is closed once."""
        other = copy.copy(self)
        with _in_one_line(self.path):
            other._file = self._file.at(position)
        other._describe()
        return other

    def read(self, region: tuple[int, int, int, int] | None = None, **numbers: int) -> np.ndarray:
        """Pixels in native byte order, with the axes of ``axes`` but for those that ``numbers`` names.

        Args:
            region: (top, left, bottom, right) in pixels, ends excluded, inside the image; None: all. Of a
                TIFF only the tiles or strips that it touches are read; other formats are decoded once.
            numbers: which entry of an axis, such as T=3 and Z=0.
        """
        for name, number in numbers.items():
            count = self.shape[self.axes.index(name)] if name in self.axes else 1
            if not 0 <= number < count:
                raise CellMMError(
                    f"{self.path} has {count} entries on axis {name}, counted from 0; asked for {number}"
                )
        numbers = {name: number for name, number in numbers.items() if name in self.axes}
        with _in_one_line(self.path):
            return self._file.read(region, **numbers)

    def layout(self) -> FileLayout:
        """What the file states, without its pixels (a BMP is decoded)."""
        with _in_one_line(self.path):
            return self._file.layout()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def describe(path: str | Path, *, level: int = 0, position: int = 0) -> FileLayout:
    """What a file holds at this level and position, without reading its pixels."""
    with ImageFile(path, level=level, position=position) as file:
        return file.layout()


def read_pixels(
    path: str | Path, *, level: int = 0, position: int | None = None, stored: bool = False
) -> tuple[np.ndarray, str]:
    """All pixels of one image of the file, and a letter per axis; see ``ImageFile``."""
    with ImageFile(path, level=level, position=position, stored=stored) as file:
        return file.read(), file.axes


@contextmanager
def _in_one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except CellMMError:
        raise
    except OSError as error:
        raise CellMMError(f"{path} cannot be read ({error.strerror}): {cure_of(error.errno)}") from error
    except MemoryError as error:
        raise CellMMError(f"{path} does not fit into memory ({error}): crop or tile it") from error
    except Exception as error:  # a damaged file can fail anywhere inside the decoder
        text = " ".join(str(error).split())[:200]
        cure = _UNPACK if "imagecodecs" in text else AGAIN
        raise CellMMError(f"{path} cannot be read as an image ({text}): {cure}") from error


def _why_absent(path: Path) -> str:
    if os.path.isdir(path):
        return f"{path} is a folder, not an image: move it away, or name the images in it"
    if os.path.islink(path):
        return f"{path} is a link to {os.readlink(path)}, which is absent: copy that file here"
    return f"{path} is absent: check data_root and the folder names of the dataset"
