"""Transforms with MMDetection's names: the numbers are mmcv's, and cells move as the image does."""

import mmcv.transforms
import numpy as np
import pytest

from cellmm.datasets.transforms.contract import TransformContract
from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS
from cellmm.structures import LabelLayers

SIZE = (40, 60)


def scene(channels: int = 3, num: int = 5, size: tuple[int, int] = SIZE, seed: int = 0) -> dict:
    """Cells of whole 4x4 blocks, nuclei and ignored pixels; channel k shows the k-th of all their layers."""
    rng = np.random.default_rng(seed)
    cells, nuclei = np.zeros((2, num, *size), bool)
    for cell, nucleus in zip(cells, nuclei, strict=True):
        y, x = 4 * rng.integers(0, size[0] // 4 - 4), 4 * rng.integers(0, size[1] // 4 - 4)
        cell[y : y + 16, x : x + 16] = nucleus[y + 4 : y + 12, x + 4 : x + 8] = True
    layers = LabelLayers.from_masks(cells, size)
    at_nucleus = np.stack([(layers.layers * nuclei[i]) for i in range(num)]) if num else layers.layers[None]
    own = [at * (at == i + 1) for i, at in enumerate(at_nucleus)]
    nuclei = LabelLayers(np.maximum.reduce(own) if own else layers.layers * 0, num=num)
    ignore = np.zeros(size, bool)
    ignore[:8, 20:32] = True
    results = dict(
        img_path="a.png",
        img_shape=size,
        ori_shape=size,
        to_original=np.eye(3),
        gt_layers=layers,
        gt_nuclei=nuclei,
        gt_labels=np.arange(num),
        gt_ignore=np.zeros(num, bool),
        gt_areas=cells.sum((1, 2)).astype(float),
        ignore=ignore,
        rng=np.random.default_rng(seed),
    )
    shown = stack(results)
    results["img"] = np.stack([shown[k % len(shown)] for k in range(channels)], axis=-1).astype(np.float32)
    return results


def stack(results: dict) -> np.ndarray:
    """All layers with the ids that cells had at first, which ``gt_labels`` remembers."""
    ids = np.r_[0, results["gt_labels"] + 1]
    layers = [ids[results[key].layers] for key in ("gt_layers", "gt_nuclei")]
    return np.concatenate([*layers, results["ignore"][None]])


def build(**config):
    return TRANSFORMS.build(config)


STEPS = {
    "flip": dict(type="RandomFlip", prob=1.0),
    "flip in all directions": dict(
        type="RandomFlip", prob=[0.3, 0.3, 0.4], direction=["horizontal", "vertical", "diagonal"]
    ),
    "enlarge": dict(type="Resize", scale_factor=2.0, interpolation="nearest"),
    "enlarge one axis": dict(type="Resize", scale=(180, 40), interpolation="nearest"),
    "shrink": dict(type="Resize", scale=(1000, 20), keep_ratio=True, interpolation="area"),
    "shrink to the nearest": dict(type="Resize", scale=(17, 13), interpolation="nearest"),
    "shrink at random": dict(
        type="RandomResize", scale=(60, 40), ratio_range=(0.5, 0.5), interpolation="area", keep_ratio=True
    ),
    "enlarge at random": dict(type="RandomResize", scale=[(120, 80), (120, 80)], interpolation="nearest"),
    "pad": dict(type="Pad", size=(70, 30)),
    "pad to a divisor": dict(type="Pad", size_divisor=32, pad_val=dict(img=0, seg=255)),
    "pad to a square": dict(type="Pad", pad_to_square=True),
    "middle": dict(type="CenterCrop", crop_size=(31, 22)),
    "crop": dict(type="RandomCrop", crop_size=(25, 24)),
    "crop of a range": dict(type="RandomCrop", crop_size=(10, 50), crop_type="absolute_range"),
    "share": dict(type="RandomCrop", crop_size=(0.5, 0.3), crop_type="relative", allow_negative_crop=True),
    "range of shares": dict(type="RandomCrop", crop_size=(0.3, 0.9), crop_type="relative_range"),
}
SHAPES = {"enlarge": (80, 120), "enlarge one axis": (40, 180), "shrink": (20, 30), "pad": (40, 70)}
SHAPES |= {"shrink at random": (20, 30), "enlarge at random": (80, 120), "pad to a divisor": (64, 64)}
SHAPES |= {"shrink to the nearest": (13, 17)}
SHAPES |= {"pad to a square": (60, 60), "middle": (22, 31), "crop": (24, 25), "share": (12, 30)}


@pytest.mark.parametrize("channels", [1, 3, 8])
@pytest.mark.parametrize("num", [0, 1, 7])
@pytest.mark.parametrize("name", STEPS)
def test_cells_nuclei_and_ignored_pixels_move_as_the_image(name, num, channels):
    results = scene(channels, num)
    step = build(**STEPS[name])
    step(results)
    shown, shape = stack(results), results["img"].shape[:2]
    assert shape == results["img_shape"] == SHAPES.get(name, shape)
    assert results["img"].dtype == np.float32 and results["img"].shape[2] == channels
    for k in range(channels):
        assert np.array_equal(results["img"][..., k], shown[k % len(shown)])
    says = TransformContract.of(step)
    cells = len(results["gt_layers"])
    assert says.moves_pixels and (says.removes_cells or cells == num)
    lengths = {len(results[key]) for key in ("gt_nuclei", "gt_labels", "gt_ignore", "gt_areas")}
    assert lengths == {cells} and (results["gt_layers"].areas() > 0).all()


@pytest.mark.parametrize("name", STEPS)
def test_to_original_leads_back(name):
    results = scene(2)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    results["img"] = np.stack([x, y], axis=-1).astype(np.float32)
    step = {key: value for key, value in STEPS[name].items() if key != "interpolation"}
    build(**step)(results)
    height, width = results["img_shape"] if "pad" not in name else SIZE
    y, x = np.mgrid[3 : height - 3, 3 : width - 3].reshape(2, -1)
    back = results["to_original"] @ np.stack([x, y, np.ones_like(x)])
    np.testing.assert_allclose(back[:2], results["img"][y, x].T, atol=1e-3)


@pytest.mark.parametrize("scale", [(15, 10), (41, 27), (120, 80), (77, 99), (120, 10), (15, 80)])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "area", "lanczos"])
def test_no_interpolation_moves_the_image(interpolation, scale):
    """Pixels come from where ``to_original`` says, or from the pixel nearest to it."""
    results = scene(2)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    results["img"] = np.stack([x, y], axis=-1).astype(np.float32)
    build(type="Resize", scale=scale, interpolation=interpolation)(results)
    assert results["img"].shape == (*scale[::-1], 2)
    y, x = np.mgrid[2 : scale[1] - 2, 2 : scale[0] - 2].reshape(2, -1)
    back = results["to_original"] @ np.stack([x, y, np.ones_like(x)])
    assert np.abs(back[:2] - results["img"][y, x].T).max() <= (0.501 if interpolation == "nearest" else 0.1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    "config",
    [
        dict(type="Resize", scale=(33, 50), keep_ratio=True),
        dict(type="Resize", scale=(33, 50)),
        dict(type="Resize", scale=77, keep_ratio=True, interpolation="bicubic"),
        dict(type="Resize", scale_factor=(0.3, 0.7), interpolation="area"),
        dict(type="Resize", scale_factor=0.77, keep_ratio=True, interpolation="lanczos"),
        dict(type="Pad", size=(99, 41), pad_val=7),
        dict(type="Pad", size_divisor=32, pad_to_square=True, pad_val=dict(img=(1, 2, 3))),
        dict(type="CenterCrop", crop_size=(21, 100)),
        dict(type="CenterCrop", crop_size=19),
    ],
)
def test_the_numbers_are_those_of_mmcv(config, dtype):
    top = np.iinfo(dtype).max
    image = np.random.default_rng(0).integers(0, top, (41, 60, 3)).astype(dtype).astype(np.float32)
    arguments = {key: value for key, value in config.items() if key != "type"}
    theirs = getattr(mmcv.transforms, config["type"])(**arguments)(dict(img=image.copy()))
    ours = build(**config)(dict(scene(), img=image))
    np.testing.assert_allclose(ours["img"], theirs["img"], rtol=1e-5, atol=1e-5 * top)
    if "scale_factor" in theirs:
        assert ours["scale_factor"] == pytest.approx(theirs["scale_factor"])
    if config["type"] == "CenterCrop":
        return
    for size in ((41, 60), (60, 41)):  # portrait and landscape
        shape = getattr(mmcv.transforms, config["type"])(**arguments)(dict(img=np.zeros((*size, 3))))[
            "img"
        ].shape
        assert build(**config)(dict(img=np.zeros((*size, 3), np.float32)))["img"].shape == shape


