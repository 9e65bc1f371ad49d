"""Thresholds against scikit-image, against searches over all thresholds, and by hand."""

import numpy as np
import pytest
from scipy import ndimage
from skimage import filters

from cellmm.models.classical import Threshold
from cellmm.models.classical.thresholds import LOCAL_RANGE, smooth

METHODS = ("minimum_cross_entropy", "otsu", "three_class_otsu", "robust_background")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """Three levels with noise, in [0, 1]."""
    rng = np.random.default_rng(0)
    image = rng.normal(0.2, 0.03, (90, 120))
    image[20:50, 30:70] += 0.25
    image[30:45, 40:60] += 0.3
    return np.clip(image, 0, 1).astype(np.float32)


def test_minimum_cross_entropy_is_the_minimum(image):
    found = Threshold().of_values(image)
    step = max(np.diff(np.unique(image)).min() / 2, 0.5 / 65536)
    assert found == filters.threshold_li(image, tolerance=step)
    values = image.astype(np.float64).ravel() - image.min()

    def entropy(threshold: float) -> float:
        parts = values[values > threshold], values[values <= threshold]
        return -sum(part.sum() * np.log(part.mean()) for part in parts)

    levels = np.linspace(0.02, values.max() - 0.02, 400)
    best = levels[np.argmin([entropy(level) for level in levels])] + image.min()
    assert found == pytest.approx(best, abs=0.02)


def test_otsu_parts_with_the_least_variance(image):
    found = Threshold(method="otsu").of_values(image)
    assert found == filters.threshold_otsu(image)

    def variance(threshold: float) -> float:
        return sum(part.size * part.var() for part in (image[image > threshold], image[image <= threshold]))

    levels = np.linspace(0.1, 0.7, 400)
    assert variance(found) <= min(map(variance, levels)) * 1.01


@pytest.mark.parametrize(("middle", "place"), [("foreground", 0), ("background", 1)])
def test_three_classes(image, middle, place):
    found = Threshold(method="three_class_otsu", middle=middle).of_values(image)
    assert found == pytest.approx(filters.threshold_multiotsu(image, nbins=128)[place])
    assert (0.25 < found < 0.4) if middle == "foreground" else (0.5 < found < 0.7)


def test_three_classes_of_two_values_are_two():
    image = np.repeat(np.float32([0.1, 0.9]), 20)
    assert Threshold(method="three_class_otsu").of_values(image) == filters.threshold_otsu(image)


def test_robust_background_by_hand():
    values = np.array([0, *[0.2, 0.4] * 9, 1.0], np.float32)  # without one at each end: mean .3, deviation .1
    assert Threshold(method="robust_background").of_values(values) == pytest.approx(0.3 + 2 * 0.1)
    other = dict(average="median", variance="median_absolute_deviation", deviations=3)
    assert Threshold(method="robust_background", **other).of_values(values) == pytest.approx(0.3 + 3 * 0.1)
    mode = Threshold(method="robust_background", average="mode", deviations=0, upper_outliers=0.3)
    assert mode.of_values(np.repeat([0.1, 0.15, 0.9], [70, 10, 20])) == pytest.approx(0.1, abs=0.01)


def test_manual_is_what_is_given():
    threshold = Threshold(method="manual", value=0.7, correction=2.0, bounds=(0, 0.5))
    assert threshold.of_image(np.full((2, 2), 0.7, np.float32)) == 0.7


def test_correction_and_bounds(image):
    plain = Threshold().of_image(image)
    assert Threshold(correction=1.5).of_image(image) == pytest.approx(1.5 * plain)
    assert Threshold(bounds=(0.6, 0.9)).of_image(image) == 0.6
    assert Threshold(bounds=(0.0, 0.1)).of_image(image) == pytest.approx(0.1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("strategy", ["global", "adaptive"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 400), (101, 150)])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_an_image_of_one_value_has_no_foreground(method, strategy, shape, value):
    threshold = Threshold(method=method, strategy=strategy)
    flat = np.full(shape, value, np.float32)
    assert not threshold.foreground(flat, threshold.of_image(flat)).any()


@pytest.mark.parametrize("method", METHODS)
def test_bits_make_no_difference(method, image):
    threshold = Threshold(method=method)
    eight = np.round(image * 255).astype(np.uint8)
    sixteen = eight.astype(np.uint16) * 257  # the same values
    found = [threshold.of_values((x / np.iinfo(x.dtype).max).astype(np.float32)) for x in (eight, sixteen)]
    assert found[0] == pytest.approx(found[1], abs=1e-5)


def test_adaptive_follows_the_light():
    rng = np.random.default_rng(1)
    light = np.linspace(0.5, 1.0, 300)[None, :].repeat(200, 0)
    cells = np.zeros((200, 300))
    cells[10::40, 10::40] = 1
    cells = ndimage.maximum_filter(cells, 9)
    image = (light * (0.3 + 0.5 * cells) + rng.normal(0, 0.01, cells.shape)).astype(np.float32)
    adaptive = Threshold(strategy="adaptive", method="otsu", smoothing_scale=0)
    surface = adaptive.of_image(image)
    assert surface.shape == image.shape and surface.dtype == np.float32
    whole = adaptive.of_values(image)
    assert LOCAL_RANGE[0] * whole - 1e-6 <= surface.min() < surface.max() <= LOCAL_RANGE[1] * whole + 1e-6
    assert (np.diff(surface[100]) >= -1e-3).mean() > 0.9  # it rises with the light
    assert np.mean(adaptive.foreground(image, surface) != (cells > 0)) < 0.001
    whole = Threshold(method="otsu", smoothing_scale=0)
    assert np.mean(whole.foreground(image, whole.of_image(image)) != (cells > 0)) > 0.001


def test_a_window_as_large_as_the_image_is_global(image):
    surface = Threshold(strategy="adaptive", window=90).of_image(image)
    assert surface == pytest.approx(np.float32(Threshold().of_image(image)))


def test_the_threshold_of_a_whole_image_is_that_of_its_parts(image):
    threshold = Threshold(method="otsu")
    assert threshold.of_image(image[:10, :10], threshold.of_values(image)) == threshold.of_image(image)


def test_smoothing_keeps_a_flat_image_and_half_of_the_weight_inside():
    assert smooth(np.full((9, 4), 0.3, np.float32), 2.0) == pytest.approx(0.3)
    point = np.zeros((1, 81), np.float32)
    point[0, 40] = 1
    spread = smooth(point, 20 / 2 / 0.6744)  # of a scale of 20
    assert spread[0, 30:51].sum() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    "wrong",
    [
        dict(method="ostu"),
        dict(strategy="local"),
        dict(window=0),
        dict(smoothing_scale=-1),
        dict(correction=0),
        dict(bounds=(0.5, 0.2)),
        dict(bounds=(0, 255)),
        dict(lower_outliers=0.6, upper_outliers=0.4),
        dict(method="manual"),
        dict(value=0.5),
        dict(method="manual", value=0.5, strategy="adaptive"),
        dict(middle="both"),
    ],
)
def test_wrong_arguments(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong)).split("_")[0]):
        Threshold(**wrong)


@pytest.mark.parametrize("method", ["minimum_cross_entropy", "otsu", "three_class_otsu", "robust_background"])
def test_values_that_are_nearly_equal(method):
    values = (0.9 + 1e-6 * np.random.default_rng(0).normal(size=(40, 40))).astype(np.float32)
    assert values.min() < values.max()
    assert Threshold(method=method).of_values(values) == pytest.approx(0.9, abs=1e-4)
