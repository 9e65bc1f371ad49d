"""Grey images that are stored as RGB, for models of one channel."""

from dataclasses import replace

import numpy as np

from cellmm.io.sources.base import ImageSource
from cellmm.io.sources.color import is_grey
from cellmm.io.sources.joined import JoinedChannels
from cellmm.io.sources.stack import StackImage

BLOCK = 2**24  # values that are looked at once


def count_files(source: ImageSource) -> int:
    """How many files hold the channels of the image."""
    return len(source.parts) if isinstance(source, JoinedChannels) else 1


def as_grey(source: ImageSource) -> ImageSource:
    """The image with a single channel of each file that holds RGB with three equal samples at each pixel.

    Files in RGB are read up to the first pixel that has a colour.
    """
    if isinstance(source, JoinedChannels):
        return JoinedChannels.of([as_grey(part) for part in source.parts])
    if not _may_be_grey(source):
        return source
    height, width = source.shape
    rows = max(1, BLOCK // (3 * width))
    blocks = ((top, min(top + rows, height)) for top in range(0, height, rows))
    if not all(is_grey(source.read(top, 0, bottom, width)) for top, bottom in blocks):
        return source
    return replace(source, num_channels=1, channels=(0,), channel_names=())


def read_grey(source: ImageSource) -> np.ndarray:
    """All pixels of ``as_grey(source)``, read once."""
    if isinstance(source, JoinedChannels):
        return np.concatenate([read_grey(part) for part in source.parts], axis=2)
    image = source.read_all()
    return image[..., :1] if _may_be_grey(source) and is_grey(image) else image


def _may_be_grey(source: ImageSource) -> bool:
    if not isinstance(source, StackImage) or source.color != "unchanged":
        return False
    return source.is_color and source.num_channels == 3
