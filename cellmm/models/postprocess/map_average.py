"""One map made of the maps of overlapping tiles."""

import tempfile
from collections.abc import Sequence

import numpy as np

ROWS = 1024  # that are divided at a time


class MapAverage:
    """The mean over the tiles that cover a pixel. Source: sparseseunet 5.3.

    Args:
        shape: (h, w) of the whole map.
        on_disk: keep it in a temporary file that goes when it is no longer used.
    """

    def __init__(self, shape: Sequence[int], *, on_disk: bool = False) -> None:
        zeros = _zeros_on_disk if on_disk else np.zeros
        self._sum = zeros(tuple(shape), dtype=np.float32)
        self._count = zeros(tuple(shape), dtype=np.uint8)  # tiles overlap by half at most: up to 9

    def add(self, part: np.ndarray, row: int, col: int) -> None:
        """Part of the map, (h', w'), from (row, col) on."""
        place = np.s_[row : row + part.shape[0], col : col + part.shape[1]]
        self._sum[place] += part
        self._count[place] += 1

    def mean(self) -> np.ndarray:
        """float32 (h, w), 0 where no part was added. Call it once, at the end: it overwrites the sum."""
        for row in range(0, len(self._sum), ROWS):
            self._sum[row : row + ROWS] /= np.maximum(self._count[row : row + ROWS], 1)
        del self._count
        return self._sum


def _zeros_on_disk(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype=dtype, mode="w+", shape=shape)
