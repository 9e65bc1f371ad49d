"""Length, width and curvature against shapes whose values are known.

Tolerances in pixels: bars and arcs of any direction 1 % + 1 in length, 0.5 in mean width (0.1 in the mean
over the directions), 0.8 in the largest width, 0.004 (1/px) in curvature; discs 1 in length and width.
"""

import numpy as np
import pytest

from cellmm.results.medial_axis import measure_axes, solid

SIDE = 240


def measured(mask):
    labels = np.pad(solid(mask), 4).astype(int)
    return {name: values[0] for name, values in measure_axes(labels, 1).items()}


def grid():
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    return y + 0.3, x + 0.1  # no symmetry with the pixels


def bar(length, width, angle, flat):
    y, x = grid()
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    if flat:
        return (np.abs(along) <= length / 2) & (np.abs(across) <= width / 2)
    return np.hypot(np.maximum(np.abs(along) - (length - width) / 2, 0), across) <= width / 2


def arc(radius, width, span):
    """Round ends; ``span`` in radians."""
    y, x = grid()
    mask = (np.abs(np.hypot(y, x) - radius) <= width / 2) & (np.abs(np.arctan2(y, x)) <= span / 2)
    for end in (-span / 2, span / 2):
        mask |= np.hypot(y - radius * np.sin(end), x - radius * np.cos(end)) <= width / 2
    return mask


def disc(radius):
    y, x = grid()
    return np.hypot(y, x) <= radius


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize(("length", "width"), [(60, 6), (100, 8), (60, 10), (160, 4)])
def test_straight_bars_of_any_direction(length, width, flat):
    widths = []
    for angle in np.linspace(0, np.pi, 12, endpoint=False):
        found = measured(bar(length, width, angle, flat))
        assert found["length"] == pytest.approx(length, abs=1 + 0.01 * length)
        assert found["width_mean"] == pytest.approx(width, abs=0.5)
        assert found["width_max"] == pytest.approx(width, abs=0.8)
        assert found["curvature"] < 0.004
        widths.append(found["width_mean"])
    assert np.mean(widths) == pytest.approx(width, abs=0.1)


@pytest.mark.parametrize(
    ("radius", "width", "span"), [(40, 8, 2), (30, 6, 3), (60, 10, 2.5), (80, 5, 1), (50, 4, 5)]
)
def test_bent_bars(radius, width, span):
    found = measured(arc(radius, width, span))
    length = radius * span + width
    assert found["length"] == pytest.approx(length, abs=1 + 0.01 * length)
    assert found["width_mean"] == pytest.approx(width, abs=0.25)
    assert found["width_max"] == pytest.approx(width, abs=0.8)
    assert found["curvature"] == pytest.approx(1 / radius, abs=0.004)


@pytest.mark.parametrize("radius", [3, 5, 10, 30, 60])
def test_discs(radius):
    found = measured(disc(radius))
    assert found["length"] == pytest.approx(2 * radius, abs=1)
    assert found["width_mean"] == pytest.approx(2 * radius, abs=1)
    assert found["curvature"] == 0


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 20), (2, 20), (3, 20), (4, 40), (5, 40), (11, 60), (10, 10), (10, 25)]
)
def test_blocks_of_pixels_are_exact(shape):
    found = measured(np.ones(shape, bool))
    values = [found["length"], found["width_mean"], found["width_max"]]
    assert values == pytest.approx([shape[1], shape[0], shape[0]], abs=1e-6)
    assert found["curvature"] == pytest.approx(0, abs=1e-9)
    assert measured(np.ones(shape, bool).T)["length"] == pytest.approx(shape[1], abs=1e-6)


def test_a_ring_is_as_long_as_its_midline():
    found = measured(disc(44) & ~disc(36))
    assert found["length"] == pytest.approx(2 * np.pi * 40, rel=0.01)
    assert found["width_mean"] == pytest.approx(8, abs=0.25)
    assert found["curvature"] == pytest.approx(1 / 40, abs=0.002)


def test_small_holes_and_pieces_do_not_count():
    whole = disc(30)
    faulty = whole & ~disc(3)
    faulty[:3, :3] = True
    assert measured(faulty) == measured(whole)


def test_a_cell_is_measured_as_if_alone():
    shapes = [bar(60, 6, 0.4, False)[60:180, 60:180], arc(40, 8, 2)[60:180, 60:180], disc(20)[60:180, 60:180]]
    labels = np.zeros((128, 3 * 128), int)
    for i, shape in enumerate(shapes):
        labels[4:124, 128 * i + 4 : 128 * i + 124] = shape * (i + 1)
    together = measure_axes(labels, 4)
    for i, shape in enumerate(shapes):
        for name, value in measured(shape).items():
            assert together[name][i] == pytest.approx(value, abs=1e-6)
    assert all(np.isnan(values[3]) for values in together.values())
