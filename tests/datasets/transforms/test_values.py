"""Normalize, RandomIntensity, PackCellInputs."""

import copy

import numpy as np
import pytest
import torch

from cellmm.datasets.transforms.fill import find_fill
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


def stitched(shape=(256, 256, 2), seed=0):
    return np.random.default_rng(seed).normal(1200, 60, shape).astype(np.float32)


@pytest.mark.parametrize("mode", ["mean_std", "median_std", "percentile"])
@pytest.mark.parametrize("value", [0, 1200, 65535])
def test_a_missing_tile_does_not_count(mode, value, said):
    """The other tiles come out as they would alone; the missing one is their mean, and says so once."""
    image = stitched()
    image[128:, 128:] = value
    step = TRANSFORMS.build(dict(type="Normalize", mode=mode))
    out = [step(dict(img=image.copy(), img_path="a.tif"))["img"] for _ in range(2)][0]
    tiles = np.ones((256, 256), bool)
    tiles[128:, 128:] = False
    alone = run(image[tiles][None], type="Normalize", mode=mode)[0]
    np.testing.assert_allclose(out[tiles], alone, atol=1e-5)
    assert out[~tiles] == pytest.approx(np.broadcast_to(alone.mean(0), (128 * 128, 2)), abs=1e-5)
    assert [line.partition(" are")[0] for line in said] == ["a.tif: 16384 of 65536 pixels"]


def disk(shape, centre, radius):
    y, x = np.ogrid[: shape[0], : shape[1]]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2


@pytest.mark.parametrize("channels", [1, 4])
def test_what_is_fill(channels):
    shape = (300, 400)
    image = stitched((*shape, channels))
    tile = image.copy()
    tile[100:160, 200:300] = 7
    assert find_fill(tile).sum() == 60 * 100
    tile[:90, :90] = 65535  # another one, of another value
    assert find_fill(tile).sum() == 60 * 100 + 90 * 90
    corner = np.add.outer(np.arange(300), np.arange(400)) < 150  # what turning an image leaves
    turned = np.where(corner[..., None], 0, image)
    assert find_fill(turned).sum() == corner.sum()
    well = ~disk((1000, 1000), (500, 500), 490)  # the round field of a microscope
    assert find_fill(np.where(well[..., None], 0, stitched((1000, 1000, 1)))).sum() == well.sum()


@pytest.mark.parametrize("value", [0, 255])
def test_clipped_backgrounds_and_saturated_cells_are_image(value):
    """Their outlines are those of cells: not a bit of such images changes."""
    shape = (300, 400)
    image = stitched((*shape, 1), seed=1)
    cells = np.zeros(shape, bool)
    for centre in np.random.default_rng(0).integers(20, (280, 380), (25, 2)):
        cells |= disk(shape, centre, 18)
    for clipped in (cells, ~cells):
        dark = np.where(clipped[..., None], value, image).astype(np.float32)
        assert find_fill(dark) is None
        expected = (dark - dark.mean((0, 1), dtype=np.float64)) / dark.std((0, 1), dtype=np.float64)
        assert np.array_equal(run(dark, type="Normalize"), expected.astype(np.float32))


def test_small_or_scattered_or_one_channel_or_all_constant_is_not_fill():
    image = stitched()
    zeros = image * (image > 1150)
    assert (zeros == 0).sum() > 10_000 and find_fill(zeros) is None
    bar = image.copy()
    bar[200:210, 100:200] = 0  # a scale bar
    assert find_fill(bar) is None
    changed = image.copy()
    changed[:100, :100, 0] = 0
    assert find_fill(changed) is None
    assert find_fill(np.zeros((200, 200, 1), np.float32)) is None
    halves = np.zeros((200, 200, 1), np.float32)
    halves[:100] = 1
    assert find_fill(halves) is None, "nothing would be left"
    for shape in ((1, 1, 1), (31, 200, 2)):
        assert find_fill(np.zeros(shape, np.float32)) is None


def test_division_leaves_fill_alone():
    image = stitched()
    image[128:, 128:] = 0
    assert np.array_equal(run(image, type="Normalize", mode="divide", divisor=2), image / 2)


def test_all_workers_together_name_ten_images_and_then_count(said):
    step = TRANSFORMS.build(dict(type="Normalize"))
    image = np.zeros((50, 60, 1), np.float32)
    image[10:20, 30:40] = 255
    assert all(flag.is_shared() for flag in step._warned.values())  # as forked workers have it
    copies = [copy.copy(step) for _ in range(3)]
    for i in range(25):
        for worker in copies:
            worker(dict(img=image.copy(), img_path=f"{i}.tif"))
    names = [line.partition(": holds")[0] for line in said]
    assert names == [*(f"{i}.tif" for i in range(10)), "20 images so far, the last one 19.tif"]


def test_an_image_that_may_be_a_mask_is_named(said):
    mask = np.zeros((50, 60, 1), np.float32)
    mask[10:20, 30:40] = 255
    step = TRANSFORMS.build(dict(type="Normalize"))
    for _ in range(2):
        step(dict(img=mask.copy(), img_path="a_masks.png"))
    assert said == ["a_masks.png: holds two values only, as a mask does; leave it out if it is not an image"]
    for image in (mask[:5], stitched((50, 60, 1))):
        step(dict(img=image, img_path="b.tif"))
    mask[0, 0] = 1
    step(dict(img=mask, img_path="c.tif"))
    assert len(said) == 1


