"""Normalize, RandomIntensity, PackCellInputs."""

import numpy as np
import pytest
import torch

from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS
from cellmm.structures import LabelLayers

IMAGE = np.array([[0, 1], [2, 5]], np.float32)[..., None]


def run(img=IMAGE, seed=0, **config):
    results = dict(img=img.copy(), img_path="a.tif", rng=np.random.default_rng(seed))
    return TRANSFORMS.build(config)(results)["img"]


def test_normalize_by_hand():
    std = np.sqrt((4 + 1 + 0 + 9) / 4)
    np.testing.assert_allclose(run(type="Normalize")[..., 0], np.array([[-2, -1], [0, 3]]) / std, rtol=1e-6)
    median = run(type="Normalize", mode="median_std")[..., 0]
    np.testing.assert_allclose(median, np.array([[-1.5, -0.5], [0.5, 3.5]]) / std, rtol=1e-6)
    scaled = run(type="Normalize", mode="percentile", percentiles=(0, 100))[..., 0]
    np.testing.assert_allclose(scaled, [[0, 0.2], [0.4, 1]], rtol=1e-6)
    assert run(type="Normalize", mode="divide", divisor=10)[1, 1, 0] == np.float32(0.5)


def test_each_channel_is_normalised_by_itself():
    both = run(np.concatenate([IMAGE, 100 * IMAGE + 7], -1), type="Normalize")
    np.testing.assert_allclose(both[..., 0], both[..., 1], atol=1e-5)


@pytest.mark.parametrize("mode", ["mean_std", "median_std", "percentile"])
def test_a_constant_image_becomes_zero(mode):
    assert (run(np.full((3, 3, 1), 7, np.float32), type="Normalize", mode=mode) == 0).all()


def test_normalize_refusals():
    for bad in (np.nan, np.inf):
        with pytest.raises(CellMMError, match="a.tif: pixels that are not finite"):
            run(np.full((2, 2, 1), bad, np.float32), type="Normalize")
    with pytest.raises(ValueError, match="mode must be one of"):
        run(type="Normalize", mode="zscore")
    with pytest.raises(ValueError, match="divisor goes with"):
        run(type="Normalize", mode="divide")
    with pytest.raises(ValueError, match="two rising numbers"):
        run(type="Normalize", mode="percentile", percentiles=(90, 10))


def test_intensity_by_its_draw():
    options = dict(type="RandomIntensity", brightness=0.5, contrast=0.5)
    out = run(seed=3, **options)
    rng = np.random.default_rng(3)
    expected = IMAGE * rng.uniform(0.5, 1.5) + rng.uniform(-0.5, 0.5)
    np.testing.assert_allclose(out, expected, rtol=1e-6)
    assert np.array_equal(out, run(seed=3, **options)) and not np.array_equal(out, run(seed=4, **options))


def test_intensity_without_ranges_changes_nothing_and_keeps_the_type():
    assert np.array_equal(run(type="RandomIntensity"), IMAGE)
    full = dict(type="RandomIntensity", brightness=0.1, contrast=0.1, gamma=0.3, blur=1.0, noise=0.1)
    for shape in ((5, 7, 1), (5, 7, 2), (5, 7, 8), (1, 1, 1)):
        out = run(np.full(shape, -3, np.float32), **full)
        assert out.shape == shape and out.dtype == np.float32 and np.isfinite(out).all()
    with pytest.raises(ValueError, match="must not be negative"):
        run(type="RandomIntensity", noise=-1)


def test_noise_has_the_spread_that_was_drawn():
    flat = np.zeros((200, 200, 1), np.float32)
    out = run(flat, seed=1, type="RandomIntensity", noise=0.5)
    rng = np.random.default_rng(1)
    rng.uniform(size=2)
    assert out.std() == pytest.approx(rng.uniform(0, 0.5), rel=0.02)


def test_pack_shapes_and_fields():
    layers = LabelLayers(np.array([[[1, 0, 2]]], np.int32))
    results = dict(
        img=np.arange(6, dtype=np.float32).reshape(1, 3, 2),
        img_id=4,
        img_path="a.tif",
        img_shape=(1, 3),
        ori_shape=(1, 3),
        to_original=np.eye(3),
        gt_layers=layers,
        gt_labels=np.array([0, 1]),
        gt_ignore=np.zeros(2, bool),
        eval_instances=dict(
            masks=layers.to_rles(),
            labels=np.array([0, 1]),
            ignore=np.zeros(2, bool),
            areas=np.ones(2),
        ),
    )
    packed = TRANSFORMS.build(dict(type="PackCellInputs"))(results)
    assert packed["inputs"].shape == (2, 1, 3) and packed["inputs"].dtype == torch.float32
    assert packed["inputs"][1].tolist() == [[1, 3, 5]]
    sample = packed["data_samples"]
    assert sample.gt_layers.tolist() == [[[1, 0, 2]]] and sample.gt_instances.labels.tolist() == [0, 1]
    assert sample.img_id == 4 and len(sample.eval_instances) == 2
    assert sample.gt_masks().tolist() == [[[1, 0, 0]], [[0, 0, 1]]]


def test_pack_leaves_out_crowds_and_empty_cells():
    layers = LabelLayers(np.array([[[1, 0, 3]]], np.int32), num=4)
    results = dict(img=np.zeros((1, 3, 1), np.float32), gt_layers=layers)
    results.update(gt_labels=np.arange(4), gt_ignore=np.array([True, False, False, False]))
    sample = TRANSFORMS.build(dict(type="PackCellInputs"))(results)["data_samples"]
    assert sample.gt_instances.labels.tolist() == [2] and sample.gt_layers.tolist() == [[[0, 0, 1]]]
