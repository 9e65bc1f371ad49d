"""Moments of masks and the distance of ellipses, against numpy and by hand."""

import numpy as np

from cellmm.structures import MaskRuns
from cellmm.tracking import Ellipses


def random_masks(seed=0, num=6, shape=(30, 40)):
    rng = np.random.default_rng(seed)
    crops = [rng.random((9, 12)) < 0.5 for _ in range(num)]
    return MaskRuns.from_crops(crops, rng.integers(0, 20, (num, 2)), shape), crops


def test_moments_are_those_of_the_pixels():
    masks, _ = random_masks()
    found = Ellipses.of_masks(masks)
    for i in range(len(masks)):
        crop, origin = masks.crop(i)
        points = np.argwhere(crop) + origin
        np.testing.assert_allclose(found.area[i], len(points))
        np.testing.assert_allclose(found.centroid[i], points.mean(0))
        np.testing.assert_allclose(found.moments[i], np.cov(points.T, ddof=0) + np.eye(2) / 12)


def test_joined_is_the_ellipse_of_both_masks():
    crops = [np.ones((4, 6), bool), np.ones((5, 3), bool), np.ones((4, 6), bool)]
    masks = MaskRuns.from_crops(crops, [(2, 1), (9, 12), (2, 1)], (30, 40))
    parts = Ellipses.of_masks(masks)
    joined = parts.select(np.array([0])).joined(parts.select(np.array([1])))
    whole = np.zeros((30, 40), bool)
    whole[2:6, 1:7] = whole[9:14, 12:15] = True
    expected = Ellipses.of_masks(MaskRuns.from_crops([whole], [(0, 0)], (30, 40)))
    for name in ("area", "centroid", "moments"):
        np.testing.assert_allclose(getattr(joined, name), getattr(expected, name))


def test_distance():
    masks, _ = random_masks()
    cells = Ellipses.of_masks(masks)
    np.testing.assert_allclose(cells.distance(cells), 0, atol=1e-6)
    shift = np.tile([3.0, 4.0], (len(masks), 1))
    np.testing.assert_allclose(cells.distance(cells.moved(shift)), 5, atol=1e-6)
    upright = Ellipses(np.ones(1), np.zeros((1, 2)), np.diag([16.0, 1.0])[None])
    lying = Ellipses(np.ones(1), np.zeros((1, 2)), np.diag([1.0, 16.0])[None])
    np.testing.assert_allclose(upright.distance(lying), np.sqrt(2) * 3)  # half axes of 4 and 1
