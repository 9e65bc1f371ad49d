"""Polygons are filled as pycocotools does."""

import json

import numpy as np
from pycocotools import mask as coco_mask

from cellmm.io.coco_segmentations import instance_rle
from cellmm.structures import rle


def test_polygons_are_filled_as_coco_does():
    # the union of two squares that overlap by one pixel; the second reaches beyond the image
    union = instance_rle([[0, 0, 2, 0, 2, 2, 0, 2], [1, 1, 5, 1, 5, 5, 1, 5]], (3, 4))
    np.testing.assert_array_equal(rle.decode([union])[0], [[1, 1, 0, 0], [1, 1, 1, 1], [0, 1, 1, 1]])
    triangle = [[0.5, 0.5, 8.5, 1.5, 3.0, 7.25]]
    theirs = coco_mask.frPyObjects(triangle, 9, 9)[0]
    assert instance_rle(triangle, (9, 9)) == {"size": [9, 9], "counts": theirs["counts"].decode()}


def test_livecell_outlines_have_pixels(real_data):
    data = json.loads((real_data("livecell_mini") / "livecell_coco_val.json").read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in data["images"]}
    for annotation in data["annotations"][:200]:
        mask = instance_rle(annotation["segmentation"], sizes[annotation["image_id"]])
        assert rle.area([mask])[0] > 0
