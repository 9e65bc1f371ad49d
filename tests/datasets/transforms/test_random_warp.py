"""RandomWarp: one map for the image, the cells and ``ignore``; whole pixels where the map is whole."""

import numpy as np
import pytest
from skimage.draw import disk

from cellmm.datasets.transforms import warping
from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS
from cellmm.structures import LabelLayers

STILL = dict(rotate=(0, 0), flip=0)
ALL = dict(scale=(0.7, 1.3), shift=5, elastic_spacing=12, elastic_magnitude=2, centre="uniform")


def scene(size=(40, 48), num=6, channels=2, seed=0, radius=6):
    rng = np.random.default_rng(seed)
    masks = np.zeros((num, *size), bool)
    for mask in masks:
        mask[disk(rng.uniform(0, size), radius, shape=size)] = True
    return dict(
        img=rng.random((*size, channels)).astype(np.float32),
        img_path="a.tif",
        img_shape=size,
        gt_layers=LabelLayers.from_masks(masks, size),
        gt_labels=np.arange(num),
        gt_ignore=np.zeros(num, bool),
        gt_areas=masks.sum((1, 2)).astype(float),
        rng=np.random.default_rng(seed),
    )


def warp(results, **config):
    return TRANSFORMS.build(dict(type="RandomWarp", **config))(dict(results))


def masks_of(results, num):
    """One mask for each of the ``num`` labels, empty where the cell is gone."""
    masks = np.zeros((num, *results["gt_layers"].shape), bool)
    masks[results["gt_labels"]] = results["gt_layers"].to_masks()
    return masks


@pytest.mark.parametrize("size", [(40, 48), (41, 47), (1, 1), (3, 1)])
@pytest.mark.parametrize("channels", [1, 3, 5, 8])
def test_no_warp_leaves_every_value(size, channels):
    before = scene(size, channels=channels)
    after = warp(before, **STILL)
    assert np.array_equal(after["img"], before["img"]) and after["img"].dtype == np.float32
    assert np.array_equal(masks_of(after, 6), masks_of(before, 6))
    assert after["ignore"].dtype == bool and after["ignore"].shape == size and not after["ignore"].any()


@pytest.mark.parametrize("size", [32, 33])
@pytest.mark.parametrize("quarters", [-1, 1, 2])
def test_quarter_turns_are_those_of_numpy(size, quarters):
    before = scene((size, size))
    after = warp(before, rotate=(90 * quarters, 90 * quarters), flip=0)
    np.testing.assert_allclose(after["img"], np.rot90(before["img"], quarters), atol=1e-6)
    assert np.array_equal(masks_of(after, 6), np.rot90(masks_of(before, 6), quarters, axes=(1, 2)))
    assert not after["ignore"].any()


def test_a_flip_is_that_of_numpy():
    before = scene()
    after = warp(before, rotate=(0, 0), flip=1)
    assert np.array_equal(after["img"], before["img"][:, ::-1])
    assert np.array_equal(masks_of(after, 6), masks_of(before, 6)[..., ::-1])


@pytest.mark.parametrize("old, new", [((40, 48), (20, 21)), ((41, 47), (20, 21)), ((5, 6), (9, 10))])
def test_a_crop_of_the_middle_copies_whole_pixels(old, new):
    before = scene(old)
    after = warp(before, **STILL, size=new, border=-2.5)
    expected = np.full((*new, 2), -2.5, np.float32)
    y0, x0 = (old[0] - new[0]) // 2, (old[1] - new[1]) // 2
    inside = np.zeros(new, bool)
    inside[max(-y0, 0) : max(-y0, 0) + old[0], max(-x0, 0) : max(-x0, 0) + old[1]] = True
    region = slice(max(y0, 0), y0 + new[0]), slice(max(x0, 0), x0 + new[1])
    expected[inside] = before["img"][region].reshape(-1, 2)
    assert np.array_equal(after["img"], expected)
    assert np.array_equal(after["ignore"], ~inside)
    assert after["img_shape"] == new == after["gt_layers"].shape


def test_scale_by_hand():
    before = scene((3, 3), num=0, channels=1)
    before["img"] = np.float32([[0, 2, 4], [6, 8, 10], [12, 14, 16]])[..., None]
    larger = warp(before, **STILL, scale=(2, 2))  # half a pixel a step around the middle
    assert larger["img"][..., 0].tolist() == [[4, 5, 6], [7, 8, 9], [10, 11, 12]]
    smaller = warp(before, **STILL, scale=(0.5, 0.5))  # positions -1, 1, 3; mirrored: 1, 1, 1
    assert smaller["img"][..., 0].tolist() == [[8, 8, 8]] * 3
    assert smaller["ignore"].tolist() == [[True] * 3, [True, False, True], [True] * 3]


