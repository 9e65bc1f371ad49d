"""How much an image that was made of another resembles the real one."""

import numpy as np
from skimage.metrics import structural_similarity

WINDOW = 7  # px: of the means and variances of SSIM, the default of scikit-image


def mean_absolute_error(image: np.ndarray, truth: np.ndarray) -> float:
    """The mean of |image - truth|, of any shape, in their unit.

    >>> mean_absolute_error(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    1.0
    """
    return float(np.abs(np.asarray(image, np.float64) - truth).mean())


def ssim(image: np.ndarray, truth: np.ndarray, data_range: float) -> float:
    """Structural similarity of images (C, H, W), the mean over channels, at most 1; 1 only if they are equal.

    nan where a side is below 7 px. Computed by scikit-image with uniform windows of 7 px.

    Args:
        data_range: the largest value that is possible less the smallest.
    """
    if min(truth.shape[-2:]) < WINDOW:
        return float("nan")
    values = [
        structural_similarity(*pair, data_range=data_range, win_size=WINDOW)
        for pair in zip(np.asarray(image, np.float64), np.asarray(truth, np.float64), strict=True)
    ]
    return float(np.mean(values))


def radial_power(image: np.ndarray) -> np.ndarray:
    """The power spectrum of an image (H, W) by frequency: the mean of rings, (min(H, W) // 2,).

    Ring k holds the frequencies from k to k + 1 (excluded) over the shorter side, in cycles per px; ring 0
    is left without the mean of the image. A Hann window keeps the borders from counting as edges.
    """
    height, width = image.shape
    window = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]
    values = np.asarray(image, np.float64)
    power = np.abs(np.fft.fft2((values - values.mean()) * window)) ** 2 / (window**2).sum()
    side = min(height, width)
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)) * side
    ring = np.minimum(radius.astype(int), side // 2).ravel()
    sums, counts = np.bincount(ring, power.ravel()), np.bincount(ring)
    return (sums / counts)[: side // 2]


def power_spectrum_distance(image: np.ndarray, truth: np.ndarray, floor: float = 1e-8) -> float:
    """How far the power spectra of two images (C, H, W) are apart, in decibels: 0 if they are equal.

    The mean over channels and rings of |10 log10 (P_image / P_truth)|, P as of ``radial_power`` plus
    ``floor``. An image without the fine texture of the truth, which pixel losses forgive, is far.
    """
    both = [np.stack([radial_power(channel) for channel in img]) + floor for img in (image, truth)]
    return float(np.abs(10 * np.log10(both[0] / both[1])).mean())
