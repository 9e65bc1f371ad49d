"""The distance of two sets of images, each seen as a cloud of feature vectors."""

import numpy as np

from .image_similarity import radial_power

BANDS = 32  # of frequency, from 0 to 0.5 cycles per px
FLOOR = 1e-8  # added to the power: a band without any has no logarithm


def frechet_distance(features: np.ndarray, other: np.ndarray) -> float:
    """The squared Fréchet distance of two Gaussians that were fitted to features (N, D) and (M, D), from 0.

    ``|a - b|^2 + tr(A) + tr(B) - 2 tr(sqrt(A B))`` of their means and covariances. The last term is the sum
    of the singular values of a small matrix, which is exact for any N, M and D; with few vectors the distance
    is too large, so compare distances of equal numbers. Source: FID.

    Raises:
        ValueError: fewer than 2 vectors in a set, or vectors of another length.

    >>> frechet_distance(np.array([[0.0], [2.0]]), np.array([[3.0], [5.0]]))
    9.0
    """
    sets = [np.asarray(values, np.float64) for values in (features, other)]
    if min(map(len, sets)) < 2 or sets[0].shape[1] != sets[1].shape[1]:
        raise ValueError(
            f"features are {sets[0].shape} and {sets[1].shape}: two (N, D), N from 2, are needed"
        )
    means = [values.mean(axis=0) for values in sets]
    # R^T R is the covariance, with at most D rows
    roots = [
        np.linalg.qr((values - mean) / np.sqrt(len(values) - 1), mode="r")
        for values, mean in zip(sets, means, strict=True)
    ]
    spread = sum((root**2).sum() for root in roots)
    shared = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    return max(0.0, float(((means[0] - means[1]) ** 2).sum() + spread - 2 * shared))


def spectrum_features(image: np.ndarray) -> np.ndarray:
    """Decibels of power in 32 bands of frequency, each channel of an image (C, H, W) apart, (C, 32).

    The bands are evenly spaced from 0 to 0.5 cycles per px, whatever the size of the image.
    """
    features = []
    for channel in image:
        power = 10 * np.log10(radial_power(channel) + FLOOR)
        rings = (np.arange(len(power)) + 0.5) / min(channel.shape)
        features.append(np.interp((np.arange(BANDS) + 0.5) / (2 * BANDS), rings, power))
    return np.stack(features)
