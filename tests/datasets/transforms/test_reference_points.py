"""ReferencePoints: by hand, against a plain way object by object, and what moves where points are near."""

import numpy as np
import pytest

from cellmm.datasets.transforms.reference_points import ReferencePoints, cut_cells
from cellmm.structures import LabelLayers

KINDS = ("centroid", "inside", "medial")


@pytest.fixture(scope="module")
def plain(load_tool):
    return load_tool("benchmarks/disk_targets")


def boxes(shape, *parts):
    """Cells that are boxes (y0, x0, y1, x1), ends excluded; a list of boxes is one cell."""
    masks = np.zeros((len(parts), *shape), bool)
    for mask, cell in zip(masks, parts, strict=True):
        for y0, x0, y1, x1 in cell if isinstance(cell, list) else [cell]:
            mask[y0:y1, x0:x1] = True
    return masks


def find(masks, ignore=None, gt_ignore=None, **config):
    results = dict(gt_layers=LabelLayers.from_masks(masks, masks.shape[1:]))
    if ignore is not None:
        results["ignore"] = ignore
    if gt_ignore is not None:
        results["gt_ignore"] = np.array(gt_ignore)
    points = ReferencePoints(**config)(results)["gt_points"]
    assert points.dtype == np.float32 and points.shape == (len(masks), 2)
    return points


U_SHAPE = [(2, 2, 10, 4), (8, 4, 10, 8), (2, 8, 10, 10)]  # two arms of 2x8 pixels and a bottom of 2x4


def test_by_hand():
    """A U of 40 pixels: mean row (32 * 5.5 + 8 * 8.5) / 40; the box's is between four pixels."""
    masks = boxes((14, 24), U_SHAPE, (3, 14, 5, 20))
    np.testing.assert_allclose(find(masks), [[6.1, 5.5], [3.5, 16.5]], rtol=1e-6)
    # the nearest pixels to (6.1, 5.5) are (6, 3) at 2.502 and (8, 5) at 1.965; ties go to the first pixel
    np.testing.assert_array_equal(find(masks, kind="inside"), [[8, 5], [3, 16]])
    # ends (2, 2) and (2, 9), the middle of the way between is the middle of the bottom
    points = find(masks, kind="medial")
    assert points[0, 0] in (8, 9) and points[0, 1] in (5, 6)
    assert points[1, 0] in (3, 4) and points[1, 1] in (16, 17)


def test_medial_of_a_line_and_of_the_largest_piece():
    masks = boxes((9, 20), (2, 3, 3, 14), [(5, 1, 6, 4), (5, 6, 6, 15), (7, 18, 8, 19)])
    np.testing.assert_array_equal(find(masks, kind="medial"), [[2, 8], [5, 10]])
    # the pieces together: (1 + 2 + 3 + 6 + ... + 14 + 18) / 13 and (12 * 5 + 7) / 13
    np.testing.assert_allclose(find(masks)[1], [67 / 13, 114 / 13], rtol=1e-6)


def test_medial_is_the_middle_of_the_width():
    masks = boxes((30, 60), (10, 5, 15, 54))
    np.testing.assert_allclose(find(masks, kind="medial"), [[12, 29]], atol=1)


