"""What an image that is made of another takes from it."""

import numpy as np

from cellmm.io.sources.base import ImageSource


class SourceView:
    """The properties of ``source`` that do not depend on which of its pixels are shown, or where.

    A subclass has the field ``source``, and the rest of an ImageSource.
    """

    source: ImageSource

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
