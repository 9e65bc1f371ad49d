"""Several files as the channels of one image, such as focal planes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.sources.base import MAX_CHANNELS, ImageSource


@dataclass(frozen=True)
class JoinedChannels:
    """An ImageSource of the channels of others, in their order; named after the first.

    The pixel size is that which all parts state that state one; None where they contradict each other.
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
    parts: tuple[ImageSource, ...] = field(repr=False)

    @classmethod
    def of(cls, parts: Sequence[ImageSource]) -> Self | ImageSource:
        """One image of all ``parts``; a single part stays as it is.

        Raises:
            CellMMError: they differ in size, or have too many channels.
        """
        first = parts[0]
        if len(parts) == 1:
            return first
        for part in parts:
            if part.shape != first.shape:
                raise CellMMError(
                    f"{part.path} is {part.shape} pixels, but {first.path} of the same image {first.shape}: "
                    "export them in one size"
                )
        count = sum(part.num_channels for part in parts)
        if count > MAX_CHANNELS:
            names = ", ".join(str(part.path) for part in parts)
            raise CellMMError(f"{names} make {count} channels, more than {MAX_CHANNELS}: leave some out")
        sizes = [part.pixel_size for part in parts if part.pixel_size is not None]
        agree = bool(sizes) and all(np.allclose(size, sizes[0], rtol=1e-3) for size in sizes)
        return cls(
            name=first.name,
            path=first.path,
            shape=first.shape,
            num_channels=count,
            channel_names=tuple(name for part in parts for name in part.channel_names)
            if all(part.channel_names for part in parts)
            else (),
            dtype=np.result_type(*(part.dtype for part in parts)),
            pixel_size=sizes[0] if agree else None,
            position=first.position,
            time=first.time,
            parts=tuple(parts),
        )

    def read(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        """Pixels (bottom - top, right - left, C) in the ``dtype``; ends excluded, inside the image."""
        return np.concatenate([part.read(top, left, bottom, right) for part in self.parts], axis=2)

    def read_all(self) -> np.ndarray:
        """All pixels (H, W, C)."""
        return np.concatenate([part.read_all() for part in self.parts], axis=2)
