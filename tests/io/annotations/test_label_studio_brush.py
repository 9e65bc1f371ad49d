"""Brushes of Label Studio, written and read."""

import numpy as np
import pytest

from cellmm.errors import CellMMError
from cellmm.io.annotations.cvat import encode_mask
from cellmm.io.annotations.label_studio_brush import decode_brush, encode_brush


def test_bytes_by_hand():
    """2 x 2 pixels, the last of them in the brush: 12 samples of 0, 4 of 255."""
    header = f"{16:032b}" + f"{7:05b}" + "0010" + "0011" + "0111" + "1111"
    runs = "1" + "01" + f"{11:04b}" + f"{0:08b}" + "1" + "00" + f"{3:03b}" + f"{255:08b}"
    bits = header + runs
    bits += "0" * (-len(bits) % 8)
    wanted = [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
    assert encode_brush(np.ones((1, 1), bool), (1, 1), (2, 2)) == wanted


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
def test_what_is_written_is_read(share):
    rng = np.random.default_rng(int(100 * share))
    for _ in range(20):
        height, width = rng.integers(1, 300, 2).tolist()
        h, w = int(rng.integers(1, height + 1)), int(rng.integers(1, width + 1))
        top, left = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
        image = np.zeros((height, width), bool)
        image[top : top + h, left : left + w] = rng.random((h, w)) < share
        coded = encode_brush(image[top : top + h, left : left + w], (top, left), (height, width))
        assert (decode_brush(coded, (height, width), "it") == image).all()


def test_too_large_an_image_is_refused():
    with pytest.raises(CellMMError, match="too large: draw polygons"):
        encode_brush(np.ones((1, 1), bool), (0, 0), (2**15, 2**15))


def test_runs_of_cvat():
    assert encode_mask(np.array([[1, 1, 0], [0, 0, 1]], bool)) == "0, 2, 3, 1"
    assert encode_mask(np.array([[0, 1]], bool)) == "1, 1"
    assert encode_mask(np.zeros((2, 2), bool)) == "4"
