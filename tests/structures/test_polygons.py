import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from cellmm.errors import CellMMError
from cellmm.structures import polygons_to_rle, rle, rle_to_polygons


def shoelace(polygon):
    x, y = np.array(polygon).reshape(-1, 2).T
    return (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2


def rle_of(rows):
    return rle.encode_one(np.array([[char == "#" for char in row] for row in rows]))


@settings(deadline=None, max_examples=300)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_round_trip_is_exact(mask):
    one = rle.encode_one(mask)
    polygons = rle_to_polygons(one)
    assert polygons_to_rle(polygons, *mask.shape) == one
    assert sum(map(shoelace, polygons)) == mask.sum()


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_noise_with_many_holes_in_holes_is_exact(share):
    mask = np.random.default_rng(0).random((150, 170)) < share
    one = rle.encode_one(mask)
    polygons = rle_to_polygons(one)
    assert polygons_to_rle(polygons, *mask.shape) == one
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
    assert polygons_to_rle(rle_to_polygons(nested), 5, 5) == nested


def test_other_polygons_are_rastered_as_coco_does():
    # The union of two squares that overlap by 1 pixel, one of them beyond the image.
    union = polygons_to_rle([[0, 0, 2, 0, 2, 2, 0, 2], [1, 1, 5, 1, 5, 5, 1, 5]], 3, 4)
    np.testing.assert_array_equal(rle.decode([union])[0], [[1, 1, 0, 0], [1, 1, 1, 1], [0, 1, 1, 1]])
    assert rle.area([polygons_to_rle([], 3, 4)]).tolist() == [0]
    triangle = [[0.5, 0.5, 8.5, 1.5, 3.0, 7.25]]
    theirs = coco_mask.frPyObjects(triangle, 9, 9)[0]
    assert polygons_to_rle(triangle, 9, 9)["counts"] == theirs["counts"].decode()


@pytest.mark.parametrize(
    ("polygon", "message"),
    [
        ([0, 0, 1, 1], "at least 3 points"),
        ([0, 0, 1, 1, 2, 2, 3], "at least 3 points"),
        ([[0, 0], [1, 1], [2, 0]], "at least 3 points"),
        ([0, 0, 2e8, 1, 2, 2], "polygon 1 of 2 reaches"),
        ([0, 0, float("nan"), 1, 2, 2], "polygon 1 of 2 reaches"),
    ],
)
def test_what_is_no_polygon_is_an_error(polygon, message):
    with pytest.raises(CellMMError, match=message):
        polygons_to_rle([[0, 0, 1, 0, 1, 1], polygon], 4, 4)


def test_livecell_outlines_keep_their_pixels(real_data):
    data = json.loads((real_data("livecell_mini") / "livecell_coco_val.json").read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in data["images"]}
    for annotation in data["annotations"][:200]:
        one = polygons_to_rle(annotation["segmentation"], *sizes[annotation["image_id"]])
        assert rle.area([one])[0] > 0
        assert polygons_to_rle(rle_to_polygons(one), *one["size"]) == one
