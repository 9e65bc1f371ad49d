"""A part of an image as an image of its own."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cellmm.io.sources.base import ImageSource


@dataclass(frozen=True)
class Region:
    """Pixels of ``source`` from (top, left) to (bottom, right), ends excluded; an ImageSource."""

    source: ImageSource
    box: tuple[int, int, int, int]

    path: Path | None = None  # messages name the part by ``name``

    @property
    def name(self) -> str:
        """Of the image, and where in it the part is."""
        top, left, bottom, right = self.box
        return f"{self.source.path or self.source.name} (rows {top} to {bottom}, columns {left} to {right})"

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w) of the part."""
        top, left, bottom, right = self.box
        return bottom - top, right - left

    @property
    def num_channels(self) -> int:
        return self.source.num_channels

    @property
    def channel_names(self) -> tuple[str, ...]:
        return self.source.channel_names

    @property
    def dtype(self) -> np.dtype:
        return self.source.dtype

    @property
    def pixel_size(self) -> tuple[float, float] | None:
        return self.source.pixel_size

    @property
    def position(self) -> int | None:
        return self.source.position

    @property
    def time(self) -> int | None:
        return self.source.time

    def read(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        """Pixels (bottom - top, right - left, C), counted from the part's first one."""
        first_row, first_col, *_ = self.box
        return self.source.read(first_row + top, first_col + left, first_row + bottom, first_col + right)

    def read_all(self) -> np.ndarray:
        """All pixels of the part."""
        return self.source.read(*self.box)
