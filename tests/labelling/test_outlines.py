"""Cells as polygons."""

from collections import Counter

import numpy as np
import pytest

from cellmm.labelling.outlines import polygons_of, simplified
from cellmm.labelling.shapes import Shapes
from cellmm.structures import MaskRuns, fill_rings
from cellmm.structures.polygons import ring_area


def disk(radius: float, size: int = 80) -> np.ndarray:
    y, x = np.mgrid[:size, :size] + 0.5
    return (y - size / 2) ** 2 + (x - size / 2) ** 2 <= radius**2


@pytest.mark.parametrize("radius", [4, 10, 30])
def test_few_corners_that_keep_the_cell(radius):
    mask = disk(radius)
    runs = MaskRuns.from_crops([mask], [(0, 0)], mask.shape)
    (exact,) = polygons_of(runs, 0, 0.0, Counter())
    (short,) = polygons_of(runs, 0, Shapes().tolerance, Counter())
    assert (fill_rings([exact], mask.shape).crop(0)[0] == runs.crop(0)[0]).all()
    assert len(short) <= len(exact) / 2
    back = np.zeros_like(mask)
    crop, (top, left) = fill_rings([short], mask.shape).crop(0)
    back[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
    assert (back & mask).sum() / (back | mask).sum() >= 0.9


def test_the_largest_part_comes_first_and_holes_are_counted():
    mask = np.zeros((20, 20), bool)
    mask[2:4, 2:4] = mask[6:18, 6:18] = True
    mask[8:10, 8:10] = mask[12:14, 12:14] = False
    losses = Counter()
    rings = polygons_of(MaskRuns.from_crops([mask], [(0, 0)], mask.shape), 0, 0.0, losses)
    assert [ring_area(ring) for ring in rings] == [144, 4]
    assert sum(losses.values()) == 2


def test_a_pixel_keeps_its_area():
    ring = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    for tolerance in (0.75, 5.0):
        assert ring_area(simplified(ring, tolerance)) == 1
