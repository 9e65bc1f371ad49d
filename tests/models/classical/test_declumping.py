"""Clumps of known shapes, parted in every way."""

import numpy as np
import pytest

from cellmm.models.classical import Declumping

ROWS, COLS = np.mgrid[:60, :90]


def disk(row: float, col: float, radius: float) -> np.ndarray:
    return np.hypot(ROWS - row, COLS - col) <= radius


def clump() -> tuple[np.ndarray, np.ndarray]:
    """Two disks that touch, brightest in their middles, and one apart: image and foreground."""
    places = [(30, 20, 12), (30, 42, 12), (30, 75, 8)]
    image = np.zeros(ROWS.shape)
    for row, col, radius in places:
        image = np.maximum(image, 1 - np.hypot(ROWS - row, COLS - col) / 3 / radius)
    foreground = np.any([disk(*place) for place in places], axis=0)
    return (image * foreground).astype(np.float32), foreground


@pytest.mark.parametrize("low_resolution", [True, False])
@pytest.mark.parametrize("lines", ["intensity", "shape", "propagate"])
@pytest.mark.parametrize("distinguish", ["intensity", "shape"])
def test_touching_disks_are_parted_at_the_neck(distinguish, lines, low_resolution):
    image, foreground = clump()
    parting = Declumping(distinguish, lines, low_resolution=low_resolution)
    objects = parting(image, foreground, min_diameter=15)
    assert objects.max() == 3 and ((objects > 0) == foreground).all()
    left, right = objects[30, 20], objects[30, 42]
    assert left != right and len(np.unique(objects[foreground & (COLS > 60)])) == 1
    line = COLS[(objects == left) & (COLS < 60)].max()
    assert 29 <= line <= 33


@pytest.mark.parametrize("off", [dict(distinguish="none"), dict(dividing_lines="none")])
def test_none_leaves_components(off):
    image, foreground = clump()
    assert Declumping(**off)(image, foreground, min_diameter=15).max() == 2


def test_what_touches_at_a_corner_is_one():
    foreground = np.zeros((4, 4), bool)
    foreground[:2, :2] = foreground[2:, 2:] = True
    objects = Declumping(min_distance=6)(foreground.astype(np.float32), foreground, min_diameter=2)
    assert objects.max() == 1


def test_the_least_distance_of_maxima_decides():
    image, foreground = clump()
    near = Declumping(min_distance=10, low_resolution=False)(image, foreground, min_diameter=15)
    far = Declumping(min_distance=30, low_resolution=False)(image, foreground, min_diameter=15)
    assert near.max() == 3 and far.max() == 2


def test_maxima_of_one_component_do_not_suppress_those_of_another():
    image, foreground = clump()
    foreground[:, 31] = False  # the disks are apart now
    objects = Declumping(min_distance=40, low_resolution=False)(image, foreground, min_diameter=15)
    assert objects.max() == 3


def test_smoothing_takes_noise_away():
    image, foreground = clump()
    rng = np.random.default_rng(0)
    noisy = image + foreground * rng.normal(0, 0.2, image.shape).astype(np.float32)
    options = dict(min_distance=6, low_resolution=False)
    rough = Declumping(smoothing=0, **options)(noisy, foreground, min_diameter=15).max()
    assert rough > Declumping(smoothing=15, **options)(noisy, foreground, min_diameter=15).max()


def test_a_plateau_is_one_object():
    """Saturated pixels are all as high; the first of them is the maximum."""
    foreground = disk(30, 45, 20)
    objects = Declumping()(foreground.astype(np.float32), foreground, min_diameter=40)
    assert objects.max() == 1


def test_a_rod_of_even_width_is_parted_at_the_least_distance_only():
    foreground = (abs(ROWS - 30) <= 4) & (abs(COLS - 45) <= 30)
    objects = Declumping("shape", "shape", min_distance=200)(np.zeros(ROWS.shape, np.float32), foreground, 8)
    assert objects.max() == 1


def test_no_component_is_lost():
    rng = np.random.default_rng(0)
    foreground = rng.random((80, 80)) < 0.05
    image = rng.random((80, 80), np.float32)
    objects = Declumping()(image, foreground, min_diameter=40)  # four pixels become one
    assert ((objects > 0) == foreground).all()


def test_a_hole_is_no_border_for_shape():
    foreground = disk(30, 45, 20) & ~disk(30, 45, 3)
    assert Declumping("shape", "shape")(np.zeros(ROWS.shape, np.float32), foreground, 15).max() == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 3)])
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("distinguish", ["intensity", "shape"])
def test_tiny_and_full_images(shape, full, distinguish):
    foreground = np.full(shape, full)
    objects = Declumping(distinguish, "propagate")(np.ones(shape, np.float32), foreground, min_diameter=100)
    assert objects.shape == shape and objects.max() == full


def test_propagate_stays_within_the_clump(monkeypatch):
    """A horseshoe: its ends are near, but the way along it is long."""
    foreground = disk(30, 45, 28) & ~disk(30, 45, 18) & ~((COLS > 45) & (abs(ROWS - 30) < 4))
    seeds = np.zeros(ROWS.shape, np.int32)
    seeds[24, 68], seeds[53, 45] = 1, 2
    monkeypatch.setattr(Declumping, "maxima", lambda *_: seeds)
    objects = Declumping(dividing_lines="propagate")(np.zeros(ROWS.shape), foreground, min_diameter=5)
    assert foreground[24, 68] and foreground[53, 45] and foreground[35, 68]
    assert objects[35, 68] == objects[53, 45] != objects[24, 68]


@pytest.mark.parametrize(
    "wrong", [dict(distinguish="form"), dict(dividing_lines="x"), dict(smoothing=-1), dict(min_distance=-2)]
)
def test_wrong_arguments(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Declumping(**wrong)
