"""Percentiles of images, by counting values where these are whole numbers."""

from collections.abc import Sequence

import numpy as np

MOST = 2**16  # values that are counted: those of cameras


def channel_percentiles(image: np.ndarray, percentiles: Sequence[float]) -> np.ndarray:
    """``np.percentile`` of each channel of an image (..., C): float64 (P, C), to the last bit.

    Whole numbers from 0 to 65535 are counted, which is several times as fast.
    """
    channels = np.moveaxis(image, -1, 0).reshape(image.shape[-1], -1)
    return np.stack([_percentiles(channel, percentiles) for channel in channels], axis=1)


def _percentiles(values: np.ndarray, percentiles: Sequence[float]) -> np.ndarray:
    if not (values.min() >= 0 and values.max() < MOST):
        return np.percentile(values, percentiles)
    whole = values.astype(np.uint16)
    if not np.array_equal(whole, values):
        return np.percentile(values, percentiles)
    places = np.asarray(percentiles, np.float64) / 100 * (len(values) - 1)
    below = np.floor(places).astype(np.int64)
    ranks = np.stack([below, np.minimum(below + 1, len(values) - 1)])
    low, high = np.searchsorted(np.cumsum(np.bincount(whole)), ranks, side="right").astype(np.float64)
    share = places - below
    # as NumPy interpolates, from the nearer of the two
    return np.where(share < 0.5, low + (high - low) * share, high - (high - low) * (1 - share))
