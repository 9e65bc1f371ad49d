import numpy as np
import pytest

from cellmm.visualization import to_display


def test_one_channel_is_stretched_to_grey():
    image = np.array([[100, 200], [300, 400]], np.uint16)
    shown = to_display(image, percentiles=(0, 100))
    assert shown.dtype == np.uint8
    assert shown[..., 0].tolist() == [[0, 85], [170, 255]]
    assert (shown == shown[..., :1]).all()
    assert np.array_equal(to_display(image[..., None], percentiles=(0, 100)), shown)


def test_percentiles_keep_outliers_from_darkening_the_rest():
    image = np.linspace(0, 1, 10_000).reshape(100, 100)
    image[0, 0] = 1e6
    shown = to_display(image)
    assert shown[-1, -1].tolist() == [255, 255, 255]
    assert 120 < shown[50, 0, 0] < 135


def test_two_planes_are_magenta_and_green():
    image = np.zeros((2, 2, 2), np.float32)
    image[0, 0], image[0, 1], image[1, 0] = (1, 0), (0, 7), (1, 7)
    shown = to_display(image, percentiles=(0, 100))
    assert shown.tolist() == [[[255, 0, 255], [0, 255, 0]], [[255, 255, 255], [0, 0, 0]]]


def test_colours_of_three_channels_stay():
    image = np.array([[[0, 50, 100], [0, 0, 0]]], np.uint8)
    assert to_display(image, percentiles=(0, 100)).tolist() == [[[0, 128, 255], [0, 0, 0]]]


@pytest.mark.parametrize("channels", range(1, 9))
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_every_channel_is_seen(channels, dtype):
    image = np.zeros((4, 16, channels), dtype)
    for channel in range(channels):
        image[1, 2 * channel, channel] = 200
    shown = to_display(image, percentiles=(0, 100))
    assert shown.shape == (4, 16, 3) and shown.dtype == np.uint8
    seen = [tuple(shown[1, 2 * channel]) for channel in range(channels)]
    assert len(set(seen)) == channels and min(max(values) for values in seen) > 100
    assert shown[0].max() == 0


def test_flat_image_is_black():
    assert to_display(np.full((3, 5), 7, np.uint16)).max() == 0


@pytest.mark.parametrize("image", [np.zeros((2, 2, 2, 1)), np.zeros((0, 4)), np.array([[0, np.nan]])])
def test_what_cannot_be_shown(image):
    with pytest.raises(ValueError, match="cannot be shown"):
        to_display(image)
