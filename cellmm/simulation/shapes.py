"""Outlines and heights of single cells, from round to worm-like."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

POSES = 64  # that are tried for a cell


@dataclass(frozen=True)
class CellShape:
    """One cell on its own small grid, whose first pixel is pixel ``origin`` (y, x) of the scene.

    ``mask``: bool (h, w); ``nucleus``: bool (h, w), inside the mask; ``height``: thickness of the cell in um,
    0 outside the mask; ``grains``: thickness-equivalent of organelles and nucleoli in um, of either sign.
    """

    origin: tuple[int, int]
    mask: np.ndarray
    nucleus: np.ndarray
    height: np.ndarray
    grains: np.ndarray


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> np.ndarray:
    """Gaussian noise of unit variance, smooth over about ``scale`` pixels, float32 of ``shape``."""
    scale = max(scale, 1.0)
    coarse = rng.standard_normal([int(np.ceil(n / scale)) + 4 for n in shape], dtype=np.float32)
    grid = np.meshgrid(*(1.5 + np.arange(n, dtype=np.float32) / scale for n in shape), indexing="ij")
    noise = ndimage.map_coordinates(coarse, grid, order=3, mode="nearest")
    return noise / max(float(noise.std()), 1e-6)


def make_cell(
    rng: np.random.Generator,
    *,
    centre: tuple[float, float],
    length: float,
    width: float,
    bend: float,
    height: float,
    roughness: float,
    pixel: float,
) -> CellShape:
    """Grow a cell around a bent axis: pixels nearer to the axis than its local half width belong to the cell.

    Args:
        centre: (y, x) of the middle of the axis, px.
        length, width, height: um; ``length`` equal to ``width`` gives a round cell.
        bend: how far the axis turns from end to end, rad.
        roughness: how far the outline wanders, as a share of the half width.
        pixel: um per pixel.
    """
    half_width = width / 2 / pixel
    axis_length = max(length - width, 0.0) / pixel
    steps = np.linspace(-0.5, 0.5, max(int(axis_length / 3), 1) + 1)
    turn = rng.uniform(0, 2 * np.pi) + bend * (steps + 0.35 * np.sin(2 * np.pi * steps) * rng.uniform(-1, 1))
    path = np.cumsum(np.stack([np.sin(turn), np.cos(turn)], 1), 0) * axis_length / len(steps)
    path = path - path[len(path) // 2] + centre
    taper = 1 - rng.uniform(0.0, 0.45) * (2 * np.abs(steps)) ** 2
    radius = half_width * taper * (1 + 0.12 * np.interp(steps, np.linspace(-0.5, 0.5, 5), rng.normal(size=5)))
    radius = np.maximum(radius, 0.35 * half_width)

    low, yy, xx, depth = _depth(rng, path, radius, half_width=half_width, roughness=roughness)
    mask = ndimage.binary_fill_holes(_main_part(depth < 1))

    body = np.sqrt(np.clip(1 - depth**2, 0, 1))
    spread = 0.35 * body + 0.65 * np.exp(-((depth / 0.55) ** 2))  # thin at the rim, thick over the nucleus
    nucleus, nucleoli = _nucleus(rng, yy, xx, centre=path[len(path) // 2], half_width=half_width, inside=mask)
    grains = _grains(rng, mask & ~nucleus, pixel) * body - 0.1 * height * ndimage.gaussian_filter(
        nucleus.astype(np.float32), 0.3 / pixel
    )
    grains += 0.25 * height * nucleoli
    return CellShape(
        origin=(int(low[0]), int(low[1])),
        mask=mask,
        nucleus=nucleus,
        height=(height * spread * mask).astype(np.float32),
        grains=(grains * mask).astype(np.float32),
    )


def make_mask(
    rng: np.random.Generator,
    *,
    length: float,
    width: float,
    area: float,
    turn: float,
    extent: float,
    roughness: float,
) -> np.ndarray:
    """The mask of a cell with the measurements of another, in a new pose: bool (h, w), its box.

    The axis is bent by a random sum of three cosines. The half width is r (1 - t |2 s|^3) at s from -0.5 to
    0.5 along it, with the taper t that gives the area.

    Args:
        length: along the axis from tip to tip, px.
        width: the largest across the axis, px.
        area: px^2.
        turn: mean curvature times length, rad.
        extent: largest diameter of the cell over its length, 1 for a straight one.
        roughness: see ``make_cell``.
    """
    tapers = np.linspace(0, 0.95, 20)
    points = max(int(length), 16)
    areas = [_straight_area(*_axis_and_radius(length, width, taper, points)) for taper in tapers]
    best = int(np.abs(np.array(areas) - area).argmin())
    width *= float(np.clip(area / areas[best], 0.7, 1.4))
    places, _ = _axis_and_radius(length, width, tapers[best], 2)
    # a measured turn is rather more; the diameter has something of the width
    extent = extent - 0.4 * width / max(length, width)
    path = _posed_axis(rng, places[-1] - places[0], 0.87 * turn, extent)
    _, radius = _axis_and_radius(length, width, tapers[best], len(path))
    half_width = width / 2
    _, _, _, depth = _depth(rng, path, radius, half_width=half_width, roughness=roughness, fine=0.0)
    mask = _main_part(depth < 1)  # a cell that is bent to a ring has a hole
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _axis_and_radius(length: float, width: float, taper: float, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Places along the straight axis of a cell, from its middle, and half widths there: (n,) each, px."""
    along = np.linspace(-1, 1, number)
    half = np.maximum(width / 2 * (1 - taper * np.abs(along) ** 3), 0.6)
    places = along * max(length / 2 - half[-1], 0.0)
    return places, np.clip(length / 2 - np.abs(places), 0.6, half)  # no part reaches beyond the tips


