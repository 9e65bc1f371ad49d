import json

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from pycocotools.coco import COCO

from cellmm.errors import CellMMError
from cellmm.io.coco_results import samples_to_coco, write_coco
from cellmm.structures import CellSample, rle


def sample(*cells, shape=(10, 12), labels=None):
    masks = np.zeros((len(cells), *shape), bool)
    for mask, (y0, x0, y1, x1) in zip(masks, cells, strict=True):
        mask[y0:y1, x0:x1] = True
    packed = CellSample(metainfo=dict(ori_shape=shape))
    packed.pred_instances = InstanceData(
        masks=rle.encode(masks),
        scores=torch.linspace(0.75, 0.25, len(cells)),
        labels=torch.tensor(labels if labels is not None else [0] * len(cells), dtype=torch.long),
    )
    return packed


def test_content_by_hand():
    # The second image has no cell, the cells of the third overlap.
    content = samples_to_coco(
        ["a.tif", "sub/b.tif", "c.tif"],
        [sample((1, 2, 4, 7)), sample(shape=(5, 6)), sample((0, 0, 4, 4), (2, 2, 6, 6), labels=[0, 1])],
        classes=("cell", "nucleus"),
    )
    assert content["images"] == [
        dict(id=1, file_name="a.tif", height=10, width=12),
        dict(id=2, file_name="sub/b.tif", height=5, width=6),
        dict(id=3, file_name="c.tif", height=10, width=12),
    ]
    assert content["categories"] == [dict(id=1, name="cell"), dict(id=2, name="nucleus")]
    first, second, third = content["annotations"]
    assert {key: first[key] for key in first if key != "segmentation"} == dict(
        id=1, image_id=1, category_id=1, bbox=[2.0, 1.0, 5.0, 3.0], area=15, iscrowd=0, score=0.75
    )
    assert [cell["id"] for cell in (second, third)] == [2, 3]
    assert [cell["image_id"] for cell in (second, third)] == [3, 3]
    assert (third["category_id"], third["score"]) == (2, 0.25)
    masks = rle.decode([second["segmentation"], third["segmentation"]])
    assert masks.sum((1, 2)).tolist() == [16, 16] and masks.all(0).sum() == 4  # the overlap is in both


def test_written_file_is_read_by_pycocotools(tmp_path):
    path = tmp_path / "out" / "cells.json"
    write_coco(path, samples_to_coco(["a.tif"], [sample((1, 2, 4, 7), (3, 3, 9, 9))]))
    assert [file.name for file in path.parent.iterdir()] == ["cells.json"]
    coco = COCO(str(path))
    assert coco.annToMask(coco.anns[2]).sum() == 36


def test_a_label_without_a_class():
    with pytest.raises(ValueError, match="a.tif: labels 0 to 1 for 1 classes"):
        samples_to_coco(["a.tif"], [sample((0, 0, 1, 1), (0, 0, 1, 1), labels=[0, 1])])


def test_failed_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "cells.json"
    write_coco(path, dict(images=[], annotations=[]))
    with pytest.raises(ValueError, match="JSON compliant"):
        write_coco(path, dict(annotations=[dict(score=float("nan"))]))
    assert json.loads(path.read_text()) == dict(images=[], annotations=[])
    assert len(list(tmp_path.iterdir())) == 1


def test_a_model_of_maps_alone_has_no_cells_to_write():
    maps = CellSample(metainfo=dict(ori_shape=(4, 4)))
    with pytest.raises(CellMMError, match=r"^b\.tif: no pred_instances, the model gives no cells; "):
        samples_to_coco(["a.tif", "b.tif"], [sample((1, 2, 4, 7)), maps])


def test_annotations_of_many_cells_are_made_part_by_part(monkeypatch):
    cells = sample(*[(i, i, i + 3, i + 4) for i in range(7)])
    at_once = samples_to_coco(["a.tif"], [cells])
    monkeypatch.setattr("cellmm.io.coco_results.TOGETHER", 3)
    assert samples_to_coco(["a.tif"], [cells]) == at_once
    assert [cell["id"] for cell in at_once["annotations"]] == list(range(1, 8))


def test_an_iterator_of_annotations_is_written_one_by_one(tmp_path):
    write_coco(tmp_path / "a.json", dict(images=[], annotations=(dict(id=i) for i in range(3))))
    content = json.loads((tmp_path / "a.json").read_text())
    assert content == dict(images=[], annotations=[dict(id=i) for i in range(3)])
