"""Crops that show few cells."""

import numpy as np
import pytest

from cellmm.datasets.transforms import LimitedCrop
from cellmm.errors import CellMMError
from cellmm.structures import LabelLayers


def results_of(layers, seed=0):
    layers = LabelLayers(layers, num=int(layers.max()))
    image = np.zeros((*layers.shape, 1), np.float32)
    more = dict(gt_labels=np.zeros(len(layers), np.int64), gt_ignore=np.zeros(len(layers), bool))
    frame = dict(img_shape=layers.shape, ori_shape=layers.shape, to_original=np.eye(3))
    rng = np.random.default_rng(seed)
    return dict(img=image, gt_layers=layers, rng=rng, img_path="a.tif", **more, **frame)


@pytest.fixture
def grid():
    """190 cells of 4 x 6 px to the left, and one to the right."""
    label = np.zeros((1, 80, 120), np.int32)
    label[:, 2:78, 2:62] = np.arange(1, 191).reshape(19, 10).repeat(4, 0).repeat(6, 1)
    label[:, 30:40, 90:100] = 191
    return label


@pytest.mark.parametrize(("most", "smaller"), [(1, True), (7, True), (191, False)])
def test_no_crop_shows_more_cells(grid, most, smaller):
    seen = []
    for seed in range(20):
        made = LimitedCrop(crop_size=(64, 48), max_cells=most)(results_of(grid, seed))
        assert len(made["gt_layers"]) <= most
        assert made["img"].shape[:2] == made["img_shape"] == made["gt_layers"].shape
        seen.append(made["img_shape"])
    assert (min(seen) < (48, 64)) == smaller and max(seen) <= (48, 64)


def test_an_image_smaller_than_the_crop_stays_whole(grid):
    made = LimitedCrop(crop_size=500, max_cells=500)(results_of(grid))
    assert made["img_shape"] == (80, 120) and len(made["gt_layers"]) == 191


def test_the_same_draw_is_the_same_crop(grid):
    first, again = (LimitedCrop(crop_size=40, max_cells=20)(results_of(grid, 3)) for _ in range(2))
    assert np.array_equal(first["to_original"], again["to_original"])
    assert first["img_shape"] == again["img_shape"]


def test_cells_that_all_share_each_pixel():
    layers = np.arange(1, 4)[:, None, None] * np.ones((3, 9, 9), np.int32)
    with pytest.raises(CellMMError, match=r"a\.tif: more than 2 cells share a pixel; give LimitedCrop more"):
        LimitedCrop(crop_size=5, max_cells=2)(results_of(layers))


@pytest.mark.parametrize(
    "option", [dict(crop_size=0), dict(crop_size=5, max_cells=0), dict(crop_size=5, tries=0)]
)
def test_wrong_values(option):
    with pytest.raises(ValueError, match=next(reversed(option))):
        LimitedCrop(**option)