def test_flips_come_as_often_as_asked():
    step = build(type="RandomFlip", prob=0.6, direction=["horizontal", "vertical"])
    rng, found = np.random.default_rng(0), []
    for _ in range(2000):
        results = step(dict(img=np.arange(4.0, dtype=np.float32).reshape(2, 2, 1), rng=rng))
        found.append(results["flip_direction"])
        corner = {None: 0, "horizontal": 1, "vertical": 2}[found[-1]]
        assert results["img"][0, 0, 0] == corner and results["flip"] == (corner > 0)
    for direction, share in (("horizontal", 0.3), ("vertical", 0.3), (None, 0.4)):
        assert found.count(direction) / 2000 == pytest.approx(share, abs=0.04)


def test_random_sizes_and_places_cover_their_range_and_depend_on_the_draw_alone():
    def widths(**config):
        return [build(**config)(scene(seed=i))["img_shape"][1] for i in range(60)]

    found = widths(type="RandomResize", scale=(60, 40), ratio_range=(0.5, 1.5))
    assert 28 < min(found) < 36 and 84 < max(found) <= 90
    assert set(widths(type="RandomResize", scale=[(30, 20), (33, 20)])) == {30, 31, 32, 33}
    assert set(widths(type="RandomCrop", crop_size=(10, 12), crop_type="absolute_range")) == {10, 11, 12}
    for config in STEPS.values():
        first, other = (build(**config)(scene(seed=3)) for _ in range(2))
        assert np.array_equal(first["img"], other["img"])