def _straight_area(places: np.ndarray, radius: np.ndarray) -> float:
    """Area of the union of discs on a straight axis."""
    tip = float(np.max(places + radius))
    across = np.linspace(-tip, tip, 65)
    squares = (radius**2 - (across[:, None] - places) ** 2).max(1)
    return 2 * float(np.trapezoid(np.sqrt(np.maximum(squares, 0)), across))


def _posed_axis(rng: np.random.Generator, length: float, turn: float, extent: float) -> np.ndarray:
    """The points (n, 2) of an axis: of POSES that turn as much, the one whose extent is nearest."""
    number = max(int(length / 1.5), 1) + 1  # points
    start = rng.uniform(0, 2 * np.pi)
    along = np.linspace(0, 1, number)
    curvature = rng.normal(size=(POSES, 3)) @ np.cos(np.pi * np.arange(3)[:, None] * along)
    curvature *= 1 - np.abs(2 * along - 1) ** 4  # the tips are straight
    curvature *= turn / np.maximum(np.abs(curvature).mean(1, keepdims=True), 1e-6)
    step = 1 / (number - 1)
    angle = start + np.cumsum(curvature, 1) * step
    paths = np.cumsum(np.stack([np.sin(angle), np.cos(angle)], 2), 1) * length * step
    some = paths[:, :: max(number // 16, 1)]
    reach = np.hypot(*np.moveaxis(some[:, :, None] - some[:, None], 3, 0)).max((1, 2)) / max(length, 1e-6)
    return paths[np.abs(reach - extent).argmin()]


def _depth(
    rng: np.random.Generator,
    path: np.ndarray,
    radius: np.ndarray,
    *,
    half_width: float,
    roughness: float,
    fine: float = 0.25,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """First pixel, y, x and depth of the grid around an axis: 0 on the axis, 1 on the outline."""
    margin = int(1.8 * half_width) + 3
    low = np.floor(path.min(0)).astype(int) - margin
    high = np.ceil(path.max(0)).astype(int) + margin + 1
    yy, xx = np.mgrid[low[0] : high[0], low[1] : high[1]].astype(np.float32)
    depth = np.full(yy.shape, np.inf, np.float32)
    reach = int(2.5 * radius.max()) + 2
    for (y, x), r in zip(path, radius, strict=True):
        near = tuple(
            slice(max(int(p - a) - reach, 0), int(p - a) + reach) for p, a in zip((y, x), low, strict=True)
        )
        np.minimum(depth[near], np.hypot(yy[near] - y, xx[near] - x) / r, out=depth[near])
    depth *= 1 + roughness * (
        0.8 * smooth_noise(rng, yy.shape, 1.3 * half_width)
        + fine * smooth_noise(rng, yy.shape, half_width / 3)
    )
    return low, yy, xx, depth


def _main_part(mask: np.ndarray) -> np.ndarray:
    """The largest connected part."""
    parts, number = ndimage.label(mask)
    if number > 1:
        mask = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    return mask


def _nucleus(
    rng: np.random.Generator,
    yy: np.ndarray,
    xx: np.ndarray,
    *,
    centre: np.ndarray,
    half_width: float,
    inside: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """An ellipse of about half the cell's width, and one to three nucleoli in it (0 to 1)."""
    major = half_width * rng.uniform(0.45, 0.6)
    minor = major * rng.uniform(0.65, 0.95)
    angle = rng.uniform(0, np.pi)
    dy, dx = yy - centre[0], xx - centre[1]
    u = (dx * np.cos(angle) + dy * np.sin(angle)) / major
    v = (dy * np.cos(angle) - dx * np.sin(angle)) / minor
    nucleus = (u**2 + v**2 < 1) & inside
    spots = np.zeros_like(yy)
    for _ in range(rng.integers(1, 4)):
        a, b = rng.uniform(-0.5, 0.5, 2)
        spots += np.exp(-((u - a) ** 2 + (v - b) ** 2) / (2 * 0.14**2))
    return nucleus, spots * nucleus


def _grains(rng: np.random.Generator, where: np.ndarray, pixel: float) -> np.ndarray:
    """Organelles: many small dense spots of about 0.3 um, and a soft mottle, in um of thickness."""
    spots = np.zeros(where.shape, np.float32)
    ys, xs = np.nonzero(where)
    number = int(len(ys) * pixel**2 * 0.25)  # one on 4 um^2
    if number:
        chosen = rng.integers(len(ys), size=number)
        np.add.at(spots, (ys[chosen], xs[chosen]), rng.uniform(0.2, 1.0, number).astype(np.float32))
    sigma = max(0.25 / pixel, 0.6)
    spots = ndimage.gaussian_filter(spots, sigma) * (2 * np.pi * sigma**2)
    return 0.5 * spots + 0.12 * smooth_noise(rng, where.shape, 1.2 / pixel)
