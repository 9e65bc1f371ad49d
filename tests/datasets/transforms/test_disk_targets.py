"""DiskTargets: by hand, against a plain way object by object, and disks that never touch."""

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label

from cellmm.datasets.transforms.disk_targets import DiskTargets, any_in_block, disk_offsets, radius_limits
from cellmm.datasets.transforms.reference_points import ReferencePoints
from cellmm.errors import CellMMError
from cellmm.structures import LabelLayers


@pytest.fixture(scope="module")
def plain(load_tool):
    return load_tool("benchmarks/disk_targets")


def at(points, shape=(40, 60), stride=1, **config):
    """Targets of cells without extent, whose points are given: ``results``."""
    points = np.array(points, np.float32).reshape(-1, 2)
    layers = LabelLayers(np.zeros((1, *shape), np.int32), num=len(points))
    results = DiskTargets(**config)(dict(gt_layers=layers, gt_points=points, target_stride=stride))
    grid = tuple(-(-n // stride) for n in shape)
    assert results["gt_disks"].shape == results["gt_disk_weight"].shape == grid
    assert results["gt_disks"].dtype == np.int32 and results["gt_disk_weight"].dtype == np.float32
    return results


def areas(results):
    return np.bincount(results["gt_disks"].ravel())[1:].tolist()


def test_disks_are_those_of_strel():
    cross = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    diamond = [[0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [1, 1, 1, 1, 1], [0, 1, 1, 1, 0], [0, 0, 1, 0, 0]]
    np.testing.assert_array_equal(at([(1, 1)], (3, 3), radius=1)["gt_disks"], cross)
    np.testing.assert_array_equal(at([(2, 2)], (5, 5), radius=2)["gt_disks"], diamond)
    assert disk_offsets(6)[1].tolist() == [1, 5, 13, 29, 49, 81, 113]


def test_radii_and_weights_by_hand():
    """Radius 2 in one row: 2 + 2 + 1 apart they touch, 6 apart one pixel is between, 4 apart r = 1."""
    results = at([(5, 5), (5, 11), (5, 20), (5, 24), (25, 30)], radius=2, between_weight=0, disk_weight=3)
    assert areas(results) == [13, 13, 5, 5, 13]
    weight = results["gt_disk_weight"]
    assert [weight[5, 5], weight[5, 20], weight[5, 24], weight[25, 30]] == [3, 6, 6, 3]
    assert (weight[results["gt_disks"] == 0] == 1).all()
    assert areas(at([(5, 5), (5, 10)], radius=2)) == [5, 5]
    assert areas(at([(5, 5), (5, 7)], radius=2)) == [1, 1]
    assert results["num_lost_disks"] == 0
    flat = at([(5, 20), (5, 24)], radius=2, between_weight=0, disk_weight=3, size_weight=False)
    assert set(np.unique(flat["gt_disk_weight"])) == {1, 3}


def test_weights_of_figure_5():
    """Radius 5: weight 1 far away, 4 at radius 2, 5 at radius 1."""
    results = at([(10, 10), (30, 10), (30, 16), (30, 40), (30, 44)], radius=5, between_weight=0)
    assert areas(results) == [81, 13, 13, 5, 5]
    assert results["gt_disk_weight"][[10, 30, 30], [10, 10, 40]].tolist() == [1, 4, 5]


def test_weight_between_by_hand():
    """Disks of radius 1 at x = 10 and 18, x = 12 to 16 between them: 5 pixels, at most 2 x 3."""
    config = dict(radius=1, between_weight=10)
    weight = at([(5, 10), (5, 18)], between_reach=3, **config)["gt_disk_weight"]
    assert weight[5].tolist() == [1.0] * 12 + [11.0] * 5 + [1.0] * 43
    assert weight.sum() == weight.size + 10 * 5  # rows 4 and 6 have 7 pixels between
    assert (at([(5, 10), (5, 18)], between_reach=2, **config)["gt_disk_weight"] == 1).all()
    assert (at([(1, 2)], between_reach=6, **config)["gt_disk_weight"] == 1).all(), "the border is no disk"


@pytest.mark.parametrize("radius", range(9))
def test_nothing_is_between_one_disk(radius):
    results = at([(20, 30)], radius=radius, between_reach=7)
    assert (results["gt_disk_weight"] == 1).all()


def test_points_on_the_grid():
    """stride 2: pixel 3.5 is the edge of blocks 1 and 2 and goes to the second; 19.49 is in block 9."""
    disks = at([(3.49, 3.5), (19.49, 0)], (21, 9), stride=2, radius=0)["gt_disks"]
    assert disks.shape == (11, 5)
    np.testing.assert_array_equal(np.argwhere(disks == 1), [[1, 2]])
    np.testing.assert_array_equal(np.argwhere(disks == 2), [[9, 0]])


def test_a_disk_is_lost_where_points_fall_together(monkeypatch):
    messages = []
    monkeypatch.setattr(
        f"{DiskTargets.__module__}.print_log", lambda text, **kw: messages.append((text, kw["level"]))
    )
    points = [(5, 5), (5, 5), (6, 6), (7, 7), (20, 20)]  # 1 and 2 are too near to 0; 3 is too near to 2 only
    given_points = np.array(points, np.float32)
    layers = LabelLayers(np.zeros((1, 30, 30), np.int32), num=5)
    transform = DiskTargets(radius=2)
    for _ in range(2):
        results = transform(dict(gt_layers=layers, gt_points=given_points, img_path="a.tif"))
    assert areas(results) == [1, 0, 0, 1, 13]
    assert results["num_lost_disks"] == 2
    assert np.isnan(results["gt_points"]).all(1).tolist() == [False, True, True, False, False]
    assert not np.isnan(given_points).any()
    assert len(messages) == 1 and messages[0][1] == logging.WARNING
    assert "a.tif: 2 cells get no disk" in messages[0][0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 47), st.integers(0, 39)), max_size=40), st.integers(0, 6))
