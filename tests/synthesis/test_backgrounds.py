"""Images without their cells."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from cellmm.structures import LabelLayers
from cellmm.synthesis.backgrounds import background_of, without_cells


@pytest.fixture
def scene():
    """Light that falls off to the right, grain of stripes, and bright cells."""
    rng = np.random.default_rng(0)
    rows, columns = np.indices((200, 240))
    light = 500.0 - columns + 0.01 * (rows - 100) ** 2
    grain = np.where(rows % 4 < 2, 8.0, -8.0) + rng.normal(0, 1, light.shape)
    label = np.zeros(light.shape, np.int32)
    for i, (y, x) in enumerate([(40, 50), (90, 80), (120, 190)]):
        label[(rows - y) ** 2 + (columns - x) ** 2 < 15**2] = i + 1
    distance = distance_transform_edt(label == 0)
    image = (
        light + grain + 300 * (label > 0) + np.where((distance > 0) & (distance <= 9), 100 - 10 * distance, 0)
    )
    return image[..., None].astype(np.float32), LabelLayers.from_label_image(label), light, label > 0


def test_light_is_that_without_the_cells_and_their_halos(scene):
    image, cells, light, covered = scene
    background = background_of(image, cells)
    assert np.abs(background.light[..., 0] - light).max() < 4
    distance = distance_transform_edt(~covered)
    assert not background.free[distance <= 8].any() and background.free[distance > 13].all()


def test_cells_are_replaced_by_light_and_grain(scene):
    image, cells, light, covered = scene
    made = without_cells(image, background_of(image, cells), np.random.default_rng(1))[..., 0]
    far = np.hypot(*np.gradient(covered.astype(float))) == 0
    assert np.array_equal(made[0], image[0, :, 0])
    inside = (made - light)[covered & far]
    assert abs(inside.mean()) < 4 and 6 < inside.std() < 12  # the stripes are there, the cells are not


def test_the_same_draws_give_the_same_image(scene):
    image, cells, *_ = scene
    background = background_of(image, cells)
    first, again, other = (without_cells(image, background, np.random.default_rng(i)) for i in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_an_image_that_is_all_cells_and_one_without():
    image = np.arange(12, dtype=np.float32).reshape(3, 4, 1)
    full, none = LabelLayers.from_label_image(np.ones((3, 4), np.int32)), LabelLayers.empty(3, 4)
    background = background_of(image, full)
    assert np.all(background.light == 5.5) and not background.free.any()
    assert np.all(without_cells(image, background, np.random.default_rng(0)) == 5.5)
    assert np.array_equal(without_cells(image, background_of(image, none), np.random.default_rng(0)), image)
