"""Noise and texture by their standard deviations at four scales: measured on any pixels, and drawn again."""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from scipy.optimize import nnls

SCALES = (0, 2, 5, 12)  # px over which the noise is smooth; 0: each pixel is its own
LAGS = (1, 2, 4, 8)  # px between the pixels that are compared
FEWEST = 30  # pairs of pixels of a group
TILE = 32  # px


def draw_grain(rng: np.random.Generator, shape: tuple[int, int], deviations: Sequence[float]) -> np.ndarray:
    """Noise, float32 of ``shape``, with a standard deviation for each of SCALES."""
    noise = np.zeros(shape, np.float32)
    for scale, deviation in zip(SCALES, deviations, strict=True):
        if deviation or scale:  # smooth noise is drawn whatever its deviation, so that channels agree
            noise += np.float32(deviation) * _unit_noise(rng, shape, scale)
    return noise


def _unit_noise(rng: np.random.Generator, shape: tuple[int, int], scale: int) -> np.ndarray:
    if not scale:
        return rng.standard_normal(shape, np.float32)
    coarse = rng.standard_normal([n // scale + 4 for n in shape], np.float32)
    noise = cv2.resize(coarse, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    noise = noise[scale : scale + shape[0], scale : scale + shape[1]]
    return noise / max(float(noise.std()), 1e-6)


def measure_grain(values: np.ndarray, owner: np.ndarray) -> list[float] | None:
    """The standard deviation at each of SCALES, from the variogram of the median group of pixels.

    Half the mean squared differences of pixels at LAGS along rows and columns are compared with those of
    ``draw_grain``, by least squares without negative variances. The median over groups leaves out those with
    dust, or with a neighbour that nobody annotated.

    Args:
        values: float (H, W).
        owner: int (H, W), groups of pixels that are compared, such as cells, or tiles of the background; 0 is
            left out.

    Returns:
        None where no group has FEWEST pairs.
    """
    found = [_variogram(values, owner, lag) for lag in LAGS]
    known = [i for i, value in enumerate(found) if value is not None]
    if not known:
        return None
    wanted = np.array([found[i] for i in known])
    # relative errors count, so that the noise of neighbours, the weakest, is fitted as well
    weight = 1 / np.maximum(wanted, wanted.max() * 1e-3 + 1e-12)
    fit = np.array(_variograms())[known]
    return np.sqrt(nnls(fit * weight[:, None], wanted * weight)[0]).tolist()


def tiles(where: np.ndarray) -> np.ndarray:
    """Squares of TILE px as groups for ``measure_grain``: int (H, W), 0 outside of ``where``, bool (H, W)."""
    rows, columns = (np.arange(n) // TILE for n in where.shape)
    return (1 + rows[:, None] * (columns[-1] + 1) + columns) * where


def _variogram(values: np.ndarray, owner: np.ndarray, lag: int) -> float | None:
    total, pairs = np.zeros(owner.max() + 1), np.zeros(owner.max() + 1)
    for axis in (0, 1):
        value, mine = (np.moveaxis(array, axis, 0)[:-lag] for array in (values, owner))
        other, theirs = (np.moveaxis(array, axis, 0)[lag:] for array in (values, owner))
        same = (mine == theirs) & (mine > 0)
        group = mine[same]
        total += np.bincount(group, (other - value)[same].astype(np.float64) ** 2 / 2, len(total))
        pairs += np.bincount(group, minlength=len(pairs))
    known = pairs >= FEWEST
    return float(np.median(total[known] / pairs[known])) if known.any() else None


@lru_cache(maxsize=1)
def _variograms() -> tuple[tuple[float, ...], ...]:
    """The variogram at each of LAGS (rows) of unit noise of each of SCALES (columns)."""
    columns = []
    for scale in SCALES:
        deviations = [float(scale == other) for other in SCALES]
        noise = draw_grain(np.random.default_rng(0), (384, 384), deviations)
        columns.append([_variogram(noise, np.ones(noise.shape, int), lag) for lag in LAGS])
    return tuple(zip(*columns, strict=True))
