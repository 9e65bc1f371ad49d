"""Probability maps back in the pixels of the file."""

import numpy as np
import pytest

from cellmm.structures import map_in_original_frame

EYE = np.eye(3)


def test_the_same_frame_changes_nothing():
    probs = np.random.default_rng(0).random((7, 9), dtype=np.float32)
    assert np.array_equal(map_in_original_frame(probs, 1, (7, 9), EYE, (7, 9)), probs)


def test_stride_two_by_hand():
    """Pixel centres of the map lie at 0.5 and 2.5; outside of them its outermost pixels go on."""
    found = map_in_original_frame(np.array([[0, 1]], np.float32), 2, (2, 4), EYE, (2, 4))
    assert found.tolist() == [[0, 0.25, 0.75, 1]] * 2


def test_outside_of_the_networks_image_is_nothing():
    """An image of 2x3 from (1, 2) of the file on, scaled by 2."""
    back = np.array([[2, 0, 2.5], [0, 2, 1.5], [0, 0, 1]])
    found = map_in_original_frame(np.ones((2, 3), np.float32), 1, (2, 3), back, (7, 10))
    expected = np.zeros((7, 10))
    expected[1:5, 2:8] = 1
    assert found.tolist() == expected.tolist()
    far = np.array([[1, 0, 100], [0, 1, 0], [0, 0, 1]])
    assert not map_in_original_frame(np.ones((2, 3), np.float32), 1, (2, 3), far, (7, 10)).any()


@pytest.mark.parametrize("size", [(1, 1), (5, 1)])
def test_smallest_maps(size):
    assert (map_in_original_frame(np.full((3, 1), 0.5, np.float32), 2, size, EYE, size) == 0.5).all()
