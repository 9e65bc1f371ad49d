"""SamplingDensity: the smoothed cells as probabilities, once an image."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from cellmm.datasets.transforms import sampling_density
from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS
from cellmm.structures import LabelLayers


def results_of(masks, img_id=0):
    masks = np.asarray(masks, bool)
    num, *size = masks.shape
    return dict(
        img=np.zeros((*size, 1), np.float32),
        img_id=img_id,
        img_path="a.tif",
        gt_layers=LabelLayers.from_masks(masks, tuple(size)),
        gt_labels=np.zeros(num, int),
        gt_ignore=np.zeros(num, bool),
        gt_areas=masks.sum((1, 2)).astype(float),
        rng=np.random.default_rng(0),
    )


def worms(size=(260, 348), num=5, seed=0):
    rng = np.random.default_rng(seed)
    masks = np.zeros((num, *size), bool)
    for mask in masks:
        y, x = rng.integers(0, np.array(size) - (10, 60))
        mask[y : y + 10, x : x + 60] = True
    return masks


def build(**config):
    return TRANSFORMS.build(dict(type="SamplingDensity", **config))


def test_smoothed_by_hand():
    """sigma 1 px, 2 sigmas: weights e^-2, e^-1/2, 1, e^-1/2, e^-2 over their sum 2.483732."""
    row = np.array([0.054489, 0.244201, 0.402620, 0.244201, 0.054489])
    mask = np.zeros((1, 9, 9))
    mask[0, 4, 4] = 1
    density = build(sigma=1.0)(results_of(mask))["sampling_density"]
    assert density.dtype == np.float32
    np.testing.assert_allclose(density[2:7, 2:7], np.outer(row, row), atol=2e-6)
    assert density[[1, 7]].sum() == 0 and density[:, [1, 7]].sum() == 0
    # on the border the pixel is repeated outwards: what falls outside comes back, then the sum is made 1
    mask = np.zeros((1, 1, 5))
    mask[0, 0, 0] = 1
    density = build(sigma=1.0)(results_of(mask))["sampling_density"]
    column = np.array([0.402620 + 0.244201 + 0.054489, 0.244201 + 0.054489, 0.054489, 0, 0])
    np.testing.assert_allclose(density[0], column / column.sum(), atol=2e-6)


def test_pixels_of_several_cells_can_weigh_more():
    masks = np.zeros((2, 40, 60), bool)
    masks[0, 10:20, 5:35] = masks[1, 10:20, 30:55] = True
    plain, more, only = (
        build(sigma=1.0, overlap_weight=weight)(results_of(masks, i))["sampling_density"]
        for i, weight in enumerate((1.0, 10.0, 1e6))
    )
    ratio = more / np.maximum(plain, 1e-12)
    assert ratio[15, 32] / ratio[15, 12] == pytest.approx(10, rel=0.1)
    assert only[8:22, 28:37].sum() > 0.99
    with pytest.raises(ValueError, match="overlap_weight must be 0 or more, got -1"):
        build(overlap_weight=-1)


def test_overlapping_cells_count_once_and_crowds_do_not():
    cell = np.zeros((20, 20), bool)
    cell[3:8, 3:8] = True
    once, twice = (build(sigma=2.0)(results_of([cell] * n))["sampling_density"] for n in (1, 2))
    assert np.array_equal(once, twice)
    crowd = results_of([cell, np.flip(cell)])
    crowd["gt_ignore"][1] = True
    assert np.array_equal(build(sigma=2.0)(crowd)["sampling_density"], once)
    crowd["gt_ignore"][0] = True
    np.testing.assert_allclose(build(sigma=2.0)(crowd)["sampling_density"], 1 / 400, rtol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (61, 100)])
def test_an_image_without_cells_is_uniform(size):
    density = build()(results_of(np.zeros((0, *size))))["sampling_density"]
    np.testing.assert_allclose(density, np.full(size, 1 / np.prod(size)), rtol=1e-5)


@pytest.mark.parametrize("size", [(260, 348), (263, 341)])
def test_the_published_smoothing_from_a_36th_of_the_memory(size):
    masks, transform = worms(size), build()
    density = transform(results_of(masks))["sampling_density"]
    exact = gaussian_filter(masks.any(0).astype(float), 50, mode="nearest", truncate=2.0)
    exact /= exact.sum()
    assert density.shape == size and abs(density.sum(dtype=float) - 1) < 1e-6
    assert np.abs(density - exact).sum() / 2 < 0.005 and np.abs(density - exact).max() < 0.04 * exact.max()
    (_, kept), *_ = transform.cache.values()
    assert kept.nbytes * 34 < density.nbytes


def test_smoothed_once_an_image(monkeypatch):
    calls = []

    def counted(*args, **kwargs):
        calls.append(1)
        return gaussian_filter(*args, **kwargs)

    monkeypatch.setattr(sampling_density, "gaussian_filter", counted)
    transform, masks = build(), worms()
    first = transform(results_of(masks))["sampling_density"].copy()
    again = transform(results_of(masks))["sampling_density"]
    assert len(calls) == 1 and np.array_equal(first, again)
    again[:] = 0  # what a later step does to it stays there
    assert np.array_equal(transform(results_of(masks))["sampling_density"], first)
    other = transform(results_of(masks[:, ::-1], img_id=1))["sampling_density"]
    assert len(calls) == 2 and not np.array_equal(other, first)


@pytest.mark.parametrize("sigma", [1.0, 50.0])
def test_memory_is_bounded_and_the_result_the_same_without(sigma):
    masks = worms()
    none = build(sigma=sigma, cache_mb=0)
    first, again = (none(results_of(masks))["sampling_density"] for _ in range(2))
    assert not none.cache and np.array_equal(first, again)
    assert np.array_equal(build(sigma=sigma)(results_of(masks))["sampling_density"], first)


def test_crops_concentrate_on_the_cells():
    masks = np.zeros((1, 200, 200), bool)
    masks[0, 20:50, 140:180] = True
    density, warp = build(sigma=10.0), dict(type="RandomWarp", size=(32, 32))
    shares = {}
    for centre in ("density", "uniform"):
        transform = TRANSFORMS.build(dict(warp, centre=centre))
        share = []
        for draw in range(60):
            results = {**results_of(masks), "rng": np.random.default_rng([0, draw])}
            share.append((transform(density(results))["gt_layers"].count() > 0).mean())
        shares[centre] = np.mean(share)
    assert shares["density"] > 0.4 and shares["uniform"] < 0.1


def test_after_something_that_moves_pixels_it_is_refused():
    transform = build()
    transform(results_of(worms()))
    with pytest.raises(CellMMError, match=r"a.tif was \(260, 348\).*before anything that moves"):
        transform(results_of(worms((200, 200))))
    with pytest.raises(CellMMError, match="LoadCells"):
        transform(dict(img_id=3, img_path="b.tif"))


@pytest.mark.parametrize("config", [{"sigma": 0}, {"truncate": -1.0}])
def test_a_wrong_argument_is_refused(config):
    with pytest.raises(ValueError, match="above 0"):
        build(**config)