@pytest.mark.parametrize("seed", range(8))
def test_image_and_cells_move_together(seed):
    before = scene((64, 80), num=1, channels=1, radius=12)
    before["rng"] = np.random.default_rng(seed)
    before["img"] = before["gt_layers"].to_masks()[0].astype(np.float32)[..., None]
    after = warp(before, **(ALL | dict(centre="middle")), border=0.0)
    bright, cell = after["img"][..., 0] > 0.5, after["gt_layers"].to_masks().any(0)
    assert cell.sum() > 80
    # linear and nearest sampling cut a straight edge at the same place, a bent one within a pixel
    differ = (bright != cell) & ~after["ignore"]
    neighbours = np.lib.stride_tricks.sliding_window_view(np.pad(cell, 1, mode="edge"), (3, 3))
    inner = neighbours.all((2, 3)) | ~neighbours.any((2, 3))
    assert not (differ & inner).any() and differ.sum() < 0.1 * cell.sum()


@pytest.mark.parametrize("num", [6, 300])
@pytest.mark.parametrize("seed", range(4))
def test_cells_and_ignore_are_nearest_pixels_of_the_map(num, seed):
    before = scene((56, 72), num=num)
    config = ALL | dict(size=(50, 61))
    transform = TRANSFORMS.build(dict(type="RandomWarp", **config))
    xs, ys = transform._map({**before, "rng": np.random.default_rng(seed)})
    after = transform({**before, "rng": np.random.default_rng(seed)})
    x, y = np.rint(xs).astype(int), np.rint(ys).astype(int)
    inside = (x >= 0) & (x < 72) & (y >= 0) & (y < 56)
    assert 0 < inside.sum() and np.array_equal(after["ignore"], ~inside)
    moved = before["gt_layers"].to_masks()[:, y.clip(0, 55), x.clip(0, 71)] & inside
    assert np.array_equal(masks_of(after, num), moved)
    assert after["gt_labels"].tolist() == np.flatnonzero(moved.any((1, 2))).tolist()


def test_a_mirror_shows_pixels_again_but_never_cells():
    before = scene((20, 20), num=3)
    after = warp(before, **STILL, size=(60, 60))
    assert np.array_equal(after["img"], np.pad(before["img"], ((20, 20), (20, 20), (0, 0)), mode="reflect"))
    assert np.array_equal(masks_of(after, 3)[:, 20:40, 20:40], masks_of(before, 3))
    assert not after["gt_layers"].count()[after["ignore"]].any()
    assert (~after["ignore"]).sum() == 400


def test_what_was_ignored_stays_ignored_and_moves():
    before = scene((30, 30))
    before["ignore"] = np.zeros((30, 30), bool)
    before["ignore"][2:9, 3:7] = True
    after = warp(before, rotate=(90, 90), flip=0)
    assert np.array_equal(after["ignore"], np.rot90(before["ignore"]))
    assert before["ignore"].sum() == 28, "the input was written to"


def test_the_draw_alone_decides():
    first, again, other = (
        warp({**scene(), "rng": np.random.default_rng([0, draw])}, **ALL) for draw in (3, 3, 4)
    )
    assert np.array_equal(first["img"], again["img"]) and np.array_equal(first["ignore"], again["ignore"])
    assert np.array_equal(first["gt_layers"].layers, again["gt_layers"].layers)
    assert not np.array_equal(first["img"], other["img"])


def test_elastic_displacements_have_the_stated_size():
    transform = TRANSFORMS.build(
        dict(type="RandomWarp", **STILL, elastic_spacing=1, elastic_magnitude=3.0)  # a node a pixel
    )
    xs, ys = transform._map(scene((200, 150)))
    for moved, still in ((xs, np.arange(150)[None]), (ys, np.arange(200)[:, None])):
        assert abs(np.std(moved - still) - 3) < 0.05 and abs(np.mean(moved - still)) < 0.05
    assert (
        abs(np.corrcoef((xs - np.arange(150)).ravel(), (ys - np.arange(200)[:, None]).ravel())[0, 1]) < 0.02
    )


def test_shift_and_uniform_centre_stay_in_their_range():
    before = scene((30, 40), num=0)
    shift = TRANSFORMS.build(dict(type="RandomWarp", **STILL, shift=4))
    uniform = TRANSFORMS.build(dict(type="RandomWarp", **STILL, size=(1, 1), centre="uniform"))
    rng = np.random.default_rng(0)
    moved = np.array([shift._map({**before, "rng": rng})[0][0, 0] for _ in range(300)])
    assert -4 <= moved.min() < -3.8 and 3.8 < moved.max() <= 4
    centres = np.array([np.ravel(uniform._map({**before, "rng": rng})) for _ in range(600)])
    assert centres.min(0).tolist() == [0, 0] and centres.max(0).tolist() == [39, 29]


