"""TIFF, PNG, JPEG and BMP files as stacks, of which a part is read when it is needed."""

import weakref
from pathlib import Path

import numpy as np

from cellmm.io.image_file import ImageFile, describe
from cellmm.io.sources.base import ReadOptions
from cellmm.io.sources.stack import Stack

ROWS = 2048  # that are looked at once


class FileArray:
    """One field of view of a file, read as it is sliced: whole axes or numbers, and parts of Y and X
    alone.

    The file is opened at the first slice, and closed when the array is no longer used. A copy in another
    process opens it anew.

    Args:
        axes: letters as in ``FileLayout``, with the sizes ``shape``.
    """

    def __init__(
        self, path: Path, axes: str, shape: tuple[int, ...], dtype: np.dtype, *, level: int, position: int
    ) -> None:
        self.path, self.axes, self.shape, self.dtype = path, axes, shape, dtype
        self.level, self.position = level, position
        self._file: ImageFile | None = None

    def take(self, file: ImageFile) -> None:
        """Read from ``file`` from now on."""
        self._file = file
        weakref.finalize(self, file.close)

    def __getitem__(self, index: tuple[int | slice, ...]) -> np.ndarray:
        if self._file is None:
            self.take(ImageFile(self.path, level=self.level, position=self.position))
        part = dict(zip(self.axes, index, strict=True))
        size = dict(zip(self.axes, self.shape, strict=True))
        rows, columns = (_range(part[name], size[name]) for name in "YX")
        region = (rows.start, columns.start, rows.stop, columns.stop)
        whole = region == (0, 0, size["Y"], size["X"])
        numbers = {name: of for name, of in part.items() if name not in "YX" and isinstance(of, int)}
        image = self._file.read(None if whole else region, **numbers)
        left = [name for name in self.axes if name not in numbers]
        return image[tuple(0 if isinstance(part[name], int) else slice(None) for name in left)]

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_file": None}


def open_image_file(path: Path, options: ReadOptions, name: str) -> list[Stack]:
    """The fields of view of a file at the level of ``options``.

    Raises:
        CellMMError: see ``ImageFile``.
    """
    file = ImageFile(path, level=options.level, position=options.position or 0)
    layout = file.layout()
    count = len(layout.positions)
    stacks = []
    for position in range(count):
        own = (
            layout if position == layout.position else describe(path, level=options.level, position=position)
        )
        array = FileArray(path, own.axes, own.shape, own.dtype, level=options.level, position=position)
        if own is layout:
            array.take(file)
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
