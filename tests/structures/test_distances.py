"""Distances that are the same in every process."""

import numpy as np
from scipy.ndimage import distance_transform_edt

from cellmm.structures.distances import distances_to


def test_they_are_exact_wherever_the_arrays_lie():
    """The bits of scipy's, again and again, with other arrays in memory each time."""
    rng = np.random.default_rng(0)
    found = rng.random((137, 211)) < 0.001
    expected = distance_transform_edt(~found).astype(np.float32)
    assert expected.max() > 20
    kept = []
    for _ in range(50):
        kept.append(np.empty(int(rng.integers(1, 5000))))
        assert np.array_equal(distances_to(found), expected)
    single = np.zeros((800, 3), bool)
    single[0, 0] = True
    assert np.array_equal(distances_to(single), distance_transform_edt(~single).astype(np.float32))
