"""Transforms that move pixels: cells follow exactly, ``to_original`` leads back, draws decide."""

import albumentations as A
import numpy as np
import pytest

from cellmm.datasets.transforms import TransformContract
from cellmm.datasets.transforms.moving_cells import pack_layers, unpack_layers
from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS
from cellmm.structures import LabelLayers


def scene(size=(40, 48), num=6, channels=2, seed=0):
    rng = np.random.default_rng(seed)
    masks = np.zeros((num, *size), bool)
    for mask in masks:
        y, x = rng.integers(0, size[0] - 12), rng.integers(0, size[1] - 12)
        mask[y : y + 12, x : x + 12] = True
    return dict(
        img=rng.random((*size, channels)).astype(np.float32),
        img_path="a.tif",
        img_shape=size,
        ori_shape=size,
        to_original=np.eye(3),
        gt_layers=LabelLayers.from_masks(masks, size),
        gt_labels=np.arange(num),
        gt_ignore=np.zeros(num, bool),
        gt_areas=masks.sum((1, 2)).astype(float),
        rng=np.random.default_rng(seed),
    )


def build(**config):
    return TRANSFORMS.build(config)


ALL = [
    dict(type="HorizontalFlip", p=0.5),
    dict(type="RandomRotate90", p=0.5),
    dict(type="Affine", rotate=(-180, 180), scale=(0.8, 1.2), p=1.0),
    dict(type="ElasticTransform", alpha=50, sigma=5, p=0.5),
    dict(type="RandomCrop", height=32, width=32),
]


def test_flip_by_hand_and_every_layer_with_it():
    results, before = scene(), scene()
    build(type="Albumentations", transforms=[dict(type="HorizontalFlip", p=1.0)])(results)
    assert np.array_equal(results["img"], before["img"][:, ::-1])
    assert np.array_equal(results["gt_layers"].to_masks(), before["gt_layers"].to_masks()[:, :, ::-1])


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 8])
def test_layers_are_warped_as_masks_one_by_one_would_be(channels):
    results, before = scene(channels=channels), scene(channels=channels)
    build(type="Albumentations", transforms=ALL[:4])(results)
    compose = A.Compose(
        [getattr(A, c["type"])(**{k: v for k, v in c.items() if k != "type"}) for c in ALL[:4]]
    )
    compose.set_random_seed(int(before["rng"].integers(2**31)))
    expected = compose(
        image=before["img"], masks=[m.astype(np.uint8) for m in before["gt_layers"].to_masks()]
    )
    masks = np.array(expected["masks"], bool)
    kept = masks.any((1, 2))
    assert np.array_equal(results["gt_layers"].to_masks(), masks[kept])
    assert results["gt_labels"].tolist() == np.flatnonzero(kept).tolist()
    np.testing.assert_allclose(results["img"], expected["image"].reshape(results["img"].shape))
    assert results["img"].dtype == np.float32


def test_a_draw_decides_and_nothing_else():
    transform = build(type="Albumentations", transforms=ALL)

    def run(seed):
        results = dict(scene(), rng=np.random.default_rng([7, seed]))
        out = transform(results)
        return out["img"], out["gt_layers"].to_masks()

    first = run(3)
    run(4)
    run(5)
    again, other = run(3), run(4)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_ids_in_the_thousands_survive():
    size = (90, 90)
    layers = np.arange(1, 8101, dtype=np.int32).reshape(1, *size)
    results = dict(scene(size), gt_layers=LabelLayers(layers), gt_labels=np.arange(8100))
    results.update(gt_ignore=np.zeros(8100, bool), gt_areas=np.ones(8100))
    build(type="Albumentations", transforms=[dict(type="VerticalFlip", p=1.0)])(results)
    assert np.array_equal(results["gt_layers"].layers, layers[:, ::-1])


def test_min_area_drops_slivers_from_every_key():
    results = scene(num=3)
    masks = np.zeros((3, 40, 48), bool)
    masks[0, 5:15, 5:15], masks[1, 5:15, 30:41], masks[2, 30:39, 5:20] = True, True, True
    results["gt_layers"] = LabelLayers.from_masks(masks)
    crop = dict(type="Crop", x_min=0, y_min=0, x_max=32, y_max=25)
    build(type="Albumentations", transforms=[crop], min_area=30)(results)
    assert results["gt_labels"].tolist() == [0] and len(results["gt_layers"]) == 1
    assert len(results["gt_ignore"]) == len(results["gt_areas"]) == 1


@pytest.mark.parametrize(
    ("parts", "min_area", "removes"),
    [
        ([], 1, False),
        ([dict(type="HorizontalFlip"), dict(type="D4"), dict(type="GaussNoise")], 1, False),
        ([dict(type="HorizontalFlip")], 2, True),
        ([dict(type="VerticalFlip"), dict(type="Affine")], 1, True),
    ],
)
def test_flips_remove_no_cell(parts, min_area, removes):
    step = build(type="Albumentations", transforms=parts, min_area=min_area)
    assert TransformContract.of(step).removes_cells == removes


