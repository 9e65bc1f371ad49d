"""What is right of predictions, the table and the error of their scores, and knots, by hand."""

import math

import numpy as np
import pytest

from cellmm.evaluation import functional as F
from cellmm.models.postprocess.score_calibration import ScoreCalibration
from cellmm.structures import rle


def judged(scores, right, iou=None):
    right = np.asarray(right, bool)
    return F.Judged(np.asarray(scores, float), right, right.astype(float) if iou is None else np.asarray(iou))


def strips(*spans):
    masks = np.zeros((len(spans), 1, 20), bool)
    for mask, (begin, end) in zip(masks, spans, strict=True):
        mask[0, begin:end] = True
    return rle.encode(masks)


def test_what_is_right_by_hand():
    """Two predictions of one cell, one with too small an IoU, one in a crowd region, one on nothing."""
    found = F.ClassInImage(
        masks=strips((0, 4), (0, 3), (5, 6), (11, 13), (18, 20)),
        scores=np.array([0.9, 0.8, 0.7, 0.6, 0.5]),
        gt_masks=strips((0, 4), (5, 9), (10, 16)),
        gt_crowd=np.array([False, False, True]),
        gt_areas=np.array([4.0, 4.0, 6.0]),
    )
    result = F.judge(found)
    assert result.scores.tolist() == [0.9, 0.8, 0.7, 0.5]
    assert result.right.tolist() == [True, False, False, False]
    assert result.iou.tolist() == [1.0, 0.75, 0.25, 0.0]
    alone = F.judge(found.changed([], []))
    assert len(alone.scores) == 0
    nothing = F.ClassInImage(found.masks, found.scores, [], np.zeros(0, bool), np.zeros(0))
    assert F.judge(nothing).right.tolist() == [False] * 5


def test_table_and_error_by_hand():
    scores = [0.0, 0.1, 0.5, 0.7, 1.0]
    table = F.reliability(judged(scores, [0, 1, 1, 0, 1]), bins=2)
    assert table["count"].tolist() == [2, 3]
    assert table["score"].tolist() == pytest.approx([0.05, 2.2 / 3])
    assert table["right"].tolist() == pytest.approx([0.5, 2 / 3])
    error = F.expected_calibration_error(judged(scores, [0, 1, 1, 0, 1]), bins=2)
    assert error == pytest.approx((2 * 0.45 + 3 * (2.2 - 2) / 3) / 5)
    assert math.isnan(F.reliability(judged([0.9], [1]), bins=2)["score"][0])
    assert math.isnan(F.expected_calibration_error(judged([], [])))


def test_knots_by_hand():
    """Groups of 20: of the lowest 1 is right, of the next two 12 and 8, which become one, of the last all."""
    scores = np.repeat([0.1, 0.3, 0.5, 0.8], 20)
    right = np.concatenate([np.arange(20) < k for k in (1, 12, 8, 20)])
    assert F.fit_knots(judged(scores, right)) == [
        (0, 0),
        (0.1, round(2 / 22, 4)),
        (0.4, 0.5),
        (0.8, round(21 / 22, 4)),
        (1, 1),
    ]


@pytest.mark.parametrize("case", ["none", "one", "equal", "all right", "all wrong", "at the ends", "random"])
def test_knots_are_always_those_of_a_calibration(case):
    rng = np.random.default_rng(0)
    scores, right = {
        "none": ([], []),
        "one": ([0.5], [1]),
        "equal": ([0.5] * 50, rng.random(50) < 0.5),
        "all right": (rng.random(100), np.ones(100)),
        "all wrong": (rng.random(100), np.zeros(100)),
        "at the ends": ([0.0] * 30 + [1.0] * 30, [0] * 30 + [1] * 30),
        "random": (rng.random(500), rng.random(500) < 0.5),
    }[case]
    knots = F.fit_knots(judged(scores, right))
    assert len(ScoreCalibration(knots).scores) == len(knots)


def test_a_map_that_is_known_is_found():
    """Predictions that are right with the probability score ** 3."""
    rng = np.random.default_rng(0)
    scores = rng.random(20000)
    found = judged(scores, rng.random(20000) < scores**3)
    knots = np.transpose(F.fit_knots(found))
    asked = np.linspace(0.05, 0.95, 19)
    assert np.abs(np.interp(asked, *knots) - asked**3).max() < 0.06
    after = F.Judged(np.interp(found.scores, *knots), found.right, found.iou)
    assert F.expected_calibration_error(after) < 0.02 < 0.2 < F.expected_calibration_error(found)


def test_best_threshold_by_hand():
    found = judged([0.9, 0.7, 0.7, 0.4, 0.2], [1, 1, 0, 1, 0])
    assert F.best_threshold(found, num_cells=4) == (0.4, 2 * 3 / (4 + 4))
    assert F.best_threshold(judged([], []), num_cells=3) == (1.0, 0.0)
