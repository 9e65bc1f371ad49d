"""RescaleToDiameter: cells of any image come out alike, as far as their size is known."""

import numpy as np
import pytest

from cellmm.registry import TRANSFORMS
from cellmm.structures import LabelLayers


def build(**options):
    return TRANSFORMS.build(dict(type="RescaleToDiameter", **options))


def image(sides, *, crowd=(), seed=0):
    """Square cells of these sides in a row."""
    layers = np.zeros((1, 80, 400), np.int32)
    for i, side in enumerate(sides):
        layers[0, 4 : 4 + side, 4 + 60 * i : 4 + 60 * i + side] = i + 1
    return dict(
        img=layers[0, ..., None].astype(np.float32),
        img_shape=layers.shape[1:],
        to_original=np.eye(3),
        gt_layers=LabelLayers(layers, num=len(sides)),
        gt_labels=np.zeros(len(sides), np.int64),
        gt_ignore=np.isin(np.arange(len(sides)), crowd),
        gt_areas=np.zeros(len(sides)),
        rng=np.random.default_rng(seed),
    )


def diameter(side):
    return 2 * side / np.sqrt(np.pi)


@pytest.mark.parametrize("side", [6, 20, 50])
def test_the_median_cell_of_a_training_image_gets_the_diameter(side):
    results = build(diameter=20)(image([side // 2, side, side, side, 55]))
    factor = 20 / diameter(side)
    assert results["img_shape"] == (round(80 * factor), round(400 * factor))
    assert 2 * np.sqrt(results["gt_layers"].areas()[2] / np.pi) == pytest.approx(20, rel=0.08)
    assert results["cell_diameter"] == pytest.approx(diameter(side))
    np.testing.assert_allclose(results["to_original"] @ [-0.5, -0.5, 1], [-0.5, -0.5, 1])


def test_crowd_regions_and_images_without_cells():
    assert build(diameter=diameter(20))(image([20, 50, 50], crowd=[1, 2]))["img_shape"] == (80, 400)
    assert build(diameter=20)(image([]))["img_shape"] == (80, 400)


def test_the_random_factor_is_as_often_half_as_double():
    step = build(diameter=diameter(20), scale=(0.5, 2))
    factors = [step(image([20], seed=seed))["img_shape"][1] / 400 for seed in range(200)]
    assert 0.5 <= min(factors) < 0.55 and 1.8 < max(factors) <= 2
    assert abs(np.mean(np.log(factors))) < 0.1


def test_a_test_does_not_look_at_the_annotation():
    test = image([20]) | dict(eval_instances={})
    assert build(diameter=40)(dict(test))["img_shape"] == (80, 400)
    known = build(diameter=40, scale=(0.5, 2))(dict(test, cell_diameter=20.0))
    assert known["img_shape"] == (160, 800)


def test_wrong_values():
    with pytest.raises(ValueError, match="diameter is 0; give pixels above 0"):
        build(diameter=0)
    with pytest.raises(ValueError, match="scale must be"):
        build(diameter=20, scale=(2, 1))
