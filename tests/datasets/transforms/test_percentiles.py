"""Percentiles of images are NumPy's, to the last bit."""

import numpy as np
import pytest

from cellmm.datasets.transforms.percentiles import channel_percentiles

PERCENTILES = (0, 0.1, 1.0, 33.3, 50, 99.8, 100)


def images():
    rng = np.random.default_rng(0)
    yield rng.integers(0, 256, (37, 41, 3))
    yield rng.integers(0, 2**16, (50, 50, 1))
    yield rng.integers(0, 2**16, (7, 1, 2))
    yield np.full((5, 6, 1), 65535)
    yield rng.gamma(1, 300, (64, 64, 2)).round()
    # not counted: fractions, negative and large values
    yield rng.normal(0, 1, (40, 30, 2))
    yield rng.integers(-5, 20, (20, 20, 1))
    yield rng.integers(0, 2**20, (20, 20, 1))
    yield rng.random((1, 1, 1))
    yield np.array([[[3.0], [4.5]]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_they_are_numpys(dtype):
    for image in images():
        image = image.astype(dtype)
        found = channel_percentiles(image, PERCENTILES)
        np.testing.assert_array_equal(found, np.percentile(image, PERCENTILES, axis=(0, 1)))
        part = image.reshape(-1, 1, image.shape[-1])[::3]
        np.testing.assert_array_equal(
            channel_percentiles(part, (1, 99)), np.percentile(part, (1, 99), axis=(0, 1))
        )
