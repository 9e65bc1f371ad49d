"""What an image file holds: axes, sizes, pixel size and names, known before its pixels are read."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

PLAUSIBLE = 0.001, 10.0  # micrometres per pixel of a microscope; a print of 2400 dpi has 10.6


@dataclass(frozen=True)
class FileLayout:
    """One image of a file, as ``read_pixels`` gives it.

    Attributes:
        path: of the file.
        kind: 'TIFF', 'PNG', 'JPEG' or 'BMP'.
        axes: a letter per axis: Y, X, S samples of a colour, C channels, T time, Z focal planes, I pages and
            Q others without a statement. Axes of size 1 are left out, except Y and X.
        shape: sizes of the ``axes``.
        dtype: of the pixels.
        pixel_size: (y, x) in micrometres, of the level that was asked for; None: not stated, or not
            plausible.
        channel_names: one per channel, or empty.
        positions: names of the fields of view in the file, '' where it states none; one entry at least.
        position: the number of this one.
        levels: (H, W) of the levels of the pyramid, the finest first; one entry at least.
        alpha: the last sample is the opacity.
        files: other files that hold a part of this image (sets of OME-TIFFs).
    """

    path: Path
    kind: str
    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype
    pixel_size: tuple[float, float] | None = None
    channel_names: tuple[str, ...] = ()
    positions: tuple[str, ...] = ("",)
    position: int = 0
    levels: tuple[tuple[int, int], ...] = ()
    alpha: bool = False
    files: tuple[Path, ...] = ()

    def size(self, axis: str) -> int:
        """Size of the axis with this letter, 1 where the image lacks it."""
        return self.shape[self.axes.index(axis)] if axis in self.axes else 1


def plausible(size: tuple[float, float] | None) -> tuple[float, float] | None:
    """The pixel size, unless it is that of a print or a screen."""
    return size if size and all(PLAUSIBLE[0] <= value <= PLAUSIBLE[1] for value in size) else None


def upright(image: np.ndarray, axes: str, orientation: int) -> np.ndarray:
    """The image turned as the orientation tag of TIFF and EXIF says (1 to 8)."""
    y, x = axes.index("Y"), axes.index("X")
    if orientation >= 5:
        image = np.swapaxes(image, y, x)
    if orientation in (3, 4, 7, 8):
        image = np.flip(image, y)
    return np.flip(image, x) if orientation in (2, 3, 6, 7) else image
