"""Instances of several looks at one image become one set."""

import numpy as np
import pytest
import torch

from cellmm.models.postprocess.merge_instances import merge_instances
from cellmm.structures import PredictedInstances

SHAPE = (12, 20)


def look(*cells, stride=1, mask_thr=0.5, points=False):
    """Cells as (rows, cols, probability, score, label) in pixels of the map, as windows."""
    probs = [np.full((r.stop - r.start, c.stop - c.start), p, np.float32) for r, c, p, *_ in cells]
    origins = np.array([(r.start, c.start) for r, c, *_ in cells], np.int64).reshape(-1, 2)
    return PredictedInstances(
        probs,
        scores=torch.tensor([cell[3] for cell in cells], dtype=torch.float32),
        labels=torch.tensor([cell[4] for cell in cells], dtype=torch.long),
        stride=stride,
        origins=origins,
        grid_shape=tuple(side // stride for side in SHAPE),
        points=origins + 1.0 if points else None,
        mask_thr=mask_thr,
    )


def whole(found, i):
    """The probabilities of instance ``i`` on the whole map."""
    full = np.zeros(found.grid_shape, np.float32)
    (top, left), (height, width) = found.origins[i], found.probs[i].shape
    full[top : top + height, left : left + width] = found.probs[i]
    return full


A, B = np.s_[2:8], np.s_[3:9]


def test_masks_are_averaged_over_the_looks_that_see_the_cell_and_scores_over_all():
    merged = merge_instances(
        [look((A, A, 0.9, 0.8, 0)), look((A, B, 0.7, 0.6, 0)), look((np.s_[0:2], np.s_[15:18], 0.9, 0.9, 0))],
        SHAPE,
    )
    assert merged.scores.tolist() == pytest.approx([(0.8 + 0.6) / 3, 0.9 / 3])
    mean = whole(merged, 0)
    assert mean[4, 5] == pytest.approx(0.8)  # both
    assert mean[4, 2] == pytest.approx(0.45)  # the first alone: no longer in the mask
    assert mean[4, 8] == pytest.approx(0.35)
    assert merged.mask_runs().boxes()[0].tolist() == [2, 3, 8, 8]
    assert whole(merged, 1)[0, 16] == pytest.approx(0.9)  # the one look that sees it


def test_cells_that_overlap_much_stay_two():
    two = look((A, A, 0.9, 0.9, 0), (A, B, 0.9, 0.8, 0))  # IoU 0.71
    merged = merge_instances([two, two, two], SHAPE)
    assert merged.scores.tolist() == pytest.approx([0.9, 0.8])
    assert [whole(merged, i).sum() for i in range(2)] == pytest.approx([36 * 0.9] * 2)
    assert [merged.origins[i].tolist() for i in range(2)] == [[2, 2], [2, 3]]


def test_the_label_has_the_most_score_and_cells_of_one_label_match_first():
    merged = merge_instances(
        [look((A, A, 0.9, 0.3, 0)), look((A, A, 0.9, 0.7, 1)), look((A, A, 0.9, 0.5, 1))], SHAPE
    )
    assert merged.labels.tolist() == [1] and merged.scores.tolist() == pytest.approx([0.5])
    both = look((A, A, 0.9, 0.6, 0), (A, A, 0.8, 0.4, 1))
    merged = merge_instances([both, both.select([1, 0])], SHAPE)
    assert merged.labels.tolist() == [0, 1] and merged.scores.tolist() == pytest.approx([0.6, 0.4])


def test_coarse_and_fine_masks_and_other_thresholds():
    coarse = look((np.s_[1:4], np.s_[1:4], 0.9, 0.8, 0), stride=2, mask_thr=0.4)
    merged = merge_instances([coarse, look((A, A, 0.9, 0.6, 0))], SHAPE)
    assert (merged.stride, merged.mask_thr, merged.grid_shape) == (1, 0.5, SHAPE)
    assert merged.mask_runs().boxes().tolist() == [[2, 2, 8, 8]]
    assert whole(merged, 0)[4, 4] == pytest.approx((0.5 + 0.5 * 0.5 / 0.6 + 0.9) / 2, abs=1e-5)


def test_points_of_the_looks_that_know_them_and_centroids_of_others():
    merged = merge_instances([look((A, A, 0.9, 0.8, 0), points=True), look((A, A, 0.9, 0.6, 0))], SHAPE)
    assert merged.points.tolist() == [[(3 + 4.5) / 2] * 2]


def test_nothing_found_masks_without_pixels_and_windows_that_leave_the_map():
    merged = merge_instances([look(), look()], SHAPE)
    assert len(merged) == 0 and merged.scores.dtype == torch.float32
    below = look((A, A, 0.3, 0.9, 0))
    assert len(merge_instances([below, look()], SHAPE)) == 0
    out = look((A, A, 0.9, 0.8, 0))
    out.origins = out.origins - 4
    merged = merge_instances([out, out], SHAPE)
    assert merged.mask_runs().boxes().tolist() == [[0, 0, 4, 4]]


def test_order_of_the_looks_changes_nothing():
    rng = np.random.default_rng(0)
    looks = []
    for _ in range(4):
        cells = []
        for y, x in ((0, 0), (1, 8), (4, 9), (5, 1)):
            if rng.random() < 0.8:
                y, x = y + rng.integers(2), x + rng.integers(2)
                cells.append((np.s_[y : y + 5], np.s_[x : x + 6], 0.9, float(rng.random()), 0))
        looks.append(look(*cells))
    one, other = merge_instances(looks, SHAPE), merge_instances(looks[::-1], SHAPE)
    assert len(one) == len(other) > 3
    assert one.scores.tolist() == pytest.approx(other.scores.tolist())
    for i in range(len(one)):
        assert np.allclose(whole(one, i), whole(other, i), atol=1e-6)


def test_limits_of_all_looks_are_told():
    one, other = look((A, A, 0.9, 0.8, 0)), look()
    one.limits = {"{} cells are too many; take fewer": 3}
    assert merge_instances([one, other], SHAPE).limits == one.limits