def test_a_crop_shows_a_cell_unless_it_may_not():
    def corner(**more) -> dict:
        results = scene(num=0)
        cell = np.zeros((1, *SIZE), bool)
        cell[0, :3, :3] = True
        added = dict(
            gt_layers=LabelLayers.from_masks(cell, SIZE),
            gt_nuclei=LabelLayers(np.zeros((1, *SIZE), np.int32), num=1),
        )
        added |= dict(gt_labels=np.zeros(1, int), gt_ignore=np.zeros(1, bool), gt_areas=np.ones(1))
        return dict(results, **added) | more

    def shows(allowed: bool, seed: int, **more) -> bool:
        step = build(type="RandomCrop", crop_size=(30, 20), allow_negative_crop=allowed)
        return len(step(corner(rng=np.random.default_rng(seed), **more))["gt_layers"]) > 0

    seeds = range(20)
    assert all(shows(False, seed) for seed in seeds) and not all(shows(True, seed) for seed in seeds)
    assert not all(shows(False, seed, gt_ignore=np.ones(1, bool)) for seed in seeds)  # a crowd is no cell


@pytest.mark.parametrize("name", STEPS)
def test_targets_are_not_left_behind_and_tests_are_not_random(name):
    step = build(**STEPS[name])
    says = f"^{STEPS[name]['type']} comes after ReferencePoints, whose gt_points it does not move"
    with pytest.raises(CellMMError, match=says):
        step(dict(scene(), gt_points=np.zeros((5, 2), np.float32)))
    is_random = "Random" in STEPS[name]["type"]
    for results in (dict(scene(), eval_instances={}), {k: v for k, v in scene().items() if k != "rng"}):
        if is_random:
            with pytest.raises(CellMMError, match="at random: leave it out of the test pipeline"):
                step(results)
        else:
            step(results)


@pytest.mark.parametrize("top", [1, 255, 65535])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_photometric_distortion_fits_any_range(top, channels):
    step = build(type="PhotoMetricDistortion")
    base = np.random.default_rng(0).random((16, 16, channels)).astype(np.float32)
    found = []
    for seed in range(40):
        results = step(dict(img=base * top, rng=np.random.default_rng(seed)))
        again = step(dict(img=base, rng=np.random.default_rng(seed)))["img"] * top
        assert results["img"].dtype == np.float32 and results["img"].shape == base.shape
        np.testing.assert_allclose(results["img"], again, rtol=1e-3, atol=1e-3 * top)
        found.append(results["img"] / top)
    means = [image.mean() for image in found]
    assert min(means) < 0.35 and max(means) > 0.65
    assert sum(np.allclose(image, base, atol=1e-6) for image in found) < 20
    if channels != 3:  # one line for all pixels
        for image in found:
            slope, shift = np.polyfit(base.ravel(), image.ravel(), 1)
            np.testing.assert_allclose(image, slope * base + shift, atol=1e-4)
            assert 0.49 < slope < 1.51 and abs(shift) < 1.5 * 32 / 255


