"""S, F1 and PQ by hand, and the matching against trying every assignment."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmm.evaluation.functional import MaskPairs, count_matches, match_most, segmentation_scores


def pairs_of(table, crowd=None):
    table = np.asarray(table, float)
    pred, gt = np.nonzero(table > 0)
    crowd = np.zeros(table.shape[1], bool) if crowd is None else np.asarray(crowd, bool)
    return MaskPairs(pred, gt, table[pred, gt], *table.shape, crowd)


def test_overlapping_masks_are_assigned_not_taken_greedily():
    # Prediction 0 fits cell 1 best; giving it cell 0 lets prediction 1 have cell 1.
    pairs = pairs_of([[0.6, 0.9], [0.0, 0.8]])
    chosen = match_most(pairs, threshold=0.5)
    assert list(zip(pairs.pred[chosen], pairs.gt[chosen], strict=True)) == [(0, 0), (1, 1)]
    assert count_matches(pairs, thresholds=(0.5, 0.7)) == pytest.approx(
        np.array([[2, 0, 0, 1.4], [1, 1, 1, 0.9]])
    )


def test_scores_by_hand():
    scores = segmentation_scores(np.array([[3, 1, 2, 2.4], [0, 0, 0, 0], [0, 2, 0, 0]]))
    assert scores["S"] == pytest.approx([3 / 6, np.nan, 0], nan_ok=True)
    assert scores["F1"] == pytest.approx([6 / 9, np.nan, 0], nan_ok=True)
    assert scores["PQ"] == pytest.approx([2.4 / 4.5, np.nan, 0], nan_ok=True)


def test_crowd_regions_are_neither_found_nor_missed():
    # Cell 1 is a crowd: prediction 1 lies in it, prediction 2 only by 60 %, prediction 0 is a cell within it.
    pairs = pairs_of([[0.8, 1.0], [0.0, 1.0], [0.0, 0.6]], crowd=[False, True])
    assert count_matches(pairs, thresholds=(0.5, 0.7, 0.9)).tolist() == [
        [1, 0, 0, 0.8],
        [1, 1, 0, 0.8],
        [0, 1, 1, 0],
    ]


def test_nothing_at_all():
    assert count_matches(pairs_of(np.zeros((0, 0)))).tolist() == [[0, 0, 0, 0]] * 5
    assert count_matches(pairs_of(np.zeros((2, 3))), thresholds=(0.5,)).tolist() == [[0, 2, 3, 0]]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.sampled_from([0.0, 0.3, 0.5, 0.6, 0.75, 0.9]), min_size=4, max_size=4), max_size=4)
)
def test_no_assignment_is_better(rows):
    table = np.array(rows, float).reshape(-1, 4)
    pairs = pairs_of(table)
    chosen = match_most(pairs, threshold=0.5)
    assert len(set(pairs.pred[chosen])) == len(set(pairs.gt[chosen])) == len(chosen)
    assert (pairs.iou[chosen] >= 0.5).all()
    allowed = np.where(table >= 0.5, table, 0)
    best = max(
        (
            np.count_nonzero(allowed[np.arange(len(table)), np.array(order, int)]),
            allowed[np.arange(len(table)), np.array(order, int)].sum(),
        )
        for order in itertools.permutations(range(4), len(table))
    )
    assert (len(chosen), pairs.iou[chosen].sum()) == pytest.approx(best)


def test_selecting_predictions_renumbers_them():
    pairs = pairs_of([[0.6, 0.0], [0.7, 0.0], [0.0, 0.9]]).select_pred(np.array([False, True, True]))
    assert (pairs.pred.tolist(), pairs.gt.tolist(), pairs.num_pred) == ([0, 1], [0, 1], 2)
