"""Outlines of shapes that programs store as a few numbers: ellipses, rectangles, curves."""

import math
from collections.abc import Sequence

import numpy as np

from cellmm.io.annotations.collected import MAX_COORDINATE

CURVE_POINTS = 64  # of a piece of a curve


def rectangle(left: float, top: float, width: float, height: float, degrees: float = 0.0) -> np.ndarray:
    """(4, 2) corners (x, y); turned clockwise about (left, top)."""
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return corners @ np.array([[cos, sin], [-sin, cos]]) + (left, top)


def ellipse(x: float, y: float, a: float, b: float, degrees: float = 0.0) -> np.ndarray:
    """The steps around all pixels whose centre lies within an ellipse or on it, (K, 2) as (x, y).

    Args:
        x, y: of its centre.
        a, b: its radii, to the right and downwards before it is turned.
        degrees: clockwise on the screen, where y points down.
    """
    values = (x, y, a, b, degrees)
    if not all(isinstance(value, int | float) and abs(value) <= MAX_COORDINATE for value in values):
        return np.full((1, 2), np.nan)  # is refused where outlines are checked
    a, b = abs(a), abs(b)
    if a == 0 or b == 0:
        return np.zeros((0, 2))
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    # p dx^2 + 2 q dx dy + r dy^2 <= 1
    p, q, r = cos**2 / a**2 + sin**2 / b**2, cos * sin * (1 / a**2 - 1 / b**2), sin**2 / a**2 + cos**2 / b**2
    reach = math.hypot(a * sin, b * cos)
    rows = np.arange(math.ceil(y - reach - 0.5), math.floor(y + reach - 0.5) + 1)
    dy = rows + 0.5 - y
    half = np.sqrt(np.maximum((q * dy) ** 2 - p * (r * dy**2 - 1), 0)) / p
    middle = x - q * dy / p
    trifle = 1e-9 * max(a, b)  # centres on the ellipse itself are inside
    left, right = np.ceil(middle - half - 0.5 - trifle), np.floor(middle + half + 0.5 + trifle)
    right = np.maximum(left, right)
    down = np.stack([np.repeat(right, 2), np.stack([rows, rows + 1], axis=1).ravel()], axis=1)
    up = np.stack([np.repeat(left, 2), down[:, 1]], axis=1)[::-1]
    return np.concatenate([down, up])


def rounded_rectangle(left: float, top: float, width: float, height: float, arc: float) -> np.ndarray:
    """A rectangle whose corners are quarters of ellipses as wide and high as ``arc`` altogether."""
    rx, ry = min(arc, width) / 2, min(arc, height) / 2
    angle = np.linspace(0, np.pi / 2, CURVE_POINTS)
    corners = []
    for number, (x, y) in enumerate(
        [(left + width - rx, top + height - ry), (left + rx, top + height - ry), (left + rx, top + ry)]
        + [(left + width - rx, top + ry)]
    ):
        turned = angle + number * np.pi / 2
        corners.append(np.stack([x + rx * np.cos(turned), y + ry * np.sin(turned)], axis=1))
    return np.concatenate(corners)


def bezier(points: Sequence[Sequence[float]]) -> np.ndarray:
    """The curve with three or four control points, (64, 2), without the first point."""
    t = np.linspace(0, 1, CURVE_POINTS + 1)[1:, None]
    curve = np.array(points, dtype=np.float64)
    rows = [np.broadcast_to(point, (len(t), 2)) for point in curve]
    while len(rows) > 1:  # de Casteljau 1959
        rows = [(1 - t) * first + t * second for first, second in zip(rows, rows[1:], strict=False)]
    return rows[0]


def smooth(ring: np.ndarray) -> np.ndarray:
    """A closed cubic spline through the corners, as ImageJ fits one, 64 points per corner at most."""
    from scipy.interpolate import CubicSpline  # takes long to import, and few files have splines

    if len(ring) < 3:
        return ring
    closed = np.concatenate([ring, ring[:1]])
    at = np.linspace(0, len(ring), max(len(ring) * 16, CURVE_POINTS), endpoint=False)
    return CubicSpline(np.arange(len(closed)), closed, bc_type="periodic")(at)
