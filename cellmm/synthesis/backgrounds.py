"""What an image would show without its cells: its uneven light and its grain."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.polynomial.polynomial import polygrid2d, polyvander2d

from cellmm.structures import LabelLayers

DEGREE = 2  # of the polynomial that light is fitted by
FARTHEST = 64  # px from a cell, where its halo ends for sure
FADED = 0.5  # of the grain's standard deviation: a halo that is weaker does not count
SIGMA = 24.0  # px, of the Gaussian that weights pixels near by
LEAST_WEIGHT = 0.02  # of them; where they weigh less the polynomial alone counts, more and more
ENOUGH = 10  # pixels per term of the polynomial
MOST = 2**20  # pixels that it is fitted to, evenly spaced
TRIES = 32  # places that grain is taken from


@dataclass(frozen=True)
class Background:
    """What is known of an image's background.

    Args:
        light: float32 (H, W, C), a smooth surface.
        free: bool (H, W), pixels that show neither a cell nor its halo.
    """

    light: np.ndarray
    free: np.ndarray


def background_of(image: np.ndarray, cells: LabelLayers) -> Background:
    """The light of an image, and the pixels that show nothing else.

    Halos are as wide as the pixels around cells differ from those far away. The light is a polynomial that
    fits the free pixels best, and the mean of what these differ from it near by. An image with too few of
    them gives the median of all its pixels.

    Args:
        image: (H, W, C).
    """
    distance = cv2.distanceTransform((~cells.covered()).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    free = distance > 0
    halo = _halo(image - _fit(image, free), distance) if free.any() else 0
    free = distance > halo
    light = _fit(image, free)
    return Background(light + _smooth(image - light, free), free)


def _halo(residual: np.ndarray, distance: np.ndarray) -> int:
    """Pixels around cells in which the mean differs from that of pixels farther away, in any channel."""
    rings = np.ceil(np.minimum(distance, FARTHEST)).astype(int)
    last = int(rings.max())
    far = residual[rings > last / 2]
    level = far.mean(0)
    spread = np.median(np.abs(far - level), 0) / 0.6745
    for ring in np.unique(rings[(rings > 0) & (rings <= last / 2)])[::-1].tolist():
        if np.any(np.abs(residual[rings == ring].mean(0) - level) > FADED * spread):
            return ring
    return 0


def _fit(image: np.ndarray, free: np.ndarray) -> np.ndarray:
    """A polynomial of the free pixels, float32 (H, W, C)."""
    step = math.ceil(math.sqrt(free.size / MOST))
    rows, columns = (np.linspace(-1, 1, side) for side in free.shape)
    pixels, free = image[::step, ::step].astype(np.float64), free[::step, ::step]
    terms = polyvander2d(*np.meshgrid(rows[::step], columns[::step], indexing="ij"), (DEGREE, DEGREE))
    low = np.add.outer(range(DEGREE + 1), range(DEGREE + 1)) <= DEGREE
    terms = terms[..., low.ravel()]
    if np.count_nonzero(free) < ENOUGH * terms.shape[-1]:
        return np.broadcast_to(np.median(pixels, (0, 1)), image.shape).astype(np.float32)
    factors = np.zeros((*low.shape, image.shape[2]))
    factors[low] = np.linalg.lstsq(terms[free], pixels[free], rcond=None)[0]
    return np.moveaxis(polygrid2d(rows, columns, factors), 0, -1).astype(np.float32)


def _smooth(residual: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The mean of the free pixels near by, float32 (H, W, C); 0 where there are none."""
    weight = cv2.GaussianBlur(free.astype(np.float32), (0, 0), SIGMA)
    sums = cv2.GaussianBlur(np.where(free[..., None], residual, 0), (0, 0), SIGMA).reshape(residual.shape)
    return sums / np.maximum(weight, LEAST_WEIGHT)[..., None]


def without_cells(image: np.ndarray, background: Background, rng: np.random.Generator) -> np.ndarray:
    """The image with background in place of its cells and their halos, float32 (H, W, C).

    A pixel there gets the light and the grain, image minus light, of a free pixel. All pixels of a cell take
    it from places that lie alike, so grain keeps its texture. An image that is all cells gives the light
    alone.

    Args:
        image: (H, W, C).
        rng: chooses the places.
    """
    free, light = background.free, background.light
    made = np.where(free[..., None], image, light).astype(np.float32)
    todo = ~free
    if free.any():
        grain = image - light
        for _ in range(TRIES):
            if not todo.any():
                break
            shift = tuple(rng.integers(0, free.shape).tolist())
            taken = todo & np.roll(free, shift, (0, 1))
            made[taken] += np.roll(grain, shift, (0, 1))[taken]
            todo &= ~taken
        made[todo] += rng.choice(grain[free], np.count_nonzero(todo))
    return made
