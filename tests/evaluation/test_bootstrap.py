"""The bootstrap over images: against scores of images that are really repeated, and by hand."""

import numpy as np
import pytest

from cellmm.evaluation import functional as F


def ranked(rng: np.random.Generator, first: int) -> F.RankedMatches:
    """An image with up to 12 predictions, whose scores no other has."""
    number = int(rng.integers(0, 13))
    scores = np.sort(rng.permutation(1000)[:number] + first)[::-1].astype(float)
    matched = rng.random((1, len(F.IOU_THRESHOLDS), number)) < 0.6
    ignored = rng.random((1, len(F.IOU_THRESHOLDS), number)) < 0.1
    return F.RankedMatches(scores, matched, ignored, np.array([number + int(rng.integers(0, 4))]))


def test_precision_of_repeated_images():
    rng = np.random.default_rng(0)
    images = [{0: ranked(rng, 0)}, {0: ranked(rng, 2000), 1: ranked(rng, 2000)}, {1: ranked(rng, 4000)}, {}]
    times = F.draw_resamples(4, resamples=20, seed=3)
    found = F.resampled_precisions(images, [0, 1], times)
    for drawn, precision in zip(times, found, strict=True):
        repeated = [
            image for image, number in zip(images, drawn.tolist(), strict=True) for _ in range(number)
        ]
        expected = F.mean_of_defined(F.class_precisions(repeated, [0, 1], num_areas=1)[0][:, 0], axis=0)
        np.testing.assert_allclose(precision, expected)


def test_each_image_once_is_the_score_itself():
    rng = np.random.default_rng(1)
    images = [ranked(rng, 2000 * i) for i in range(5)]
    precision, recall = F.precision_and_recall(images)
    pooled = F.pool_matches(images)
    for times in (None, np.ones(5, np.int64), np.full(5, 3)):
        again = F.pooled_precision_and_recall(pooled, times)
        np.testing.assert_array_equal(again[1], recall)
        np.testing.assert_array_equal(again[0], precision)


def test_resamples_depend_on_the_seed_alone():
    times = F.draw_resamples(7, resamples=1000, seed=5)
    assert times.shape == (1000, 7) and (times.sum(axis=1) == 7).all()
    np.testing.assert_array_equal(times, F.draw_resamples(7, resamples=1000, seed=5))
    assert (times != F.draw_resamples(7, resamples=1000, seed=6)).any()
    np.testing.assert_allclose(times.mean(axis=0), 1, atol=0.15)
    assert F.draw_resamples(3, resamples=0, seed=0).shape == (0, 3)
    with pytest.raises(ValueError, match="0 images"):
        F.draw_resamples(0, resamples=1, seed=0)


def test_the_interval_covers_the_mean():
    """About 95 of 100 intervals of the mean of 40 images hold the true mean."""
    rng = np.random.default_rng(0)
    times = F.draw_resamples(40, resamples=400, seed=0)
    inside = 0
    for _ in range(200):
        low, high = F.interval(F.resampled_means(rng.normal(0.5, 0.1, 40), times))
        inside += low <= 0.5 <= high
    assert 175 <= inside <= 199


def test_p_value():
    assert F.two_sided_p(np.array([-1.0] * 3 + [1.0] * 96)) == pytest.approx(2 * 4 / 100)
    assert F.two_sided_p(np.array([0.0] * 50)) == 1
    assert np.isnan(F.two_sided_p(np.array([0.3])))
    assert np.isnan(F.interval(np.array([np.nan, 0.3]))).all()
