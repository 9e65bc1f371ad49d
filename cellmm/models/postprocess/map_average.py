"""One map made of the maps of overlapping tiles."""

from collections.abc import Sequence

import numpy as np


class MapAverage:
    """The mean over the tiles that cover a pixel. Source: sparseseunet 5.3.

    Args:
        shape: (h, w) of the whole map.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self._sum = np.zeros(tuple(shape), dtype=np.float32)
        self._count = np.zeros(tuple(shape), dtype=np.uint8)  # tiles overlap by half at most: up to 4

    def add(self, part: np.ndarray, row: int, col: int) -> None:
        """Part of the map, (h', w'), from (row, col) on."""
        place = np.s_[row : row + part.shape[0], col : col + part.shape[1]]
        self._sum[place] += part
        self._count[place] += 1

    def mean(self) -> np.ndarray:
        """float32 (h, w), 0 where no part was added. Call it once, at the end: it overwrites the sum."""
        self._sum /= np.maximum(self._count, 1)
        del self._count
        return self._sum
