"""COCO instances json."""

from pathlib import Path

from cellmm.io.annotations.base import ImageAnnotation
from cellmm.io.annotations.collected import CollectedCells
from cellmm.io.annotations.label_image import add_masks
from cellmm.io.coco_index import read_coco_index
from cellmm.io.coco_segmentations import instance_rle
from cellmm.io.json_file import json_keys
from cellmm.registry import ANNOTATION_READERS
from cellmm.structures import MaskRuns

KEYS = {"images", "annotations", "categories"}


@ANNOTATION_READERS.register_module()
class CocoReader:
    """Polygons by pycocotools' rule, and RLEs; an image of several files has the name of its first."""

    title = "COCO json"
    suffixes = (".json",)

    def recognises(self, path: Path) -> bool:
        top, keys = json_keys(path)
        annotations = "annotations" in keys[0] and {"image_id", "category_id"} <= keys[2]
        images = "images" in keys[0] and {"id", "file_name"} <= keys[2]
        return top == "{" and (len(KEYS & keys[0]) > 1 or annotations or images)

    def read(self, path: Path) -> list[ImageAnnotation]:
        index = read_coco_index(path)
        annotations = []
        for image in index["images"]:
            shape, cells = (image["height"], image["width"]), image["instances"]
            found = CollectedCells(path, image["files"][0], shape)
            rles = [instance_rle(cell["segmentation"], shape) for cell in cells]
            add_masks(
                found,
                MaskRuns.from_rles(rles, shape),
                label=[index["categories"][cell["category_id"]] for cell in cells],
                iscrowd=[bool(cell["iscrowd"]) for cell in cells],
                score=[cell.get("score") for cell in cells],
            )
            annotations.append(found.annotation())
        return annotations