def test_refused_transforms():
    with pytest.raises(ValueError, match="mirrored border shows cells twice"):
        build(type="Albumentations", transforms=[dict(type="Affine", border_mode=4)])
    with pytest.raises(ValueError, match="no transform 'Afine'"):
        build(type="Albumentations", transforms=[dict(type="Afine")])
    noise = build(type="Albumentations", transforms=[dict(type="GaussNoise", p=1.0)])
    noise(scene())
    with pytest.raises(CellMMError, match="GaussNoise would clip a.tif"):
        noise(dict(scene(), img=scene()["img"] * 3 - 1))


def test_a_test_pipeline_is_refused():
    with pytest.raises(CellMMError, match="cannot be taken back"):
        build(type="Albumentations", transforms=ALL)(dict(scene(), eval_instances={}))


def test_coarse_dropout_hides_pixels_and_keeps_cells():
    results, before = scene(), scene()
    holes = dict(type="CoarseDropout", num_holes_range=(3, 3), hole_height_range=(8, 8), fill=0, p=1.0)
    build(type="Albumentations", transforms=[dict(holes, hole_width_range=(8, 8))])(results)
    assert (results["img"] == 0).any()
    assert np.array_equal(results["gt_layers"].layers, before["gt_layers"].layers)


def test_no_cells_and_one_pixel():
    results = dict(scene(num=0), gt_labels=np.zeros(0, int))
    build(type="Albumentations", transforms=ALL)(results)
    assert len(results["gt_layers"]) == 0 and results["img"].shape == (32, 32, 2)
    point = scene()
    point.update(img=np.ones((1, 1, 1), np.float32), gt_layers=LabelLayers(np.ones((1, 1), np.int32)))
    point.update(gt_labels=np.zeros(1, int), gt_ignore=np.zeros(1, bool), gt_areas=np.ones(1))
    build(type="Albumentations", transforms=[dict(type="HorizontalFlip", p=1.0)])(point)
    assert point["gt_layers"].layers.tolist() == [[[1]]]


def test_to_original_leads_every_pixel_back():
    """The image holds its own coordinates: after crop, resize and pad, ``to_original`` must give them."""
    yy, xx = np.mgrid[0:40, 0:60].astype(np.float32)
    results = dict(scene((40, 60)), img=np.stack([xx, yy], -1))
    for transform in (
        build(type="CropRegion", y0=4, x0=10, y1=36, x1=58),
        build(type="ResizeTo", size=(64, 96)),
        build(type="PadTo", divisor=50, value=-1),
    ):
        transform(results)
    assert results["img"].shape == (100, 100, 2) == (*results["img_shape"], 2)
    assert (results["img"][64:] == -1).all() and (results["img"][:, 96:] == -1).all()
    y, x = np.mgrid[2:62, 2:94].reshape(2, -1)
    back = results["to_original"] @ np.stack([x, y, np.ones_like(x)])
    np.testing.assert_allclose(back[:2], results["img"][y, x].T, atol=1e-3)


def test_resize_keeps_the_proportions_on_request_and_the_cells():
    results = scene((40, 60), num=1)
    build(type="ResizeTo", size=(20, 20), keep_ratio=True)(results)
    assert results["img_shape"] == (13, 20) and results["gt_layers"].shape == (13, 20)
    assert results["gt_layers"].areas()[0] == pytest.approx(144 / 9, rel=0.3)


def test_rescale_keeps_the_scale_of_cells_in_images_of_any_size():
    """By half it is what ResizeTo makes of the fitting size; a cell of 12 px has 6 in any image."""
    for size in ((40, 60), (400, 41), (80, 80)):
        results, other = scene(size, num=1), scene(size, num=1)
        build(type="Rescale", factor=0.5)(results)
        new = tuple(round(side / 2) for side in size)
        build(type="ResizeTo", size=new)(other)
        assert results["img_shape"] == new and np.array_equal(results["img"], other["img"])
        assert np.array_equal(results["to_original"], other["to_original"])
        assert results["gt_layers"].areas().tolist() == [36]
    ignore = np.zeros((40, 60), bool)
    ignore[:10] = True
    grown = dict(scene((40, 60), num=1), ignore=ignore, gt_nuclei=scene((40, 60), num=1)["gt_layers"])
    build(type="Rescale", factor=1.5)(grown)
    assert grown["img"].shape == (60, 90, 2) and grown["ignore"].sum() == 15 * 90
    assert grown["gt_nuclei"].areas().tolist() == [18 * 18] == grown["gt_layers"].areas().tolist()
    same = scene()
    build(type="Rescale", factor=1.0)(same)
    assert np.array_equal(same["img"], scene()["img"])
    for factor in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="Rescale: factor is"):
            build(type="Rescale", factor=factor)