def packable(**more):
    """2 x 3 px with the cells 1 (kept), 2 (a crowd region) and 3 (without a pixel)."""
    layers = LabelLayers(np.array([[[1, 1, 0], [0, 2, 2]]], np.int32), num=3)
    return dict(
        img=np.zeros((2, 3, 1), np.float32),
        img_path="a.tif",
        img_shape=(2, 3),
        gt_layers=layers,
        gt_labels=np.zeros(3, np.int64),
        gt_ignore=np.array([False, True, False]),
        ignore=np.zeros((2, 3), bool),
        gt_semantic=dict(border=np.zeros((2, 3), np.uint8)),
        gt_proximity=np.zeros((2, 3), np.float32),
        **more,
    )


def test_targets_of_ones_own_are_packed_without_a_subclass():
    own = dict(gt_map=np.arange(2.0), gt_parts=packable()["gt_layers"], gt_age=np.array([[5], [6], [7]]))
    pack = TRANSFORMS.build(dict(type="PackCellInputs", keys=("gt_map", "gt_parts"), cell_keys=("gt_age",)))
    sample = pack(packable(**own))["data_samples"]
    assert sample.gt_map.tolist() == [0, 1] and sample.gt_age.tolist() == [[5]]
    assert sample.gt_parts.tolist() == sample.gt_layers.tolist() == [[[1, 1, 0], [0, 0, 0]]]
    assert "gt_map" not in pack(packable())["data_samples"]


@pytest.mark.parametrize(
    ("options", "own", "says"),
    [
        ({}, dict(gt_mine=np.zeros(2)), r"^gt_mine would be left out; name it: .*keys=\('gt_mine',\)"),
        (
            dict(cell_keys=["gt_age"]),
            dict(gt_age=np.zeros(2)),
            "a.tif: gt_age has 2 entries, gt_layers 3 cells",
        ),
        (
            dict(keys=["gt_age"]),
            dict(gt_age=[1, 2]),
            "^gt_age is a list; PackCellInputs takes arrays of numbers",
        ),
        (dict(keys=["gt_age"]), dict(gt_age=np.array(["x"])), "^gt_age is a ndarray; "),
        (
            dict(keys=["gt_x"]),
            dict(gt_x=LabelLayers.empty(2, 3)),
            "a.tif: gt_x has 0 entries, gt_layers 3 cells",
        ),
    ],
)
def test_targets_of_ones_own_that_do_not_fit(options, own, says):
    with pytest.raises(CellMMError, match=says):
        TRANSFORMS.build(dict(type="PackCellInputs", **options))(packable(**own))


@pytest.mark.parametrize("key", ["mine", "gt_layers", "gt_disk_weight"])
def test_keys_of_targets_are_names_of_ones_own(key):
    with pytest.raises(ValueError, match="name a target of your own"):
        TRANSFORMS.build(dict(type="PackCellInputs", keys=[key]))


@pytest.mark.parametrize(
    "key", ["img", "img_shape", "gt_layers", "gt_nuclei", "ignore", "gt_semantic", "gt_proximity"]
)
def test_what_was_moved_without_the_rest_is_refused(key):
    """As by a transform of another library, or of a plug-in, that crops the image alone."""
    pack = TRANSFORMS.build(dict(type="PackCellInputs"))
    results = packable(gt_nuclei=packable()["gt_layers"])
    pack(results)
    smaller = dict(
        img=np.zeros((2, 2, 1), np.float32),
        img_shape=(3, 2),
        gt_semantic=dict(cytoplasm=results["gt_semantic"]["border"], border=np.zeros((3, 3), np.uint8)),
        ignore=np.zeros((2, 4), bool),
        gt_proximity=np.zeros((1, 3), np.float32),
    )
    results[key] = smaller.get(key, LabelLayers(np.zeros((1, 3, 2), np.int32), num=3))
    with pytest.raises(
        CellMMError, match=r"^a\.tif: img has \(2, [23]\) px \(h, w\), but .* without the other; use"
    ):
        pack(results)


@pytest.mark.parametrize(
    ("grid", "fits"),
    [((5, 7), True), ((3, 4), True), ((2, 3), True), ((2, 2), True), ((1, 1), True), ((3, 3), False)],
)
def test_disks_lie_on_a_grid_of_the_image(grid, fits):
    disks = dict(gt_disks=np.zeros(grid, np.int32), gt_disk_weight=np.zeros(grid, np.float32))
    results = dict(img=np.zeros((5, 7, 1), np.float32), **disks)
    pack = TRANSFORMS.build(dict(type="PackCellInputs"))
    if fits:
        pack(results)
    else:
        with pytest.raises(CellMMError, match=r"but gt_disks \(3, 3\): a step after DiskTargets"):
            pack(results)


@pytest.mark.parametrize("step", ["RandomWarp", "PadTo", "Albumentations"])
def test_a_target_of_ones_own_is_not_left_behind(step):
    results = packable(gt_mine=np.zeros((2, 3)), rng=np.random.default_rng(0))
    for key in ("gt_semantic", "gt_proximity", "ignore"):
        results.pop(key)
    more = dict(transforms=[]) if step == "Albumentations" else dict(size=(4, 4))
    with pytest.raises(CellMMError, match="gt_mine .*put it before"):
        TRANSFORMS.build(dict(type=step, **more))(results)
