"""How cells and their background look in an annotated image, and its noise."""

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from cellmm.simulation.alike import level_at
from cellmm.simulation.grain import SCALES, measure_grain, tiles
from cellmm.simulation.likeness import BLOCK, LOW, REACH, ChannelLook
from cellmm.structures import MaskRuns

STEPS = 11  # of the distribution of contrasts
DEEPEST = 40  # px from the outline
DARKEST = 1e-3  # of the brightest background: what is darker takes no light away


def measure_appearance(
    pixels: np.ndarray, masks: MaskRuns, count: np.ndarray
) -> tuple[list[ChannelLook], tuple[float, float]]:
    """The look of each channel, and the levels of the first below which cells may lie.

    Args:
        pixels: float32 (H, W, C).
        masks: the cells.
        count: how many of them lie on each pixel, (H, W).
    """
    outside = ndimage.distance_transform_edt(count == 0)
    depth = (0.5 - outside).astype(np.float32)
    depth[count > 1] = np.nan
    owner = np.zeros(count.shape, np.int32)
    for i, crop, window in crops(masks):
        sides = [
            (int(part.start > 0), int(part.stop < n)) for part, n in zip(window, count.shape, strict=True)
        ]  # the edge of the image is no outline
        inside = ndimage.distance_transform_edt(np.pad(crop, sides))
        inside = inside[sides[0][0] :, sides[1][0] :][: crop.shape[0], : crop.shape[1]]
        alone = crop & (count[window] == 1)
        owner[window][alone] = i + 1
        depth[window][alone] = inside[alone] - 0.5
    looks, first = [], None
    for channel in np.moveaxis(pixels, 2, 0):
        coarse = _background(channel, depth)
        low, high = _levels(level_at(coarse, channel.shape), masks)
        looks.append(_channel(channel, coarse, (low, high), depth, owner, len(masks)))
        more = 0.05 * (high - low) + 3 * looks[-1].noise_deviation
        first = first or (float(low - more), float(high + more))
    return looks, first


def crops(masks: MaskRuns) -> Iterator[tuple[int, np.ndarray, tuple[slice, slice]]]:
    """Of each cell its number, its pixels in its box, and where the box is."""
    for i in range(len(masks)):
        crop, (top, left) = masks.crop(i)
        yield i, crop, (slice(top, top + crop.shape[0]), slice(left, left + crop.shape[1]))


def _levels(level: np.ndarray, masks: MaskRuns) -> tuple[float, float]:
    """Between which the background below most cells lies."""
    below = [np.percentile(level[window][crop], (LOW, 100 - LOW)) for _, crop, window in crops(masks)]
    if not below:
        return float(level.min()), float(level.max())
    low, high = np.array(below).T
    return float(np.percentile(low, 10)), float(np.percentile(high, 90))


