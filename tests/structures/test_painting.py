"""Bands of painted masks and the layers of masks that overlap."""

import numpy as np
import pytest

from cellmm.structures import LabelLayers, MaskRuns, assign_layers, paint_bands


@pytest.fixture
def masks():
    rng = np.random.default_rng(0)
    crops = [rng.random(rng.integers(1, 12, 2)) < 0.8 for _ in range(60)]
    origins = [tuple(rng.integers(0, 40 - np.array(crop.shape))) for crop in crops]
    crops[7][:] = False  # an empty mask
    return MaskRuns.from_crops(crops, origins, (40, 40))


@pytest.mark.parametrize("height", [1, 7, 40, 512])
def test_bands_are_the_painted_image(masks, height):
    expected = np.zeros(masks.shape, np.int32)
    ids = np.arange(1, 61)[::-1]
    for i in range(len(masks)):
        crop, (top, left) = masks.crop(i)
        expected[top : top + crop.shape[0], left : left + crop.shape[1]][crop] = ids[i]
    bands = list(paint_bands(masks, ids, height))
    assert [top for top, _ in bands] == list(range(0, 40, height))
    np.testing.assert_array_equal(np.concatenate([band for _, band in bands]), expected)


def test_layers_are_those_of_label_layers(masks):
    layers = assign_layers(masks)
    i, j, _ = masks.intersections(masks)
    assert (layers[i[i != j]] != layers[j[i != j]]).all()
    assert layers.max() + 1 == LabelLayers.from_rles(masks.to_rles(), masks.shape).num_layers > 2


def test_no_masks():
    masks = MaskRuns.empty((3, 4))
    assert assign_layers(masks).shape == (0,)
    assert [band.tolist() for _, band in paint_bands(masks, np.zeros(0, np.int32))] == [[[0] * 4] * 3]
