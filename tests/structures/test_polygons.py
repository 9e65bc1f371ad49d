import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from cellmm.io.coco_segmentations import instance_rle
from cellmm.structures import mask_outlines, rle, rle_to_polygons


def shoelace(polygon):
    x, y = np.array(polygon).reshape(-1, 2).T
    return (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2


def filled(polygons, shape):
    """What reading the polygons of a COCO file gives; no polygon is an empty mask."""
    return instance_rle(polygons, shape) if polygons else rle.encode_one(np.zeros(shape, bool))


def rle_of(rows):
    return rle.encode_one(np.array([[char == "#" for char in row] for row in rows]))


@settings(deadline=None, max_examples=300)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_round_trip_is_exact(mask):
    encoded = rle.encode_one(mask)
    polygons = rle_to_polygons(encoded)
    assert filled(polygons, mask.shape) == encoded
    assert sum(map(shoelace, polygons)) == mask.sum()


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_noise_with_many_holes_in_holes_is_exact(share):
    mask = np.random.default_rng(0).random((150, 170)) < share
    encoded = rle.encode_one(mask)
    polygons = rle_to_polygons(encoded)
    assert filled(polygons, mask.shape) == encoded
    assert rle.area(coco_mask.frPyObjects(polygons, *mask.shape)).sum() == mask.sum()  # parts do not overlap
    assert sum(map(shoelace, polygons)) == mask.sum()


def test_square_and_parts_by_hand():
    assert rle_to_polygons(rle_of(["....", ".##.", ".##."])) == [[1, 1, 3, 1, 3, 3, 1, 3]]
    # Pixels that touch at a tip are two parts, so that no outline crosses itself.
    assert rle_to_polygons(rle_of(["#.", ".#"])) == [[0, 0, 1, 0, 1, 1, 0, 1], [1, 1, 2, 1, 2, 2, 1, 2]]
    assert rle_to_polygons(rle_of([".#", "#."])) == [[1, 0, 2, 0, 2, 1, 1, 1], [0, 1, 1, 1, 1, 2, 0, 2]]
    assert rle_to_polygons(rle_of(["..", ".."])) == []


def test_ring_is_one_polygon_with_a_cut():
    ring = rle_of(["###", "#.#", "###"])
    (polygon,) = rle_to_polygons(ring)
    # Along the upper edge to the cut at x = 1, down, round the hole against the clock, up, and on.
    cut = [1, 0, 1, 1, 1, 2, 2, 2, 2, 1, 1, 1, 1, 0]
    assert polygon == [0, 0, *cut, 3, 0, 3, 3, 0, 3]
    assert shoelace(polygon) == 8
    nested = rle_of(["#####", "#...#", "#.#.#", "#...#", "#####"])
    assert len(rle_to_polygons(nested)) == 2
    assert filled(rle_to_polygons(nested), (5, 5)) == nested


def test_livecell_outlines_keep_their_pixels(real_data):
    data = json.loads((real_data("livecell_mini") / "livecell_coco_val.json").read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in data["images"]}
    for annotation in data["annotations"][:200]:
        cell = instance_rle(annotation["segmentation"], sizes[annotation["image_id"]])
        assert rle.area([cell])[0] > 0
        assert filled(rle_to_polygons(cell), cell["size"]) == cell


def area_of(ring):
    return shoelace(ring.ravel())


def check_outlines(mask, raster):
    parts = mask_outlines(mask)
    np.testing.assert_array_equal(raster([ring for part in parts for ring in part], mask.shape), mask)
    count, _ = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    assert len(parts) == count - 1
    for outer, *holes in parts:
        assert area_of(outer) > 0 and all(area_of(hole) < 0 for hole in holes)
        for ring in (outer, *holes):
            assert len(np.unique(ring, axis=0)) == len(ring)  # touches itself nowhere
        own = raster([outer, *holes], mask.shape)
        assert cv2.connectedComponents(own.astype(np.uint8), connectivity=4)[0] == 2  # holes of this part


@settings(deadline=None, max_examples=300)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_outlines_are_exact_and_valid(raster, mask):
    check_outlines(mask, raster)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_outlines_of_noise(share, raster):
    check_outlines(np.random.default_rng(0).random((60, 70)) < share, raster)


def test_an_outline_that_would_touch_itself_becomes_a_hole():
    ((outer, hole),) = mask_outlines(np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]], bool))
    assert outer.tolist() == [[0, 0], [3, 0], [3, 2], [2, 2], [2, 3], [0, 3]]
    assert area_of(hole) == -1 and hole.tolist().count([2, 2]) == 1
