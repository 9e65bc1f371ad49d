"""Sampling maps of warps, and images resampled along them: what RandomWarp and CopyPaste share."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from cellmm.checks import check_ranges, check_share

BLOCK = 2048  # px a side that are resampled at once: cv2.remap takes less than 32767 px, in and out
SMALLEST_SCALE = 0.1  # a block then reads at most BLOCK * sqrt(2) / 0.1 = 28963 px


def check_warp(
    *,
    rotate: Sequence[float],
    scale: Sequence[float],
    flip: float,
    elastic_spacing: float,
    elastic_magnitude: float,
) -> None:
    """ValueError where a random warp cannot have these ranges."""
    check_ranges(rotate=rotate)
    check_ranges(SMALLEST_SCALE, scale=scale)
    check_share(flip=flip)
    if elastic_magnitude < 0 or elastic_spacing < 1:
        raise ValueError(
            "elastic_magnitude must be at least 0 px and elastic_spacing 1 px, got "
            f"{elastic_magnitude} and {elastic_spacing}"
        )


def sampling_map(
    size: tuple[int, int], centre: tuple[float, float], *, angle: float, scale: float, flip: bool
) -> tuple[np.ndarray, np.ndarray]:
    """x and y in the image of each pixel of an output of ``size`` (h, w), float32 (h, w) each, px.

    Args:
        centre: (x, y) in the image of the middle of the output, px.
        angle: degrees, counter-clockwise as in ``np.rot90``.
        scale: 2 shows everything twice as large.
        flip: left to right, before the rotation.
    """
    (height, width), (centre_x, centre_y) = size, centre
    angle, mirror = np.deg2rad(angle), -1 if flip else 1
    u = mirror * (np.arange(width) - (width - 1) / 2) / scale
    v = (np.arange(height) - (height - 1) / 2)[:, None] / scale
    cos, sin = np.cos(angle), np.sin(angle)
    xs = (cos * u + centre_x).astype(np.float32) - (sin * v).astype(np.float32)
    ys = (sin * u + centre_y).astype(np.float32) + (cos * v).astype(np.float32)
    return xs, ys


def bend(xs: np.ndarray, ys: np.ndarray, rng: np.random.Generator, spacing: float, magnitude: float) -> None:
    """Add an elastic displacement to a sampling map, in place.

    Args:
        spacing: distance of the random displacements, px of the output; bicubic in between.
        magnitude: their standard deviation along x and along y, px of the image.
    """
    height, width = xs.shape
    nodes = [int(np.ceil(side / spacing)) for side in xs.shape]
    for positions in (xs, ys):
        coarse = rng.normal(0, magnitude, nodes).astype(np.float32)
        positions += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def resample(
    smooth: list[np.ndarray], exact: list[np.ndarray], xs: np.ndarray, ys: np.ndarray, border: str | float
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """``smooth`` images at (xs, ys), linearly with ``border`` outside; ``exact`` ones by nearest, with 0."""
    mirrors = border == "mirror"
    options = dict(borderMode=cv2.BORDER_REFLECT_101) if mirrors else dict(borderValue=(float(border),) * 4)
    shape = exact[0].shape
    parts = []
    for block in _blocks(xs.shape):
        x, y = xs[block], ys[block]
        rows, columns = source_pixels(y, shape[0], mirrors), source_pixels(x, shape[1], mirrors)
        x, y = x - np.float32(columns.start), y - np.float32(rows.start)
        parts.append(
            [cv2.remap(image[rows, columns], x, y, cv2.INTER_LINEAR, **options) for image in smooth]
            + [cv2.remap(image[rows, columns], x, y, cv2.INTER_NEAREST) for image in exact]
        )
    warped = parts[0]
    if len(parts) > 1:
        warped = [np.empty((*xs.shape, *part.shape[2:]), part.dtype) for part in parts[0]]
        for block, images in zip(_blocks(xs.shape), parts, strict=True):
            for whole, part in zip(warped, images, strict=True):
                whole[block] = part
    return warped[: len(smooth)], warped[len(smooth) :]


def _blocks(shape: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    for y in range(0, shape[0], BLOCK):
        for x in range(0, shape[1], BLOCK):
            yield slice(y, y + BLOCK), slice(x, x + BLOCK)


def source_pixels(positions: np.ndarray, length: int, mirrors: bool) -> slice:
    """The pixels along an axis of the image that ``positions`` read, mirrored ones included."""
    low, high = int(np.floor(positions.min())) - 1, int(np.ceil(positions.max())) + 1
    first, last = low, high
    if mirrors and low < 0:
        last = max(high, -low)
    if mirrors and high > length - 1:
        first = min(low, 2 * (length - 1) - high)
    first, last = max(first, 0), min(last, length - 1)
    first = min(first, length - 1)
    return slice(first, max(last, first) + 1)
