import json

import numpy as np
import pytest
from pycocotools.coco import COCO

from cellmm.io.coco_results import coco_annotations, write_coco
from cellmm.structures import MaskRuns, rle


def masks_of(*boxes, shape=(10, 12)):
    crops = [np.ones((y1 - y0, x1 - x0), bool) for y0, x0, y1, x1 in boxes]
    return MaskRuns.from_crops(crops, [box[:2] for box in boxes], shape)


def test_annotations_by_hand():
    cells = masks_of((1, 2, 4, 7), (0, 0, 4, 4))
    first, second = coco_annotations(cells, [0.75, 0.25], [3, 7], image_id=2, first_id=5)
    assert {key: first[key] for key in first if key != "segmentation"} == dict(
        id=5, image_id=2, category_id=3, bbox=[2.0, 1.0, 5.0, 3.0], area=15, iscrowd=0, score=0.75
    )
    assert (second["id"], second["category_id"], second["score"]) == (6, 7, 0.25)
    masks = rle.decode([first["segmentation"], second["segmentation"]])
    assert masks.sum((1, 2)).tolist() == [15, 16] and masks.all(0).sum() == 6  # the overlap is in both


def test_written_file_is_read_by_pycocotools(tmp_path):
    path = tmp_path / "out" / "cells.json"
    cells = list(coco_annotations(masks_of((1, 2, 4, 7), (3, 3, 9, 9)), [1, 1], [1, 1]))
    images = [dict(id=1, file_name="a.tif", height=10, width=12)]
    write_coco(path, dict(images=images, annotations=cells, categories=[dict(id=1, name="cell")]))
    assert [file.name for file in path.parent.iterdir()] == ["cells.json"]
    coco = COCO(str(path))
    assert coco.annToMask(coco.anns[2]).sum() == 36


def test_failed_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "cells.json"
    write_coco(path, dict(images=[], annotations=[]))
    with pytest.raises(ValueError, match="JSON compliant"):
        write_coco(path, dict(annotations=[dict(score=float("nan"))]))
    assert json.loads(path.read_text()) == dict(images=[], annotations=[])
    assert len(list(tmp_path.iterdir())) == 1


def test_annotations_of_many_cells_are_made_part_by_part(monkeypatch):
    masks = masks_of(*[(i, i, i + 3, i + 4) for i in range(7)])
    at_once = list(coco_annotations(masks, [1] * 7, [1] * 7))
    monkeypatch.setattr("cellmm.io.coco_results.TOGETHER", 3)
    assert list(coco_annotations(masks, [1] * 7, [1] * 7)) == at_once
    assert [cell["id"] for cell in at_once] == list(range(1, 8))


def test_an_iterator_of_annotations_is_written_one_by_one(tmp_path):
    write_coco(tmp_path / "a.json", dict(images=[], annotations=(dict(id=i) for i in range(3))))
    content = json.loads((tmp_path / "a.json").read_text())
    assert content == dict(images=[], annotations=[dict(id=i) for i in range(3)])
