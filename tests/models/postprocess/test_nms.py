"""NMS as configs state it: any order of the masks, windows as whole maps, classes apart."""

import math

import pytest
import torch

from cellmm.registry import TASK_UTILS

CONFIGS = [dict(type="MaskNMS", iou_thr=0.3), dict(type="MatrixNMS", sigma=2.0)]


def scene(seed: int) -> tuple:
    """Windows and the whole masks that they are cut from, scores and labels."""
    generator = torch.Generator().manual_seed(seed)
    windows, origins, whole = [], [], torch.zeros(12, 30, 30, dtype=torch.bool)
    for i in range(12):
        height, width, y, x = torch.randint(3, 15, (4,), generator=generator).tolist()
        windows.append(torch.rand(height, width, generator=generator) < (0.9 if i % 5 else 0.0))
        origins.append((y - 5, x - 5))  # also before the first pixel of the map
        whole[i, y : y + height, x : x + width] = windows[-1]
    scores = torch.rand(12, generator=generator)
    return windows, torch.tensor(origins), whole, scores, torch.randint(2, (12,), generator=generator)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("seed", range(4))
def test_windows_are_as_whole_maps(config, seed):
    nms, (windows, origins, whole, scores, labels) = TASK_UTILS.build(config), scene(seed)
    for classes in (labels, None):
        keep, kept_scores = nms(whole, scores, classes)
        assert keep.dtype == torch.int64 and (kept_scores.diff() <= 0).all()
        in_windows, scores_in_windows = nms(windows, scores, classes, origins)
        assert in_windows.tolist() == keep.tolist()
        torch.testing.assert_close(scores_in_windows, kept_scores)


@pytest.mark.parametrize("config", CONFIGS)
def test_the_order_of_the_masks_does_not_matter(config):
    nms, (_, _, whole, scores, labels) = TASK_UTILS.build(config), scene(5)
    keep, kept_scores = nms(whole, scores, labels)
    shuffled = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    again, again_scores = nms(whole[shuffled], scores[shuffled], labels[shuffled])
    assert shuffled[again].tolist() == keep.tolist()
    torch.testing.assert_close(again_scores, kept_scores)


def test_a_repeated_mask():
    masks = torch.ones(2, 3, 4, dtype=torch.bool)
    scores = torch.tensor([0.5, 0.9])
    keep, kept_scores = TASK_UTILS.build(dict(type="MaskNMS", iou_thr=0.7))(masks, scores)
    assert keep.tolist() == [1] and kept_scores.tolist() == pytest.approx([0.9])
    keep, kept_scores = TASK_UTILS.build(dict(type="MatrixNMS", sigma=2.0))(masks, scores)
    assert keep.tolist() == [1, 0] and kept_scores.tolist() == pytest.approx([0.9, 0.5 * math.exp(-2)])
    for config in CONFIGS:
        assert TASK_UTILS.build(config)(masks, scores, torch.tensor([0, 1]))[0].tolist() == [1, 0]


@pytest.mark.parametrize("config", CONFIGS)
def test_no_masks(config):
    nms, scores = TASK_UTILS.build(config), torch.zeros(0)
    assert nms(torch.zeros(0, 4, 4, dtype=torch.bool), scores)[0].tolist() == []
    assert nms([], scores, None, torch.zeros(0, 2, dtype=torch.long))[0].tolist() == []


def test_a_threshold_that_is_no_share():
    with pytest.raises(ValueError, match="iou_thr must be from 0 to 1, got 7"):
        TASK_UTILS.build(dict(type="MaskNMS", iou_thr=7))