def test_photometric_distortion_of_colours_by_hand():
    none = dict(brightness_delta=0, contrast_range=(1, 1))
    image = np.array([[[200.0, 100.0, 50.0]]], np.float32)
    step = build(type="PhotoMetricDistortion", **none, saturation_range=(0.5, 0.5), hue_delta=0)
    results = [step(dict(img=image, rng=np.random.default_rng(i)))["img"] for i in range(30)]
    found = {tuple(sorted(result.ravel().round(3))) for result in results}
    assert found == {(50, 100, 200), (125, 150, 200)}
    assert len({tuple(result.ravel().round(3)) for result in results}) > 4  # channels change places
    step = build(type="PhotoMetricDistortion", **none, saturation_range=(1, 1), hue_delta=180)
    for seed in range(30):
        pixel = step(dict(img=image, rng=np.random.default_rng(seed)))["img"]
        assert pixel.max() == pytest.approx(200, abs=0.01) and pixel.min() == pytest.approx(50, abs=0.01)
    grey = np.full((2, 2, 3), 9.0, np.float32)
    step = build(type="PhotoMetricDistortion", **none)
    assert all((step(dict(img=grey, rng=np.random.default_rng(i)))["img"] == 9).all() for i in range(20))


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_normalize_with_mean_and_std(channels):
    image = np.random.default_rng(0).integers(0, 2**16, (8, 9, channels)).astype(np.float32)
    mean, std = np.arange(channels) + 5.0, np.arange(channels) + 2.0
    results = build(type="Normalize", mean=mean.tolist(), std=std.tolist(), to_rgb=True)(dict(img=image))
    np.testing.assert_allclose(results["img"], (image - mean) / std, rtol=1e-6)
    results = build(type="Normalize", mean=[100.0], std=[50.0], to_rgb=False)(dict(img=image))
    np.testing.assert_allclose(results["img"], (image - 100) / 50, rtol=1e-6)
    if channels == 3:
        theirs = mmcv.transforms.Normalize(mean, std)(dict(img=image[..., ::-1].copy()))["img"]  # from BGR
        ours = build(type="Normalize", mean=mean, std=std)(dict(img=image))["img"]
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    with pytest.raises(CellMMError, match=f"mean and std have 2 numbers, the image has {channels} channels"):
        build(type="Normalize", mean=[1, 2], std=[1, 2])(dict(img=image))


