"""Which masks of a head are returned."""

import math

import pytest
import torch

from cellmm.registry import TASK_UTILS


def build(**options):
    return TASK_UTILS.build(dict(type="InstanceTestCfg", **options))


def test_masks_that_pass_are_best_first():
    scores, filled = torch.tensor([0.3, 0.9, 0.05, 0.8, 0.9]), torch.tensor([1, 1, 1, 0, 1]).bool()
    assert build().passing(scores, filled).tolist() == [1, 4, 0]
    assert build(score_thr=0.5).passing(scores, filled).tolist() == [1, 4]


def test_suppression_and_the_threshold_after_it():
    masks = torch.ones(2, 3, 4, dtype=torch.bool)
    scores = torch.tensor([0.9, 0.3])
    assert build().suppress(masks, scores, None)[0].tolist() == [0, 1]
    assert build(nms=dict(type="MaskNMS", iou_thr=0.7)).suppress(masks, scores, None)[0].tolist() == [0]
    nms = dict(type="MatrixNMS", sigma=2.0)
    keep, lowered = build(nms=nms, score_thr=0.01).suppress(masks, scores, None)
    assert keep.tolist() == [0, 1] and lowered.tolist() == pytest.approx([0.9, 0.3 * math.exp(-2)])
    assert build(nms=nms, score_thr=0.1).suppress(masks, scores, None)[0].tolist() == [0]
    origins = torch.tensor([[0, 0], [9, 9]])
    nms = dict(type="MaskNMS", iou_thr=0.7)
    assert build(nms=nms).suppress(list(masks), scores, None, origins)[0].tolist() == [0, 1]


def test_thresholds_are_shares():
    for name in ("mask_thr", "score_thr"):
        with pytest.raises(ValueError, match=f"{name} must be from 0 to 1, got 2"):
            build(**{name: 2})
