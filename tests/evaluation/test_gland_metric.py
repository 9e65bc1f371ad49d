"""GlandMetric: parts, BCE, crowd regions, thresholds, its file, errors."""

import csv
import math

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData

from cellmm.errors import CellMMError
from cellmm.evaluation import functional as F
from cellmm.registry import METRICS
from cellmm.structures import CellSample, MaskRuns
from cellmm.structures import rle as rle_ops

SHAPE = (10, 20)


def box(y0, x0, y1, x1):
    mask = np.zeros(SHAPE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def rles(masks):
    return rle_ops.encode(np.array(masks, bool).reshape(-1, *SHAPE))


def sample(img_id, cells, found, *, name="train_1.bmp", scores=None, ignore=None, probs=None):
    packed = CellSample(metainfo=dict(img_id=img_id, img_path=f"folder/{name}", ori_shape=SHAPE))
    packed.eval_instances = InstanceData(
        masks=rles(cells),
        labels=np.zeros(len(cells), np.int64),
        ignore=np.array([False] * len(cells) if ignore is None else ignore, bool),
        areas=np.full(len(cells), math.nan),
    )
    packed.pred_instances = InstanceData(
        masks=rles(found),
        labels=torch.zeros(len(found), dtype=torch.int64),
        scores=torch.tensor([0.9] * len(found) if scores is None else scores),
    )
    if probs is not None:
        packed.pred_semantic = BaseDataElement(cytoplasm=torch.from_numpy(probs.astype(np.float32)))
    return packed.to_dict()


def run(*samples, **kwargs):
    metric = METRICS.build(dict(type="GlandMetric", **kwargs))
    metric.process(None, samples)
    numbers = metric.evaluate(len(samples))
    assert sorted(numbers) == sorted(metric.metric_keys)
    return numbers


def test_parts_are_scored_apart():
    good, bad = [box(0, 0, 5, 5)], [box(0, 0, 5, 1)]
    numbers = run(
        sample(1, good, good, name="testA_1.bmp"),
        sample(2, good, bad, name="testA_2.bmp"),
        sample(3, good, bad, name="testB_1.bmp"),
        parts=dict(A="testA_*", B="testB_*"),
    )
    assert numbers["A/F1"] == pytest.approx(0.5) and numbers["B/F1"] == 0
    first = F.match_glands(*(MaskRuns.from_rles(rles(good), SHAPE),) * 2)
    second = F.match_glands(MaskRuns.from_rles(rles(bad), SHAPE), MaskRuns.from_rles(rles(good), SHAPE))
    expected = F.gland_scores([first, second])
    assert numbers["A/object_dice"] == expected["object_dice"]
    assert numbers["B/object_hausdorff"] == 4


def test_bce_of_the_map_and_of_the_masks():
    probs = np.where(box(0, 0, 5, 4), 0.8, 0.1)
    numbers = run(sample(1, [box(0, 0, 5, 4)], [box(0, 0, 5, 2)], probs=probs), target="cytoplasm")
    share = 20 / 200
    assert numbers["BCE"] == pytest.approx(-(share * math.log(0.8) + (1 - share) * math.log(0.9)), rel=1e-5)
    assert numbers["BCE_binary"] == pytest.approx(100 * 10 / 200)  # 10 of 200 pixels are wrong


def test_only_confident_predictions_count():
    cells = [box(0, 0, 5, 5)]
    assert run(sample(1, cells, [*cells, box(6, 6, 9, 9)], scores=[0.9, 0.4]))["F1"] == 1
    assert run(sample(1, cells, cells, scores=[0.4]))["F1"] == 0
    assert run(sample(1, cells, cells, scores=[0.4]), score_thr=0.4000)["F1"] == 1


def test_crowd_regions_are_neither_to_be_found_nor_wrong():
    cells, crowd = [box(0, 0, 5, 5)], box(0, 10, 10, 20)
    numbers = run(sample(1, [*cells, crowd], [*cells, box(0, 9, 4, 15)], ignore=[False, True]))
    assert numbers["F1"] == 1 and numbers["count_ratio"] == 1 and numbers["BCE_binary"] == 0
    outside = run(sample(1, [*cells, crowd], [*cells, box(0, 6, 4, 11)], ignore=[False, True]))
    assert outside["F1"] == pytest.approx(2 / 3) and outside["BCE_binary"] > 0


def test_an_image_that_is_all_crowd_has_no_bce():
    whole = sample(1, [box(0, 0, *SHAPE)], [], ignore=[True])
    assert all(math.isnan(value) for value in run(whole).values())
    cells = [box(0, 0, 5, 5)]
    assert run(whole, sample(2, cells, cells))["BCE_binary"] == 0


def test_the_scores_of_each_image_are_written(tmp_path):
    cells = [box(0, 0, 5, 5)]
    run(sample(1, cells, cells), sample(2, [], []), outfile_prefix=str(tmp_path / "out"))
    rows = list(csv.DictReader((tmp_path / "out.glands.csv").open()))
    assert [row["F1"] for row in rows] == ["1.000000", ""]
    assert [(row["cells"], row["predictions"]) for row in rows] == [("1", "1"), ("0", "0")]


def test_an_image_of_no_part_or_several_is_refused():
    with pytest.raises(CellMMError, match=r"train_1.bmp: fits 0 of the parts .*change parts"):
        run(sample(1, [], []), parts=dict(A="testA_*"))
    with pytest.raises(CellMMError, match=r"train_1.bmp: fits 2 of the parts"):
        run(sample(1, [], []), parts=dict(A="train_*", B="*"))
    with pytest.raises(CellMMError, match=r"no image of part 'B'.*change parts"):
        run(sample(1, [], []), parts=dict(A="train_*", B="testB_*"))
    with pytest.raises(ValueError, match="parts is empty"):
        run(sample(1, [], []), parts={})


def test_a_map_that_the_model_does_not_give_is_named():
    with pytest.raises(CellMMError, match="no pred_semantic at all"):
        run(sample(1, [], []), target="cytoplasm")