@pytest.mark.parametrize(
    ("config", "cure"),
    [
        (dict(type="RandomFlip", prob=0.5, direction="left"), "choose among horizontal, vertical, diagonal"),
        (
            dict(type="RandomFlip", prob=[0.5, 0.6], direction=["horizontal", "vertical"]),
            "a sum of at most 1",
        ),
        (dict(type="RandomFlip", prob=[0.5], direction=["horizontal", "vertical"]), "one per direction"),
        (dict(type="RandomFlip", prob=0.5, swap_seg_labels=[1, 2]), "leave it out"),
        (dict(type="Resize"), "give one of them"),
        (dict(type="Resize", scale=(0, 4)), "give a number above 0 or a pair of them"),
        (dict(type="Resize", scale=4, backend="pillow"), "leave it out"),
        (dict(type="Resize", scale=4, interpolation="cubic"), "choose among nearest, bilinear"),
        (dict(type="Resize", scale=4, clip_object_border=False), "boxes are always those of the masks"),
        (dict(type="RandomResize", scale=(4, 4)), "give .width, height. and ratio_range"),
        (dict(type="RandomResize", scale=[(4, 4), (5, 5)], ratio_range=(1, 2)), "two pairs"),
        (dict(type="RandomResize", scale=(4, 4), ratio_range=(1, 2), resize_type="Mine"), "leave it out"),
        (dict(type="Pad"), "give one of size, size_divisor and pad_to_square"),
        (dict(type="Pad", size=(4, 4), size_divisor=4), "leave one out"),
        (dict(type="Pad", size_divisor=4, padding_mode="reflect"), "use MirrorPad"),
        (dict(type="CenterCrop", crop_size=4, auto_pad=True), "put dict.type='Pad'"),
        (dict(type="RandomCrop", crop_size=(4, 4), crop_type="mine"), "choose among absolute"),
        (dict(type="RandomCrop", crop_size=(4, 2), crop_type="absolute_range"), "give .least, most. px"),
        (dict(type="RandomCrop", crop_size=(4, 2), crop_type="relative"), "at most 1"),
        (dict(type="PhotoMetricDistortion", hue_delta=-1), "must be 0 or more"),
        (dict(type="Normalize", mean=[1, 2]), "give both mean and std"),
        (dict(type="Normalize", mean=[1], std=[0]), "those of std above 0"),
        (dict(type="Normalize", mean=[1] * 3, std=[1] * 3, to_rgb=False), "channels are R, G, B here"),
        (dict(type="Normalize", mean=[1], std=[1], mode="percentile"), "leave mode out"),
        (dict(type="LoadImageFromFile", color_type="bgr"), "choose among color, grayscale, unchanged"),
        (dict(type="LoadImageFromFile", imdecode_backend="pillow"), "the file decides what reads it"),
        (dict(type="LoadImageFromFile", ignore_empty=True), "take broken files out of the set"),
        (dict(type="LoadImageFromFile", backend_args=dict(backend="petrel")), "read from the disk"),
        (dict(type="LoadAnnotations"), "set with_mask=True"),
        (dict(type="LoadAnnotations", with_mask=True, with_seg=True), "add SemanticTargets"),
        (dict(type="LoadAnnotations", with_mask=True, with_label=False), "class_agnostic=True"),
        (dict(type="LoadAnnotations", with_mask=True, box_type="qbox"), "no boxes but those of the masks"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line_with_the_cure(config, cure):
    with pytest.raises(ValueError, match=cure) as error:
        build(**config)
    assert "\n" not in str(error.value)


def test_padding_with_a_number_for_each_channel_needs_as_many():
    with pytest.raises(CellMMError, match="pad_val has 3 numbers, a.png 2 channels: give one per channel"):
        build(type="Pad", size_divisor=32, pad_val=dict(img=(1, 2, 3)))(scene(2))


def test_containers_of_mmcv_hold_these():
    """A config's default scope is cellmm, so a plain name is never mmcv's."""
    inside = dict(type="RandomFlip", prob=1.0)
    for config in (
        dict(type="RandomApply", prob=1.0, transforms=[inside]),
        dict(type="RandomChoice", transforms=[[inside]]),
    ):
        results = build(**config)(scene())
        assert np.array_equal(results["img"][..., 0], stack(results)[0])


@pytest.mark.parametrize("key", ["gt_labels", "gt_ignore", "gt_nuclei"])
@pytest.mark.parametrize("kind", ["PackCellInputs", "PackDetInputs"])
def test_packing_refuses_an_entry_too_few(kind, key):
    results = scene()
    build(type=kind)(dict(results))
    value = results[key]
    short = value.select(np.arange(5) > 0) if isinstance(value, LabelLayers) else value[1:]
    with pytest.raises(CellMMError, match=f"a.png: {key} has 4 entries, gt_layers 5: a step drops or adds"):
        build(type=kind)(dict(results, **{key: short}))


@pytest.mark.parametrize("key", ["gt_nuclei", "ignore", "gt_proximity", "gt_semantic", "gt_layers"])
def test_packing_refuses_another_size(key):
    other = scene(size=(40, 64))
    maps = dict(gt_proximity=np.zeros((40, 64), np.float32), gt_semantic=dict(cytoplasm=other["ignore"]))
    with pytest.raises(CellMMError, match=rf"img has \(40, 60\) px \(h, w\), but {key} \(40, 64\)"):
        build(type="PackDetInputs")(dict(scene(), **{key: (other | maps)[key]}))


def test_meta_keys_come_beside_those_that_are_always_there():
    results = build(type="RandomFlip", prob=1.0)(scene())
    sample = build(type="PackDetInputs", meta_keys=("flip", "flip_direction", "absent"))(results)[
        "data_samples"
    ]
    assert sample.flip and sample.flip_direction == "horizontal" and "absent" not in sample.metainfo_keys()
    assert {"img_path", "img_shape", "ori_shape", "to_original"} <= set(sample.metainfo_keys())
