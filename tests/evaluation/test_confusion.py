"""The confusion matrix: by hand, against another way to count, and in the files of the metric."""

import json

import numpy as np
import pytest
from mmengine.structures import InstanceData

from cellmm.evaluation import CellCocoMetric
from cellmm.evaluation.functional import confusion_matrix
from cellmm.io.images import read_image
from cellmm.structures import CellSample, rle


def strips(*spans: tuple[int, int]) -> list[dict]:
    masks = np.zeros((len(spans), 1, 60), bool)
    for mask, (start, stop) in zip(masks, spans, strict=True):
        mask[0, start:stop] = True
    return rle.encode(masks)


def matrix(pred, labels, cells, gt_labels, **options) -> list[list[int]]:
    arrays = np.array(labels, np.int64), np.array(gt_labels, np.int64)
    return confusion_matrix(
        strips(*pred), arrays[0], strips(*cells), arrays[1], num_classes=2, **options
    ).tolist()


def test_by_hand():
    cells = [(0, 10), (10, 20), (20, 30), (30, 40)]
    # right; the wrong class; nothing; two on a cell, of which the closer one counts; one on no cell
    pred = [(0, 10), (10, 20), (30, 38), (30, 40), (50, 60)]
    assert matrix(pred, [0, 0, 0, 1, 1], cells, [0, 1, 0, 1]) == [[1, 0, 1], [1, 1, 0], [1, 1, 0]]


def test_empty_images_and_an_iou_of_half():
    assert matrix([], [], [], []) == [[0] * 3] * 3
    assert matrix([], [], [(0, 5)], [1]) == [[0, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert matrix([(0, 5)], [0], [], []) == [[0, 0, 0], [0, 0, 0], [1, 0, 0]]
    assert matrix([(0, 5)], [0], [(0, 10)], [0])[0][0] == 1  # exactly half
    assert matrix([(0, 4)], [0], [(0, 10)], [0]) == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]


def test_crowd_regions_are_not_to_be_found():
    crowd = np.array([True, False])
    table = matrix([(0, 5), (20, 30)], [1, 0], [(0, 10), (20, 30)], [0, 0], gt_crowd=crowd)
    assert table == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_sums_are_the_numbers_of_cells_and_predictions():
    rng = np.random.default_rng(0)
    for _ in range(50):
        starts, others = rng.integers(0, 50, (2, 8))
        labels, gt_labels = rng.integers(0, 2, (2, 8))
        table = np.array(
            matrix(
                [(s, s + 8) for s in starts], labels, [(s, s + rng.integers(5, 9)) for s in others], gt_labels
            )
        )
        assert table[:2].sum(1).tolist() == np.bincount(gt_labels, minlength=2).tolist()
        assert table[:, :2].sum(0).tolist() == np.bincount(labels, minlength=2).tolist()
        assert table[2, 2] == 0


def sample(img_id: int, label: int) -> dict:
    masks, scores = strips((0, 10), (20, 30)), np.array([0.9, 0.2])
    sample = CellSample(metainfo=dict(img_id=img_id, img_path=f"{img_id}.tif", ori_shape=(1, 60)))
    sample.eval_instances = InstanceData(
        masks=masks, labels=np.array([0, 1]), ignore=np.zeros(2, bool), areas=np.full(2, np.nan)
    )
    sample.pred_instances = InstanceData(masks=masks, labels=np.array([label, 1]), scores=scores)
    return sample.to_dict()


@pytest.mark.parametrize("classes", [("round", "l\u00f6ng $x_1$"), ("cell",)])
def test_files_of_the_metric(classes, tmp_path):
    metric = CellCocoMetric(outfile_prefix=str(tmp_path / "results"))
    metric.dataset_meta = dict(classes=classes)
    if len(classes) == 1:
        one = sample(1, 0)
        one["eval_instances"]["labels"][:] = one["pred_instances"]["labels"][:] = 0
        metric.process(None, [one])
        metric.evaluate(1)
        assert not list(tmp_path.glob("*confusion*"))
        return
    metric.process(None, [sample(1, 0), sample(2, 1)])
    numbers = metric.evaluate(2)
    assert {f"AP/{name}" for name in classes} <= set(numbers)
    found = json.loads((tmp_path / "results.confusion.json").read_text())
    assert found["rows"] == [*classes, "background"] and found["iou"] == 0.5 and found["score_thr"] == 0.3
    # the second cell of each image is found with too low a score
    assert found["matrix"] == [[1, 1, 0], [0, 0, 2], [0, 0, 0]]
    assert read_image(tmp_path / "results.confusion.png").shape[2] in (3, 4)
