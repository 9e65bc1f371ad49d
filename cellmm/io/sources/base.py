"""What every source of an image offers, and the choices that a user makes when images are read."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Protocol

import numpy as np

from cellmm.errors import CellMMError

MAX_CHANNELS = 8
COLORS = ("unchanged", "grayscale", "rgb")


@dataclass(frozen=True)
class ReadOptions:
    """Which part of a file is the image.

    Args:
        channels: numbers from 0, or names that the file states; None: all of them.
        channel_axis: the axis of the channels, counted without axes of size 1, in a file that does not state
            its axes; None: the axis that the file states, else the only axis of size 8 or less.
        color: 'unchanged' keeps the channels of the file (an opaque alpha channel of a PNG is dropped);
            'grayscale' and 'rgb' turn an RGB, RGBA or grey image into 1 (luma 0.299 R + 0.587 G + 0.114 B) or
            3; channels that are not a colour are refused.
        level: of a pyramid, 0 is the finest.
        time: number of the time point from 0; None: each is an image of its own.
        position: number of the field of view from 0; None: each is an image of its own.
        z: number of the focal plane from 0; 'max' for the maximum over all planes; 'channels' to take the
            planes as channels; None: a file with several planes is refused.
        pixel_size: of the pixels that are read, micrometres, in place of what the file states: (y, x), or one
            number for both.

    An axis that a file does not name counts as focal planes where ``z`` is given, else as time points where
    ``time`` is given, else as channels.
    """

    channels: Sequence[int | str] | None = None
    channel_axis: int | None = None
    color: str = "unchanged"
    level: int = 0
    time: int | None = None
    position: int | None = None
    z: int | str | None = None
    pixel_size: float | tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.pixel_size is None:
            return
        size = (self.pixel_size,) * 2 if isinstance(self.pixel_size, Real) else tuple(self.pixel_size)
        if len(size) != 2 or not all(0 < side < math.inf for side in size):
            raise CellMMError(
                f"pixel_size is {self.pixel_size}: give micrometres above 0, one number or (y, x)"
            )
        object.__setattr__(self, "pixel_size", (float(size[0]), float(size[1])))


class ImageSource(Protocol):
    """One image (H, W, C) of one position and time point, whose pixels are read when they are needed.

    Attributes:
        name: of the file or array, with ``_p002`` and ``_t0003`` where it holds several images.
        path: None for arrays.
        shape: (H, W) in pixels.
        num_channels: C.
        channel_names: as far as the file states them, else empty.
        dtype: as stored.
        pixel_size: (y, x) in micrometres; None: not known.
        position, time: numbers from 0; None: the file has just one.
    """

    name: str
    path: Path | None
    shape: tuple[int, int]
    num_channels: int
    channel_names: tuple[str, ...]
    dtype: np.dtype
    pixel_size: tuple[float, float] | None
    position: int | None
    time: int | None

    def read(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        """Pixels (bottom - top, right - left, C) in the ``dtype``; ends excluded, inside the image."""
        ...

    def read_all(self) -> np.ndarray:
        """All pixels (H, W, C)."""
        ...