def _channel(
    pixels: np.ndarray,
    coarse: np.ndarray,
    levels: tuple[float, float],
    depth: np.ndarray,
    owner: np.ndarray,
    num: int,
) -> ChannelLook:
    level = level_at(coarse, pixels.shape)
    difference = pixels - level
    cells = owner > 0
    absorbs = bool(cells.any() and np.median(difference[cells]) < 0 and coarse.min() >= 0)
    if absorbs:
        difference = difference / np.maximum(level, DARKEST * level.max())
    place = np.floor(depth + REACH)
    deepest = min(int(np.nanmax(depth)) + 1 if cells.any() else 1, DEEPEST)
    inner = [_middle(difference, cells & (place == REACH + k)) for k in range(deepest)]
    outer = [_middle(difference, ~cells & (place == k)) for k in range(REACH)]
    profile = _filled([*outer, *inner])
    profile[: REACH - 1] -= profile[0] * np.linspace(1, 0, REACH - 1)  # what the background has already
    at = np.arange(len(profile)) - REACH + 0.5
    shown = np.interp(np.nan_to_num(depth, nan=-99.0), at, profile, left=0.0)
    gains = _gains(difference, shown, owner, num)
    rest = difference - shown * np.concatenate([[1.0], gains])[owner]
    usual = (level >= levels[0]) & (level <= levels[1])
    # at the wall of a well, say, the background of a cell is guessed
    with np.errstate(invalid="ignore"):  # of cells that lie wholly over or under others
        well = ndimage.mean(usual, owner, np.arange(1, num + 1)) > 0.9
    noise = None
    for far in (REACH, REACH / 2, 1.0):
        noise = noise or measure_grain(rest, tiles(usual & (depth < -far)))
    texture = measure_grain(rest, np.where(depth > 1, owner, 0))
    none = np.zeros(len(SCALES))
    return ChannelLook(
        level=[_rounded(row) for row in coarse],
        background=_rounded([np.median(level[cells] if cells.any() else level)])[0],
        absorbs=absorbs,
        profile=_rounded(profile),
        gains=_rounded(np.percentile(gains[well], np.linspace(8, 92, STEPS)) if well.any() else [1.0]),
        noise=_rounded(noise or none),
        texture=_rounded(texture or noise or none),
    )


def _background(pixels: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """The median of the background in blocks of about BLOCK px; those under cells are those around them."""
    shape = tuple(max(1, round(n / BLOCK)) for n in pixels.shape)
    rows, columns = (
        np.linspace(0, n, m + 1).round().astype(int) for n, m in zip(pixels.shape, shape, strict=True)
    )
    for far in (REACH / 2, 0.0):
        free = depth < -far
        if free.mean() > 0.05:
            break
    coarse = np.full(shape, np.nan)
    for y in range(shape[0]):
        for x in range(shape[1]):
            part = slice(rows[y], rows[y + 1]), slice(columns[x], columns[x + 1])
            if free[part].mean() >= 0.1:
                coarse[y, x] = np.median(pixels[part][free[part]])
    if np.isnan(coarse).all():
        return np.full(shape, np.percentile(pixels, 5))
    known = ~np.isnan(coarse)
    weight = ndimage.gaussian_filter(known.astype(float), 1.5, truncate=8)
    smooth = ndimage.gaussian_filter(np.where(known, coarse, 0), 1.5, truncate=8) / np.maximum(weight, 1e-12)
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    around = np.where(weight > 1e-3, smooth, coarse[tuple(nearest)])
    return ndimage.median_filter(np.where(known, coarse, around), 3, mode="nearest")  # no specks


def _middle(values: np.ndarray, where: np.ndarray) -> float:
    """The mean of the middle half: as robust as the median, and finer where grey values are few."""
    found = np.sort(values[where])
    if len(found) < 8:
        return float("nan")
    return float(found[len(found) // 4 : len(found) - len(found) // 4].mean())


def _filled(values: list[float]) -> np.ndarray:
    """Values (n,) whose gaps are those beside them."""
    array = np.array(values)
    known = np.flatnonzero(~np.isnan(array))
    return np.interp(np.arange(len(array)), known, array[known]) if len(known) else np.zeros(len(array))


def _gains(difference: np.ndarray, shown: np.ndarray, owner: np.ndarray, num: int) -> np.ndarray:
    """By how much more than the median cell each differs from the background; 1 where contrast is faint."""
    labels = np.arange(1, num + 1)
    power = ndimage.sum_labels(shown**2, owner, labels)
    rest = difference - shown
    inside = owner > 0
    if not num or np.mean(shown[inside] ** 2) < np.median(np.abs(rest[inside])) ** 2:
        return np.ones(num)
    gains = ndimage.sum_labels(difference * shown, owner, labels) / np.maximum(power, 1e-12)
    gains = np.where(power > 0, gains, 1.0)
    return np.clip(gains, 0.2, 4.0)


def _rounded(values: np.ndarray | list[float]) -> list[float]:
    return [float(f"{value:.5g}") for value in values]
