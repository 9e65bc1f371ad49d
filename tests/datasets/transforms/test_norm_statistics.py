"""Normalize by statistics of the whole image, of parts, and of blocks."""

import json

import numpy as np
import pytest

from cellmm.datasets.transforms import norm_statistics
from cellmm.datasets.transforms.norm_statistics import NormStatistics, sample_pixels
from cellmm.registry import TRANSFORMS

SHAPE = (300, 410)
MODES = ("mean_std", "median_std", "percentile")


def image_of(channels=2, seed=0):
    return np.random.default_rng(seed).normal(1200, 60, (*SHAPE, channels)).astype(np.float32)


def blocks_of(image, step=128):
    for top in range(0, image.shape[0], step):
        for left in range(0, image.shape[1], step):
            yield top, left, image[top : top + step, left : left + step]


def normalise(step, image, **more):
    return step(dict(img=image.copy(), img_path="a.tif", **more))["img"]


def parts_together(step, image, statistics):
    out = np.zeros_like(image)
    for top, left, pixels in blocks_of(image, 100):
        bottom, right = top + pixels.shape[0], left + pixels.shape[1]
        part = statistics.part(top, left, bottom, right)
        out[top:bottom, left:right] = normalise(step, pixels, norm_statistics=part)
    return out


@pytest.mark.parametrize("local", [None, 64])
@pytest.mark.parametrize("mode", MODES)
def test_parts_are_normalised_as_the_whole(mode, local):
    """To the same bits, with a missing tile too, and after the statistics went through a json."""
    image = image_of()
    image[:90, 200:] = 0
    step = TRANSFORMS.build(dict(type="Normalize", mode=mode, local=local))
    statistics = step.statistics(SHAPE, blocks_of(image), "a.tif")
    again = NormStatistics.from_dict(json.loads(json.dumps(statistics.to_dict())))
    assert np.array_equal(parts_together(step, image, again), normalise(step, image))


def test_parts_with_fixed_values_are_not_read():
    step = TRANSFORMS.build(dict(type="Normalize", mean=[1.0, 2.0], std=[3.0, 4.0]))
    image = image_of()
    statistics = step.statistics(SHAPE, (1 / 0 for _ in range(1)))
    assert np.array_equal(parts_together(step, image, statistics), normalise(step, image))


@pytest.mark.parametrize("mode", MODES)
def test_of_a_large_image_every_third_row_and_column_counts(mode, monkeypatch, said):
    monkeypatch.setattr(norm_statistics, "MOST_PIXELS", SHAPE[0] * SHAPE[1] // 9 + 300)
    image = image_of(1)
    image[120:, :130] = 7  # a missing tile; its border is not on the rows that count
    step = TRANSFORMS.build(dict(type="Normalize", mode=mode))
    statistics = step.statistics(SHAPE, blocks_of(image, 101), "a.tif")
    assert statistics.stride == 3
    sample = image[::3, ::3]
    fill = sample[..., 0] == 7
    expected = TRANSFORMS.build(dict(type="Normalize", mode=mode))._shift_and_scale(sample[~fill][:, None])
    assert [value.ravel().tolist() for value in (statistics.shift, statistics.scale)] == [
        value.tolist() for value in expected
    ]
    out = parts_together(step, image, statistics)
    filled = image[..., 0] == 7
    assert np.unique(out[filled]).size == 1
    assert out[filled][0] == pytest.approx(out[~filled].mean(), abs=0.01)
    about = int(said[0].split()[1])
    assert abs(about - filled.sum()) < 0.02 * filled.sum()


def test_local_values_even_out_the_light():
    """The brightness doubles from left to right; the texture comes out with the same spread everywhere."""
    light = np.linspace(1, 2, SHAPE[1])[None, :, None]
    image = (image_of(1) * light).astype(np.float32)
    whole, local = (
        normalise(TRANSFORMS.build(dict(type="Normalize", local=side)), image) for side in (None, 60)
    )
    thirds = [np.s_[:, :130], np.s_[:, 140:270], np.s_[:, 280:]]
    assert np.ptp([whole[third].mean() for third in thirds]) > 2
    assert np.ptp([local[third].mean() for third in thirds]) < 0.3
    assert np.ptp([local[third].std() for third in thirds]) < 0.1


def test_a_block_without_image_takes_the_values_of_all():
    image = image_of(1)
    image[:100, :205] = 0
    step = TRANSFORMS.build(dict(type="Normalize", local=100))
    statistics = step.statistics(SHAPE, blocks_of(image))
    assert statistics.shift.shape == (3, 4, 1)
    valid = np.ones(SHAPE, bool)
    valid[:100, :205] = False
    assert statistics.shift[0, 0] == pytest.approx(image[valid].mean(dtype=np.float64))
    assert statistics.scale[0, 0] == pytest.approx(image[valid].std(dtype=np.float64))


def test_local_goes_with_values_of_the_image():
    with pytest.raises(ValueError, match="local does not go with"):
        TRANSFORMS.build(dict(type="Normalize", mode="divide", divisor=255, local=64))
    with pytest.raises(ValueError, match="local"):
        TRANSFORMS.build(dict(type="Normalize", local=0))


def test_a_rescaled_part_takes_the_same_values():
    image = image_of(1)
    step = TRANSFORMS.build(dict(type="Normalize", local=64))
    part = step.statistics(SHAPE, blocks_of(image)).part(100, 200, 200, 300)
    ones = np.ones((100, 100, 1), np.float32)
    half = part.apply(ones[::2, ::2])
    assert half == pytest.approx(part.apply(ones).reshape(50, 2, 50, 2, 1).mean((1, 3)), abs=1e-3)


def test_an_image_without_blocks_is_refused():
    with pytest.raises(ValueError, match="no block"):
        sample_pixels((3, 4), [])
