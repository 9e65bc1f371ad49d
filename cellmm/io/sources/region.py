"""A part of an image as an image of its own."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cellmm.io.sources.base import ImageSource
from cellmm.io.sources.view import SourceView


@dataclass(frozen=True)
class Region(SourceView):
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

    def read(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        """Pixels (bottom - top, right - left, C), counted from the part's first one."""
        first_row, first_col, *_ = self.box
        return self.source.read(first_row + top, first_col + left, first_row + bottom, first_col + right)

    def read_all(self) -> np.ndarray:
        """All pixels of the part."""
        return self.source.read(*self.box)