@pytest.mark.parametrize("kind", KINDS)
def test_one_pixel_cells(kind):
    np.testing.assert_array_equal(
        find(boxes((7, 8), (2, 3, 3, 4), (5, 6, 6, 7)), kind=kind), [[2, 3], [5, 6]]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_no_cells_and_one_pixel(kind):
    assert find(np.zeros((0, 1, 1), bool), kind=kind).shape == (0, 2)
    pixel = np.ones((1, 1, 1), bool)
    assert np.isnan(find(pixel, kind=kind)).all()
    np.testing.assert_array_equal(find(pixel, kind=kind, border=0), [[0, 0]])
    assert np.isnan(find(np.zeros((1, 5, 5), bool), kind=kind, stride=2, border=0)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_cut_cells_have_no_point(kind):
    """On the edge, one pixel from it, and next to an ignored pixel, corners included."""
    ignore = np.zeros((20, 20), bool)
    ignore[15:, 15:] = True
    masks = boxes((20, 20), (0, 5, 3, 7), (1, 10, 3, 12), (12, 12, 15, 15), (10, 10, 14, 14), (4, 17, 6, 20))
    assert np.isnan(find(masks, kind=kind)[:, 0]).tolist() == [True, False, False, False, True]
    assert np.isnan(find(masks, ignore, kind=kind)[:, 0]).tolist() == [True, False, True, False, True]
    assert np.isnan(find(masks, kind=kind, border=2)[:, 1]).tolist() == [True, True, False, False, True]
    crowd = [False, True, False, False, False]
    assert np.isnan(find(masks, gt_ignore=crowd, kind=kind, border=0)[:, 0]).tolist() == crowd
    assert cut_cells(LabelLayers.from_masks(masks), border=100).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("num", [1, 30])
def test_equal_to_the_plain_way(plain, kind, stride, num):
    masks, ignore = plain.scene(num, size=150, seed=num + stride)
    expected = plain.plain_points(masks, kind=kind, stride=stride, ignore=ignore)
    np.testing.assert_array_equal(find(masks, ignore, kind=kind, stride=stride), expected)


def test_more_than_254_cells():
    parts = [(y, x, y + 3, x + 3) for y in range(1, 96, 4) for x in range(1, 76, 4)]
    masks = boxes((98, 80), *parts)
    assert len(masks) > 254
    for kind in KINDS:
        points = find(masks, kind=kind)
        assert (points >= np.array(parts)[:, :2]).all() and (points < np.array(parts)[:, 2:]).all()


def test_cells_between_the_sampled_pixels_are_not_lost():
    """At stride 2 rows and columns 0, 2, ... are looked at."""
    masks = boxes((9, 12), (3, 3, 4, 4), (4, 6, 5, 11), (5, 1, 6, 10))
    for kind in KINDS:
        np.testing.assert_array_equal(find(masks, kind=kind, stride=2), [[3, 3], [4, 8], [5, 5]])


def bars(length=81):
    """A horizontal and a vertical bar, 5 px wide, whose middles are one pixel, and one far from both."""
    half = length // 2
    return boxes(
        (100, 220), (48, 50 - half, 53, 51 + half), (50 - half, 48, 51 + half, 53), (48, 120, 53, 201)
    )


def test_crossing_bars_move_along_their_axes():
    fixed = find(bars(), kind="medial")
    np.testing.assert_allclose(fixed, [[50, 50], [50, 50], [50, 160]], atol=1)
    moved = find(bars(), kind="medial", min_distance=10)
    # a step of .05 is 4 px: the first goes three steps of 4 along x, and the second then only has to leave
    # the 5 pixels that both share, one step along y, where it is 12.6 from the first
    assert abs(moved[0, 0] - 50) <= 1 and abs(abs(moved[0, 1] - 50) - 12) <= 1
    assert abs(moved[1, 1] - 50) <= 1 and abs(abs(moved[1, 0] - 50) - 4) <= 1
    assert np.linalg.norm(moved[0] - moved[1]) >= 10
    np.testing.assert_array_equal(moved[2], fixed[2])
    np.testing.assert_array_equal(moved, find(bars(), kind="medial", min_distance=10))
    sampled = find(bars(), kind="medial", min_distance=10, stride=2)
    np.testing.assert_allclose(sampled, moved, atol=2)


def test_where_nothing_fits_the_farthest_place_is_taken():
    """reach .25 of 80 px: 20 px from the middle at most."""
    moved = find(bars(), kind="medial", min_distance=50)
    assert abs(abs(moved[0, 1] - 50) - 20) <= 1
    assert abs(abs(moved[1, 0] - 50) - 20) <= 1
    small = find(bars(), kind="medial", min_distance=50, reach=0.1)
    assert abs(abs(small[0, 1] - 50) - 8) <= 1
    np.testing.assert_array_equal(
        find(bars(), kind="medial", min_distance=50, reach=0), find(bars(), kind="medial")
    )


def test_a_point_leaves_the_overlap_with_a_cut_cell():
    masks = boxes((60, 100), (28, 10, 33, 91), (0, 47, 40, 54))
    moved = find(masks, kind="medial", min_distance=1)
    assert np.isnan(moved[1]).all()
    assert abs(moved[0, 0] - 30) <= 1 and abs(abs(moved[0, 1] - 50) - 4) <= 1
    assert not masks[1][tuple(moved[0].astype(int))]


def test_cells_in_one_place_stay_inside():
    masks = boxes((40, 60), *[(18, 10, 23, 51)] * 3)
    points = find(masks, kind="medial", min_distance=8).astype(int)
    assert masks[0][tuple(points.T)].all()
    assert len(np.unique(points, axis=0)) == 3


def test_wrong_values():
    with pytest.raises(ValueError, match="'middle': one of"):
        ReferencePoints(kind="middle")
    with pytest.raises(ValueError, match="kind 'medial' only, not 'centroid'"):
        ReferencePoints(min_distance=3)
    for wrong in (dict(stride=0), dict(step=0), dict(border=-1), dict(min_distance=-1), dict(reach=0.6)):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ReferencePoints(**wrong)


def test_only_neighbours_move_a_point():
    """Cells far away change nothing, so that none has to be asked."""
    masks_ids = np.zeros((1, 300, 300), np.int32)
    for i in range(400):
        y, x = 15 * (i // 20) + 2, 15 * (i % 20) + 2
        masks_ids[0, y : y + 3, x : x + 13] = i + 1
    find = ReferencePoints(kind="medial", min_distance=16.0)
    every = find(dict(gt_layers=LabelLayers(masks_ids)))["gt_points"]
    part = masks_ids[:, :120, :120].copy()  # the first eight of the first eight rows, whole
    few = find(dict(gt_layers=LabelLayers(np.unique(part, return_inverse=True)[1].reshape(part.shape))))
    assert np.array_equal(every[[0, 1]], few["gt_points"][[0, 1]])