def test_mirror_pad_mirrors_the_image_and_ignores_what_it_added():
    results = scene((10, 12), num=0)
    results["img"][..., 0] = np.arange(12)
    before = results["img"].copy()
    build(type="MirrorPad", top_left=3, bottom_right=14)(results)
    assert results["img"].shape == (27, 29, 2) == (*results["img_shape"], 2)
    assert results["img"][3, :5, 0].tolist() == [3, 2, 1, 0, 1]  # the outermost pixel once
    assert np.array_equal(results["img"][3:13, 3:15], before)
    assert not results["ignore"][3:13, 3:15].any() and results["ignore"].sum() == 27 * 29 - 10 * 12
    assert (results["to_original"] @ [3, 3, 1]).tolist() == [0, 0, 1]
    results = scene((24, 24), num=1)
    build(type="MirrorPad", top_left=5, bottom_right=0)(results)
    assert results["gt_layers"].areas().tolist() == [144], "a mirrored cell is not a second one"
    pixel = dict(scene((1, 1), num=0), img=np.ones((1, 1, 1), np.float32))
    assert build(type="MirrorPad", top_left=2, bottom_right=2)(pixel)["img"].tolist() == [[[1.0]] * 5] * 5
    black = dict(scene((1, 1), num=0), img=np.ones((1, 1, 1), np.float32))
    build(type="MirrorPad", top_left=2, bottom_right=1, value=0.25)(black)
    assert black["img"][..., 0].tolist() == [[0.25] * 4] * 2 + [[0.25, 0.25, 1, 0.25]] + [[0.25] * 4]
    assert black["ignore"].sum() == 15
    with pytest.raises(ValueError, match="0 or more"):
        build(type="MirrorPad", top_left=-1, bottom_right=0)


def test_ignored_pixels_move_along_and_targets_may_not_be_left_behind():
    ignore = np.zeros((40, 60), bool)
    ignore[:10, 20:30] = True
    results = dict(scene((40, 60)), ignore=ignore)
    build(type="CropRegion", y0=4, x0=10, y1=36, x1=58)(results)
    assert np.array_equal(results["ignore"], ignore[4:36, 10:58])
    build(type="ResizeTo", size=(64, 96))(results)
    assert results["ignore"].sum() == 4 * 6 * 10
    build(type="PadTo", divisor=50)(results)
    assert results["ignore"].shape == (100, 100) and results["ignore"].sum() == 240
    flip = build(type="Albumentations", transforms=[dict(type="HorizontalFlip", p=1.0)])
    with pytest.raises(CellMMError, match="would leave the ignored pixels behind"):
        flip(results)
    for key, writer in dict(gt_points="ReferencePoints", sampling_density="SamplingDensity").items():
        for step in (flip, build(type="PadTo", divisor=50)):
            with pytest.raises(CellMMError, match=f"after {writer}, whose {key}"):
                step(dict(scene(), **{key: 1}))


def test_crop_beyond_the_image_names_the_file():
    with pytest.raises(CellMMError, match="a.tif is 40x48 pixels, smaller"):
        build(type="CropRegion", y0=0, x0=0, y1=41, x1=10)(scene())
    with pytest.raises(ValueError, match="empty or negative"):
        build(type="CropRegion", y0=5, x0=0, y1=5, x1=10)


@pytest.mark.parametrize("num", [5, 255, 256, 3000, 65535, 65536])
def test_packed_ids_of_any_size_come_through_a_warp(num):
    """Every byte pattern that ids can make, among them those of NaN, moves like any other pixel."""
    size = (16, 24)
    ids = np.random.default_rng(0).integers(0, num + 1, (3, *size)).astype(np.int32)
    ids[0, 0, 0], ids[1, 0, 1] = num, num
    cells = LabelLayers(ids, num=num)
    assert np.array_equal(unpack_layers(pack_layers(cells), num)[:3], ids)
    results = dict(scene(size), gt_layers=cells, gt_labels=np.arange(num))
    results.update(gt_ignore=np.zeros(num, bool), gt_areas=np.ones(num))
    turn = dict(type="Affine", rotate=(30, 30), scale=(1.1, 1.1), p=1.0)
    build(type="Albumentations", transforms=[turn, dict(type="VerticalFlip", p=1.0)])(results)
    compose = A.Compose([A.Affine(rotate=(30, 30), scale=(1.1, 1.1), p=1.0), A.VerticalFlip(p=1.0)])
    plain = compose(image=scene(size)["img"], masks=list(ids.astype(np.float32)))["masks"]
    back = np.r_[0, results["gt_labels"] + 1][results["gt_layers"].layers]
    assert np.array_equal(back, np.array(plain).astype(np.int64))
