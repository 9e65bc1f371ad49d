"""16 bits and [-1, 1], there and back."""

import numpy as np
import pytest

from cellmm.errors import CellMMError
from cellmm.structures import to_counts, to_symmetric


@pytest.mark.parametrize("white", [255, 4095, 65535, 50_000, 1])
def test_every_count_comes_back(white):
    counts = np.arange(white + 1).astype(np.uint16)
    values = to_symmetric(counts, white)
    assert values.dtype == np.float32
    assert values[0] == -1 and values[-1] == 1 and (np.diff(values) > 0).all()
    assert np.array_equal(to_counts(values, white), counts)
    assert np.array_equal(to_counts(to_symmetric(counts.astype(np.float32), white), white), counts)


def test_values_beyond_are_clipped():
    assert to_counts(np.array([-1.5, 1.5])).tolist() == [0, 65535]
    assert to_counts(np.array([0.0]), white=4).tolist() == [2]


@pytest.mark.parametrize("bad", [-1.0, 256.0, np.nan])
def test_values_that_do_not_fit_name_the_image(bad):
    with pytest.raises(CellMMError, match=r"^a\.tif: .*white is 255; set white"):
        to_symmetric(np.array([0.0, bad]), 255, "a.tif")


def test_white_of_more_than_16_bits_is_refused():
    with pytest.raises(ValueError, match="65535"):
        to_counts(np.zeros(1), white=1e6)