def test_disks_never_touch(points, radius):
    results = at(points, (48, 40), radius=radius)
    disks = results["gt_disks"]
    ids = np.unique(disks[disks > 0])
    components, num = label(disks > 0, connectivity=2, return_num=True)
    assert num == len(ids) == len(points) - results["num_lost_disks"]
    assert len(set(zip(components[disks > 0], disks[disks > 0], strict=True))) == num
    kept = np.flatnonzero(~np.isnan(results["gt_points"][:, 0])) if len(points) else []
    assert (ids == np.asarray(kept) + 1).all()


def test_radii_are_the_largest_that_do_not_touch(plain):
    limits = radius_limits(4)
    assert limits.shape == (11, 11) and limits.max() == 4
    for apart, r in np.ndenumerate(limits):
        assert r < 0 or not plain.touch(np.array(apart), r)
        assert r == 4 or plain.touch(np.array(apart), r + 1)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("num", [0, 1, 40, 300])
def test_equal_to_the_plain_way(plain, stride, num):
    masks, ignore = plain.scene(num, size=151, seed=num + stride)
    layers = LabelLayers.from_masks(masks, ignore.shape)
    results = ReferencePoints(stride=stride)(dict(gt_layers=layers, ignore=ignore))
    points = results["gt_points"].copy()
    results = DiskTargets()(results)
    disks, weight = plain.plain_disks(masks, points, stride=stride, ignore=ignore)
    np.testing.assert_array_equal(results["gt_disks"], disks)
    np.testing.assert_allclose(results["gt_disk_weight"], weight, rtol=1e-6)
    assert results["num_lost_disks"] == (~np.isnan(points[:, 0])).sum() - len(np.unique(disks)) + 1


def cut_scene():
    """Cell 1 is cut by the top edge; the point of cell 2 lies on it; cell 3 is free."""
    masks = np.zeros((3, 21, 30), bool)
    masks[0, :12, 5:15] = True
    masks[1, 6:15, 6:13] = True
    masks[2, 10:19, 20:28] = True
    return dict(gt_layers=LabelLayers.from_masks(masks)), masks