def test_a_density_centre_falls_where_the_density_is():
    before = scene((30, 40), num=0)
    before["sampling_density"] = np.zeros((30, 40), np.float32)
    before["sampling_density"][[4, 4, 25], [7, 8, 39]] = 0.25, 0.25, 0.5
    transform = TRANSFORMS.build(dict(type="RandomWarp", **STILL, size=(1, 1), centre="density"))
    rng, found = np.random.default_rng(0), []
    for _ in range(400):
        x, y = transform._map({**before, "rng": rng})
        found.append((int(y[0, 0]), int(x[0, 0])))
    share = {place: found.count(place) / 400 for place in set(found)}
    assert set(share) == {(4, 7), (4, 8), (25, 39)}
    assert abs(share[25, 39] - 0.5) < 0.08 and abs(share[4, 7] - 0.25) < 0.08
    assert "sampling_density" not in transform({**before, "rng": rng})


@pytest.mark.parametrize("size", [(1, 1), (40, 48)])
def test_no_cells_and_no_annotation(size):
    empty = warp(scene(size, num=0), **ALL)
    assert len(empty["gt_layers"]) == 0 and empty["gt_layers"].shape == size == empty["img"].shape[:2]
    bare = scene(size)
    for key in ("gt_layers", "gt_labels", "gt_ignore", "gt_areas"):
        bare.pop(key)
    assert np.array_equal(warp(bare, **ALL)["ignore"], warp(scene(size, num=0), **ALL)["ignore"])


def test_300_overlapping_cells_and_the_least_area():
    before = scene((64, 64), num=300)
    after = warp(before, **ALL, min_area=40)
    areas = after["gt_layers"].areas()
    assert before["gt_layers"].num_layers > 4 and 0 < len(areas) < 300 and areas.min() >= 40
    assert len(after["gt_labels"]) == len(after["gt_ignore"]) == len(after["gt_areas"]) == len(areas)


@pytest.mark.parametrize("size", [(40000, 8), (8, 40000)])
def test_an_image_longer_than_opencv_warps(size):
    before = scene(size, num=2, channels=1, radius=3)
    turned = warp(before, rotate=(180, 180), flip=0)
    np.testing.assert_allclose(turned["img"], before["img"][::-1, ::-1], atol=0.01)  # float32 positions
    assert np.array_equal(masks_of(turned, 2), masks_of(before, 2)[:, ::-1, ::-1])
    before["sampling_density"] = np.zeros(size, np.float32)
    before["sampling_density"][-1, -1] = 1
    crop = warp(before, **STILL, size=(5, 5), centre="density")
    assert np.array_equal(crop["img"][:3, :3], before["img"][-3:, -3:]) and crop["ignore"].sum() == 16


@pytest.mark.parametrize("border", ["mirror", -1.0])
def test_blocks_give_what_the_whole_gives(monkeypatch, border):
    config = ALL | dict(size=(50, 61), scale=(0.2, 0.4), border=border)
    whole = warp(scene(num=20), **config)
    monkeypatch.setattr(warping, "BLOCK", 7)
    blocks = warp(scene(num=20), **config)
    np.testing.assert_allclose(blocks["img"], whole["img"], atol=2e-5)
    assert np.array_equal(blocks["ignore"], whole["ignore"])
    assert np.array_equal(blocks["gt_layers"].layers, whole["gt_layers"].layers)


@pytest.mark.parametrize(
    "add, config, words",
    [
        ({"eval_instances": {}}, {}, "cannot be taken back"),
        ({"gt_points": np.zeros((6, 2))}, {}, "a.tif.*before ReferencePoints"),
        ({"gt_disks": np.zeros((20, 24))}, {}, "a.tif.*before DiskTargets"),
        ({"gt_semantic": {}}, {}, "gt_semantic of a.tif.*before SemanticTargets"),
        ({"gt_proximity": np.zeros((40, 48))}, {}, "gt_proximity of a.tif.*before ProximityMap"),
        ({}, {"centre": "density"}, "needs SamplingDensity"),
        ({"sampling_density": np.zeros((3, 4))}, {"centre": "density"}, r"a.tif is \(3, 4\).*right before"),
    ],
)
def test_a_wrong_place_in_the_pipeline_is_refused(add, config, words):
    with pytest.raises(CellMMError, match=words):
        warp(scene() | add, **config)


@pytest.mark.parametrize(
    "config, words",
    [
        ({"rotate": (10, -10)}, "rotate"),
        ({"scale": (0.05, 1)}, "scale must be \\(lowest, highest\\), at least 0.1"),
        ({"scale": 1.2}, "scale must be"),
        ({"size": (0, 5)}, "size"),
        ({"size": 5}, "size"),
        ({"flip": 2}, "flip"),
        ({"shift": -1}, "shift"),
        ({"elastic_spacing": 0}, "elastic_spacing"),
        ({"centre": "center"}, "'middle', 'uniform' or 'density'"),
        ({"border": "reflect"}, "'mirror' or a number"),
        ({"border": None}, "'mirror' or a number"),
    ],
)
def test_a_wrong_argument_is_refused(config, words):
    with pytest.raises(ValueError, match=words):
        TRANSFORMS.build(dict(type="RandomWarp", **config))
