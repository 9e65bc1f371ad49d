"""The scores of glands against a reference that follows the definitions pixel by pixel, and by hand."""

import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from cellmm.evaluation import functional as F
from cellmm.structures import MaskRuns
from cellmm.structures import rle as rle_ops

SHAPE = (12, 17)


def runs(masks, shape=SHAPE):
    return MaskRuns.from_rles(rle_ops.encode(np.array(masks, bool).reshape(-1, *shape)), shape)


def box(y0, x0, y1, x1, shape=SHAPE):
    mask = np.zeros(shape, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def reference_hausdorff(one, other):
    distances = cdist(np.argwhere(one), np.argwhere(other))
    return max(distances.min(axis=0).max(), distances.min(axis=1).max())


def reference_side(masks, others):
    """Area, Dice and Hausdorff distance of each of ``masks``, and the object that each overlaps most."""
    rows, partners = [], []
    for mask in masks:
        shared = [np.logical_and(mask, other).sum() for other in others]
        best = int(np.argmax(shared)) if others else -1  # the first of equals
        if best >= 0 and shared[best] > 0:
            dice = 2 * shared[best] / (mask.sum() + others[best].sum())
            distance = reference_hausdorff(mask, others[best])
            partners.append(best)
        else:
            dice = 0.0
            away = [reference_hausdorff(mask, other) for other in others]
            distance = min(away, default=math.hypot(*mask.shape))
            partners.append(-1)
        rows.append((mask.sum(), dice, distance))
    return rows, partners


def reference(images):
    """The scores of images, lists of masks of both sides each."""
    true = false = missed = 0
    sides = [], []
    ratios = []
    for segmented, annotated in images:
        segmented, annotated = ([mask for mask in masks if mask.any()] for masks in (segmented, annotated))
        of_pred, partners = reference_side(segmented, annotated)
        sides[0].extend(of_pred)
        sides[1].extend(reference_side(annotated, segmented)[0])
        found = {
            j
            for mask, j in zip(segmented, partners, strict=True)
            if j >= 0 and np.logical_and(mask, annotated[j]).sum() / annotated[j].sum() >= 0.5
        }
        true += len(found)
        false += len(segmented) - len(found)
        missed += len(annotated) - len(found)
        if segmented or annotated:
            numbers = sorted([len(segmented), len(annotated)])
            ratios.append(numbers[0] / numbers[1])
    means = [
        [sum(row[0] * row[k] for row in side) / sum(row[0] for row in side) for side in sides if side]
        for k in (1, 2)
    ]
    if not ratios:
        return [math.nan] * 4
    precision_and_recall = true / max(true + false, 1), true / max(true + missed, 1)
    f1 = 2 * math.prod(precision_and_recall) / sum(precision_and_recall) if true else 0.0
    return [f1, np.mean(means[0]), np.mean(means[1]), np.mean(ratios)]


def random_side(rng, shape, overlaps):
    """None to five rectangles, ellipses and speckles, empty ones among them; they overlap if so told."""
    y, x = np.indices(shape)
    masks, taken = [], np.zeros(shape, bool)
    for _ in range(rng.integers(0, 6)):
        kind = rng.integers(0, 4)
        cy, cx = rng.integers(0, shape)
        ry, rx = rng.uniform(0.3, max(shape) / 2.5, 2)
        if kind == 0:
            mask = (abs(y - cy) <= ry) & (abs(x - cx) <= rx)
        elif kind == 1:
            mask = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 <= 1
        elif kind == 2:
            mask = rng.random(shape) < 0.1  # in many pieces, perhaps empty
        else:
            mask = (((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 <= 1) & ((y + x) % 3 > 0)
        if not overlaps:
            mask = mask & ~taken
            taken |= mask
        masks.append(mask)
    return masks


@pytest.mark.parametrize("seed", range(10))
def test_a_thousand_random_test_sets_equal_the_reference(seed):
    rng = np.random.default_rng(seed)
    empty = 0
    for case in range(100):
        images = []
        for _ in range(rng.integers(1, 4) if case else 0):
            shape = tuple(rng.integers(1, 24, 2))
            overlaps = rng.random() < 0.5
            segmented = random_side(rng, shape, overlaps)
            annotated = random_side(rng, shape, overlaps)
            if rng.random() < 0.3:
                segmented = [*segmented, *annotated]  # exact copies, so ties
            images.append((shape, segmented, annotated))
        images = images or [((3, 5), [], [])]
        scores = F.gland_scores([F.match_glands(runs(p, shape), runs(g, shape)) for shape, p, g in images])
        expected = reference([(p, g) for _, p, g in images])
        assert list(scores) == list(F.GLAND_SCORES)
        assert list(scores.values()) == pytest.approx(expected, rel=1e-6, nan_ok=True)
        empty += math.isnan(expected[0])
    assert empty  # nothing on either side was among them


def test_the_definitions_by_hand():
    # two annotated glands; the first is cut into halves, the second is hit by a third of it
    annotated = [box(0, 0, 4, 4), box(0, 8, 4, 14)]
    segmented = [box(0, 0, 4, 2), box(0, 2, 4, 4), box(0, 8, 4, 10)]
    scores = F.gland_scores([F.match_glands(runs(segmented), runs(annotated))])
    # both halves cover at least half, but a gland is found once: TP 1, FP 2, FN 1
    assert scores["F1"] == pytest.approx(2 / 5)
    of_segmented = (8 * (16 / 24) + 8 * (16 / 24) + 8 * (16 / 32)) / 24
    of_annotated = (16 * (16 / 24) + 24 * (16 / 32)) / 40
    assert scores["object_dice"] == pytest.approx((of_segmented + of_annotated) / 2)
    assert scores["object_hausdorff"] == pytest.approx(((2 + 2 + 4) / 3 + (16 * 2 + 24 * 4) / 40) / 2)
    assert scores["count_ratio"] == pytest.approx(2 / 3)


def test_a_segmented_object_counts_against_the_one_it_overlaps_most_alone():
    # it covers all of the small gland, but shares more with the large one, of which it covers a quarter
    annotated, segmented = [box(0, 0, 10, 16), box(0, 16, 10, 17)], [box(0, 12, 10, 17)]
    matches = F.match_glands(runs(segmented), runs(annotated))
    assert matches.num_found == 0 and matches.segmented.dice == pytest.approx([2 * 40 / 210])
    # the small gland chooses the segmented object all the same
    assert matches.annotated.dice == pytest.approx([2 * 40 / 210, 2 * 10 / 60])


def test_repeated_masks_do_not_raise_f1():
    once = F.gland_scores([F.match_glands(runs([box(0, 0, 5, 5)]), runs([box(0, 0, 5, 5)] * 1))])
    thrice = F.gland_scores([F.match_glands(runs([box(0, 0, 5, 5)] * 3), runs([box(0, 0, 5, 5)]))])
    assert once["F1"] == 1 and thrice["F1"] == pytest.approx(2 / 4)


def test_objects_of_all_images_are_one_set():
    large, small = [box(0, 0, 10, 10)], [box(0, 0, 1, 1)]
    first = F.match_glands(runs(large), runs(large))
    second = F.match_glands(runs([box(11, 16, 12, 17)]), runs(small))
    scores = F.gland_scores([first, second])
    assert scores["F1"] == pytest.approx(0.5)
    assert scores["object_dice"] == pytest.approx(100 / 101)  # by area: the mean of the images would be .5
    assert scores["object_hausdorff"] == pytest.approx(math.hypot(11, 16) / 101)


@pytest.mark.parametrize("sides", [([], [box(0, 0, 3, 3)]), ([box(0, 0, 3, 3)], [])])
def test_nothing_on_one_side(sides):
    scores = F.gland_scores([F.match_glands(*map(runs, sides))])
    expected = dict(F1=0, object_dice=0, object_hausdorff=math.hypot(*SHAPE), count_ratio=0)
    assert scores == pytest.approx(expected)


def test_nothing_on_both_sides_is_not_defined():
    assert all(math.isnan(value) for value in F.gland_scores([F.match_glands(runs([]), runs([]))]).values())
    assert all(math.isnan(value) for value in F.gland_scores([]).values())


def test_masks_of_two_images_are_refused():
    with pytest.raises(ValueError, match="two images"):
        F.match_glands(runs([]), runs([], (3, 4)))