def test_ignored_pixels_and_cut_cells_weigh_nothing():
    results, masks = cut_scene()
    results["ignore"] = np.zeros((21, 30), bool)
    results["ignore"][:, 29] = True
    results = DiskTargets(radius=2, between_weight=0)(ReferencePoints()(results))
    disks, weight = results["gt_disks"], results["gt_disk_weight"]
    assert areas(results) == [0, 13, 13]
    assert (disks[masks[0]] == 2).any()
    expected = np.where((masks[0] & (disks == 0)) | results["ignore"], 0, 1)
    np.testing.assert_array_equal(weight, expected)
    assert weight[8, 9] == 1 and weight[2, 9] == 0


def test_a_block_is_ignored_if_any_of_its_pixels_is():
    results, masks = cut_scene()
    ignore = np.zeros((21, 30), bool)
    ignore[20, 1] = ignore[14, 24] = True
    results["gt_points"] = np.array([[np.nan, np.nan], [10, 9], [14, 24]], np.float32)
    results = DiskTargets(radius=1, between_weight=0)({**results, "ignore": ignore, "target_stride": 2})
    weight = results["gt_disk_weight"]
    assert results["gt_disks"][7, 12] == 3 and weight[7, 12] == 0 and weight[7, 11] == 1
    assert weight[10, 0] == 0 and weight[10, 1] == 1
    # blocks in rows 0 to 5, columns 2 to 7 have a pixel of the cut cell; the disk of cell 2 lies over some
    gone = np.zeros((11, 15), bool)
    gone[:6, 2:8] = True
    gone |= any_in_block(ignore, 2)
    np.testing.assert_array_equal(weight == 0, gone & (results["gt_disks"] != 2))
    np.testing.assert_array_equal(any_in_block(np.eye(3, dtype=bool), 2), np.eye(2, dtype=bool))


def test_balance():
    """400 pixels, 5 in the disk of radius 1, one of them ignored, and 99 of the background."""
    layers = LabelLayers(np.zeros((1, 20, 20), np.int32), num=1)
    ignore = np.zeros((20, 20), bool)
    ignore[:5] = True
    results = dict(gt_layers=layers, gt_points=np.array([[5, 5]], np.float32), ignore=ignore)
    weight = DiskTargets(radius=1, disk_weight="balance")(dict(results))["gt_disk_weight"]
    assert weight[5, 5] == 296 / 4 and weight[10, 10] == 1 and weight[4, 5] == 0
    bounded = DiskTargets(radius=1, disk_weight="balance", balance_range=(2, 20))(dict(results))
    assert bounded["gt_disk_weight"][5, 5] == 20
    all_ignored = DiskTargets(disk_weight="balance")({**results, "ignore": np.ones((20, 20), bool)})
    assert (all_ignored["gt_disk_weight"] == 0).all()


def test_no_cells_and_one_pixel():
    for shape in ((1, 1), (5, 7)):
        results = at([], shape, disk_weight="balance", stride=2)
        assert (results["gt_disks"] == 0).all() and (results["gt_disk_weight"] == 1).all()
    results = at([(0, 0)], (1, 1))
    assert results["gt_disks"].tolist() == [[1]] and results["gt_disk_weight"].tolist() == [[1]]
    results = at([(np.nan, np.nan)], (3, 3))
    assert (results["gt_disks"] == 0).all() and results["num_lost_disks"] == 0


def test_more_than_254_cells():
    points = [(y, x) for y in range(0, 100, 5) for x in range(0, 100, 5)]
    results = at(points, (100, 100), radius=6)
    assert len(points) > 254 and results["num_lost_disks"] == 0
    assert [results["gt_disks"][point] for point in points] == list(range(1, 401))


def test_wrong_values_and_order():
    layers = LabelLayers.empty(4, 4)
    with pytest.raises(CellMMError, match="put ReferencePoints before it"):
        DiskTargets()(dict(gt_layers=layers))
    with pytest.raises(CellMMError, match="2 gt_points of 0 cells"):
        DiskTargets()(dict(gt_layers=layers, gt_points=np.zeros((2, 2), np.float32)))
    wrong = (
        (dict(radius=1.5), "radius is 1.5"),
        (dict(disk_weight="equal"), "'equal'"),
        (dict(disk_weight=0), "above 0"),
        (dict(between_reach=-1), "between_reach -1"),
        (dict(balance_range=(2, 1)), "balance_range"),
    )
    for config, message in wrong:
        with pytest.raises(ValueError, match=message):
            DiskTargets(**config)
