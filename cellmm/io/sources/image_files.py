"""TIFF, PNG, JPEG and BMP files as stacks, of which a part is read when it is needed."""

import threading
import weakref
from pathlib import Path

import numpy as np

from cellmm.io.file_layout import FileLayout
from cellmm.io.image_file import ImageFile
from cellmm.io.sources.base import ReadOptions
from cellmm.io.sources.stack import Stack

ROWS = 2048  # that are looked at once


class SharedFile:
    """The fields of view of a file, which is opened once for all of them, when it is first read.

    It is closed when no array uses it. A copy in another process opens it anew.
    """

    def __init__(self, path: Path, level: int) -> None:
        self.path, self.level = path, level
        self._fields: dict[int, ImageFile] = {}
        self._lock = threading.Lock()

    def at(self, position: int) -> ImageFile:
        with self._lock:
            if not self._fields:
                file = self._fields[position] = ImageFile(self.path, level=self.level, position=position)
                weakref.finalize(self, file.close)
            if position not in self._fields:
                self._fields[position] = next(iter(self._fields.values())).at(position)
            return self._fields[position]

    def __reduce__(self) -> tuple:
        return SharedFile, (self.path, self.level)


class FileArray:
    """One field of view of a file, read as it is sliced: whole axes or numbers, and parts of Y and X
    alone.

    Args:
        axes: letters as in ``FileLayout``, with the sizes ``shape``.
    """

    def __init__(self, file: SharedFile, layout: FileLayout) -> None:
        self.axes, self.shape, self.dtype = layout.axes, layout.shape, layout.dtype
        self.position = layout.position
        self._file = file

    def __getitem__(self, index: tuple[int | slice, ...]) -> np.ndarray:
        part = dict(zip(self.axes, index, strict=True))
        size = dict(zip(self.axes, self.shape, strict=True))
        rows, columns = (_range(part[name], size[name]) for name in "YX")
        region = (rows.start, columns.start, rows.stop, columns.stop)
        whole = region == (0, 0, size["Y"], size["X"])
        numbers = {name: of for name, of in part.items() if name not in "YX" and isinstance(of, int)}
        image = self._file.at(self.position).read(None if whole else region, **numbers)
        left = [name for name in self.axes if name not in numbers]
        return image[tuple(0 if isinstance(part[name], int) else slice(None) for name in left)]


def open_image_file(path: Path, options: ReadOptions, name: str) -> list[Stack]:
    """The fields of view of a file at the level of ``options``.

    Raises:
        CellMMError: see ``ImageFile``.
    """
    file = SharedFile(path, options.level)
    count = len(file.at(options.position or 0).layout().positions)
    stacks = []
    for position in range(count):
        own = file.at(position).layout()
        array = FileArray(file, own)
        opaque = own.alpha and "S" in own.axes and own.dtype.kind == "u" and _is_opaque(array)
        stacks.append(Stack(array, own.axes, name, path, own.pixel_size, own.channel_names, opaque=opaque))
    return stacks


def _is_opaque(image: FileArray) -> bool:
    full, rows, samples = np.iinfo(image.dtype).max, image.axes.index("Y"), image.axes.index("S")
    index = [slice(None)] * len(image.axes)
    for top in range(0, image.shape[rows], ROWS):
        index[rows] = slice(top, min(top + ROWS, image.shape[rows]))
        if (np.take(image[tuple(index)], -1, axis=samples) != full).any():
            return False
    return True


def _range(part: int | slice, size: int) -> range:
    return range(part, part + 1) if isinstance(part, int) else range(size)[part]
