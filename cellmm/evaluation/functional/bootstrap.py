"""How far scores would differ on other images of the same kind: a paired bootstrap over the images.

Every resample draws as many images as there are, with replacement, and each result is scored on the same
resamples, so that a difference between two results is not blurred by which images are hard.
Source: Efron and Tibshirani (13.3), percentile intervals; Davison and Hinkley, the p-value.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from .average_precision import (
    IOU_THRESHOLDS,
    RankedMatches,
    mean_of_defined,
    pool_matches,
    pooled_precision_and_recall,
)


def draw_resamples(num_images: int, *, resamples: int, seed: int) -> np.ndarray:
    """How often each image is drawn in each resample, int64 (R, B); every row sums to B.

    Examples:
        >>> draw_resamples(5, resamples=3, seed=0).sum(axis=1).tolist()
        [5, 5, 5]
    """
    if num_images < 1 or resamples < 0:
        raise ValueError(f"{resamples} resamples of {num_images} images: at least 0 and 1 are needed")
    shares = np.full(num_images, 1 / num_images)
    return np.random.default_rng(seed).multinomial(num_images, shares, size=resamples)


def resampled_means(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The mean of ``values`` (B,) over the images of each resample (R,); those that are nan are left out.

    ``times``: int (R, B), as of ``draw_resamples``; nan where a resample has no defined value.

    Examples:
        >>> resampled_means(np.array([1.0, 0.0, np.nan]), np.array([[2, 1, 0], [0, 0, 3]])).round(2).tolist()
        [0.67, nan]
    """
    values = np.asarray(values, np.float64)
    defined = ~np.isnan(values)
    number = times @ defined
    return (times @ np.where(defined, values, 0)) / np.where(number > 0, number, np.nan)


def resampled_precisions(
    images: Sequence[Mapping[int, RankedMatches]], labels: Sequence[int], times: np.ndarray
) -> np.ndarray:
    """AP of all areas in each resample, float64 (R, T), the mean over the classes that have cells there.

    ``images``: {label: matches} each, B of them; ``times``: int (R, B), as of ``draw_resamples``.
    """
    pooled = [pool_matches([image.get(label) for image in images]) for label in labels]
    found = np.full((len(times), len(IOU_THRESHOLDS)), np.nan)
    for row, drawn in enumerate(times):
        of_classes = [pooled_precision_and_recall(one, drawn)[0].mean(axis=1) for one in pooled]
        if of_classes:
            found[row] = mean_of_defined(np.stack(of_classes), axis=0)
    return found


def interval(samples: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of resampled scores (R,); nan where fewer than two are defined.

    Examples:
        >>> interval(np.arange(101.0), level=0.5)
        (25.0, 75.0)
    """
    samples = samples[~np.isnan(samples)]
    if len(samples) < 2:
        return float("nan"), float("nan")
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def two_sided_p(differences: np.ndarray) -> float:
    """How compatible resampled differences (R,) are with none: twice the smaller share beyond 0, at most 1.

    1 is added to the number beyond 0 and to that of resamples, so that it is never 0; nan where fewer than
    two are defined.

    Examples:
        >>> two_sided_p(np.array([0.1] * 99)), two_sided_p(np.array([-1.0, 0.0, 1.0]))
        (0.02, 1.0)
    """
    differences = differences[~np.isnan(differences)]
    if len(differences) < 2:
        return float("nan")
    beyond = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return min(1.0, 2 * (beyond + 1) / (len(differences) + 1))
