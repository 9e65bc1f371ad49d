"""ObjectMetric against an own, naive reference that looks at every pixel of every pair of masks."""

import itertools
import math

import numpy as np
import pytest

from cellmm.errors import CellMMError
from cellmm.evaluation import functional as F
from cellmm.evaluation.metrics.object_counts import count_objects
from cellmm.registry import METRICS
from cellmm.structures import rle

SIZE, WIDTH = 12, 1
THRESHOLDS = (*F.IOU_THRESHOLDS.round(2).tolist(), 0.7)
THIRDS = (0, 0, 1)  # of the cases, those with a crowd region


def random_masks(rng, number):
    masks = np.zeros((number, SIZE, SIZE), bool)
    for mask in masks:
        y, x = rng.integers(0, SIZE - 2, 2)
        h, w = rng.integers(2, 7, 2)
        mask[y : y + h, x : x + w] = True
        mask &= rng.random((SIZE, SIZE)) < rng.choice([1.0, 0.9])
    return masks


def random_case(rng):
    """bool (D, H, W) and (G, H, W), overlapping on both sides; and which of the latter are crowd regions."""
    truth = random_masks(rng, rng.integers(0, 5))
    guess = []
    for mask in truth:  # moved, two in one, halves, missing
        kind = rng.integers(0, 5)
        if kind < 2:
            guess.append(np.roll(mask, rng.integers(-1, 2, 2), axis=(0, 1)))
        elif kind == 2:
            guess.append(mask | truth[rng.integers(len(truth))])
        elif kind == 3:
            middle = int(np.nonzero(mask.any(1))[0].mean())  # neither piece is half of the cell
            rows = np.arange(SIZE)[:, None]
            guess += [mask & (rows < middle), mask & (rows > middle)]
    guess = np.concatenate(
        [np.array(guess, bool).reshape(-1, SIZE, SIZE), random_masks(rng, rng.integers(0, 3))]
    )
    crowd = np.zeros(len(truth), bool)
    if len(truth) and rng.choice(THIRDS):
        crowd[rng.integers(len(truth))] = True
    return rng.permutation(guess), truth, crowd


def iou(a, b):
    union = (a | b).sum()
    return (a & b).sum() / union if union else 0.0


def inside(a, b):
    return (a & b).sum() / a.sum() if a.any() else 0.0


def band(mask, width):
    """Pixels with a pixel that is not of the mask, or the image's edge, within ``width`` rows and columns."""
    result = np.zeros_like(mask)
    for y, x in zip(*np.nonzero(mask), strict=True):
        for dy, dx in itertools.product(range(-width, width + 1), repeat=2):
            v, u = y + dy, x + dx
            if not (0 <= v < mask.shape[0] and 0 <= u < mask.shape[1]) or not mask[v, u]:
                result[y, x] = True
    return result


def matchings(table, cells):
    """Every one-to-one matching of masks that touch: its pairs, their least value and their sum."""
    every = [[]]
    for j in cells:
        every += [
            [*pairs, (i, j)]
            for pairs in every
            for i, row in enumerate(table)
            if row[j] > 0 and i not in {taken for taken, _ in pairs}
        ]
    for pairs in every:
        values = [table[i][j] for i, j in pairs]
        yield pairs, min(values, default=1.0), round(sum(values), 9)


def best_matchings(every, threshold):
    """All with the most pairs, and then the highest sum."""
    ranked = [((len(pairs), total), pairs) for pairs, least, total in every if least >= threshold]
    best = max(rank for rank, _ in ranked)
    return [pairs for rank, pairs in ranked if rank == best]


def naive_counts(table, every, guess, truth, crowd, threshold):
    pairs = best_matchings(every, threshold)[0]
    free = [
        i
        for i in range(len(guess))
        if i not in {i for i, _ in pairs}
        and not any(inside(guess[i], truth[k]) >= threshold for k in np.flatnonzero(crowd))
    ]
    return len(pairs), len(free), (~crowd).sum() - len(pairs), sum(table[i][j] for i, j in pairs)


def naive_aji(guess, truth, crowd, pairs):
    shared = union = 0
    for i, j in pairs:
        shared, union = shared + (guess[i] & truth[j]).sum(), union + (guess[i] | truth[j]).sum()
    for i in set(range(len(guess))) - {i for i, _ in pairs}:
        if not any(inside(guess[i], truth[k]) >= 0.5 for k in np.flatnonzero(crowd)):
            union += guess[i].sum()
    for j in set(np.flatnonzero(~crowd)) - {j for _, j in pairs}:
        union += truth[j].sum()
    return [shared, union]


def naive(guess, truth, crowd):
    """All of ObjectCounts but the fates: what each matching gives where several are equally good."""
    table = [[iou(a, b) for b in truth] for a in guess]
    cells = np.flatnonzero(~crowd)
    greedy = [
        (max(range(len(guess)), key=lambda i: (table[i][j], -i)), j)
        for j in cells
        if any(row[j] > 0 for row in table)
    ]
    every = list(matchings(table, cells))
    best = max(total for _, _, total in every)
    bands = [[band(mask, WIDTH) for mask in masks] for masks in (guess, truth)]
    edges = [[iou(a, b) for b in bands[1]] for a in bands[0]]
    lower = [[min(pair) for pair in zip(*rows, strict=True)] for rows in zip(table, edges, strict=True)]
    strict, case = list(matchings(lower, cells)), (guess, truth, crowd)
    return dict(
        counts=[[naive_counts(table, every, *case, threshold) for threshold in THRESHOLDS]],
        matched=[naive_counts(table, every, *case, 0.5)],
        matched_boundary=[naive_counts(lower, strict, *case, 0.5)],
        boundary=[sum(edges[i][j] for i, j in pairs) for pairs in best_matchings(every, 0.5)],
        aji=[naive_aji(*case, greedy)],
        aji_plus=[naive_aji(*case, pairs) for pairs, _, total in every if total == best],
    )


def naive_fates(guess, truth, crowd):
    """Found by the best matching in order of the rank, and merged, split, boundary by their definitions."""
    table = np.array([[iou(a, b) for b in truth] for a in guess]).reshape(len(guess), len(truth))
    cells = np.flatnonzero(~crowd)
    right, found, ignored = set(), set(), set()
    for i in range(len(guess)):  # COCO: the best free cell, the later of equals, else a crowd region
        free = [j for j in cells if j not in found and table[i, j] >= 0.5]
        if free:
            found.add(max(free, key=lambda j: (table[i, j], j)))
            right.add(i)
        elif any(inside(guess[i], truth[k]) >= 0.5 for k in np.flatnonzero(crowd)):
            ignored.add(i)
    wrong = [i for i in range(len(guess)) if i not in right | ignored]
    fate = {int(j): "found" for j in found}
    merges, merged = 0, set()
    for i in wrong:
        covered = [j for j in cells if (guess[i] & truth[j]).any() and inside(truth[j], guess[i]) >= 0.5]
        if len(covered) > 1 and iou(guess[i], truth[covered].any(axis=0)) > table[i, cells].max() + 1e-12:
            merges, merged = merges + 1, merged | {i}
            for j in covered:
                fate.setdefault(int(j), "merged")
    explained, pieces_of = set(found), {}
    for i in (i for i in wrong if i not in merged):
        touched = [j for j in cells if table[i, j] > 0]
        if touched:
            best = max(touched, key=lambda j: (table[i, j] + (table[i, j] >= 0.1 and j not in found), -j))
            if best not in found and inside(guess[i], truth[best]) >= 0.5:
                pieces_of.setdefault(best, []).append(i)
    used, splits = set(merged), 0
    for j, candidates in sorted(pieces_of.items()):
        union, pieces = np.zeros_like(truth[0]), []
        for i in sorted(candidates, key=lambda i: -table[i, j]):
            if not pieces or (guess[i] & ~union).sum() >= 0.5 * guess[i].sum():
                union, pieces = union | guess[i], [*pieces, i]
        if len(pieces) > 1 and inside(truth[j], union) >= 0.5:
            splits += 1
            used |= set(pieces)
            explained.add(j)
            fate.setdefault(int(j), "split")
    rest = [(-table[i, j], i, j) for i in wrong if i not in used for j in cells if j not in explained]
    for minus, i, j in sorted(rest):
        if -minus >= 0.1 - 1e-9 and i not in used and j not in explained:
            used.add(i)
            explained.add(j)
            fate.setdefault(int(j), "boundary")
    names = [fate.get(int(j), "missed") for j in cells]
    return [names.count(name) for name in F.FATES], merges, splits


def as_class(guess, truth, crowd):
    masks, cells = rle.encode(guess.astype(np.uint8)), rle.encode(truth.astype(np.uint8))
    return F.ClassInImage(masks, np.ones(len(guess)), cells, crowd, rle.area(cells).astype(float))


def test_a_thousand_small_cases():
    rng = np.random.default_rng(0)
    seen = dict(no_cells=0, no_predictions=0, crowd=0, merges=0, splits=0, overlapping=0)
    for case in range(1000):
        guess, truth, crowd = random_case(rng)
        got = count_objects(as_class(guess, truth, crowd), iou_thresholds=THRESHOLDS, boundary_width=WIDTH)
        for key, values in naive(guess, truth, crowd).items():
            assert any(np.allclose(getattr(got, key), value) for value in values), (case, key)
        fates, merges, splits = naive_fates(guess, truth, crowd)
        assert (got.fates.tolist(), got.merges, got.splits) == (fates, merges, splits), case
        assert got.fates.sum() == got.num_cells == (~crowd).sum()
        seen["no_cells"] += len(truth) == 0
        seen["no_predictions"] += len(guess) == 0
        seen["crowd"] += bool(crowd.any())
        seen["merges"] += merges
        seen["splits"] += splits
        seen["overlapping"] += bool((truth.sum(axis=0) > 1).any())
    assert min(seen.values()) > 20, seen


def square(y, x, side=4):
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[y : y + side, x : x + side] = 1
    return rle.encode_one(mask)


A, B, C = square(0, 0), square(0, 4), square(8, 8)
BOTH = rle.encode_one(sum(rle.decode([A, B])))


def sample(img_id, cells, guesses, *, labels=None, guess_labels=None, scores=None):
    return dict(
        img_id=img_id,
        ori_shape=(SIZE, SIZE),
        eval_instances=dict(
            masks=cells,
            labels=np.array(labels or [0] * len(cells), np.int64),
            ignore=np.zeros(len(cells), bool),
            areas=np.full(len(cells), np.nan),
        ),
        pred_instances=dict(
            masks=guesses,
            labels=np.array(guess_labels or [0] * len(guesses), np.int64),
            scores=np.array(scores or [0.9] * len(guesses)),
        ),
    )


def run(*samples, classes=("cell",), **options):
    metric = METRICS.build(dict(type="ObjectMetric", **options))
    metric.dataset_meta = dict(classes=classes)
    stated = metric.metric_keys
    metric.process(None, samples)
    numbers = metric.evaluate(len(samples))
    assert sorted(stated) == sorted(numbers)
    return {key.removeprefix("object/"): value for key, value in numbers.items()}


def test_numbers_by_hand():
    # Two touching cells in one mask, and a third one that is found in the second image beside a false alarm.
    numbers = run(sample(1, [A, B], [BOTH]), sample(2, [C], [C, A]), boundary_width=1)
    # BOTH has an IoU of .5 with A: right at .5 alone.
    assert numbers["DSB"] == pytest.approx(((1 / 2) / 10 + 1 / 2) / 2)
    assert numbers["DSB_pooled"] == pytest.approx((2 / 4 + 9 * 1 / 5) / 10)
    assert [numbers[f"{name}50"] for name in ("precision", "recall", "F1_")] == pytest.approx([2 / 3] * 3)
    assert [numbers[f"{name}70"] for name in ("precision", "recall")] == pytest.approx([1 / 3] * 2)
    assert [numbers[key] for key in ("PQ", "SQ", "RQ")] == pytest.approx([0.5, 0.75, 2 / 3])
    # Kumar's: both cells take the same mask, 2 x 16 of 2 x 32; AJI+: 16 of 32 and 16 missed pixels.
    assert numbers["AJI"] == pytest.approx((32 / 64 + 16 / 32) / 2)
    assert numbers["AJI_pooled"] == pytest.approx(48 / 96)
    assert numbers["AJI+"] == pytest.approx((16 / 48 + 16 / 32) / 2)
    # Along the outline, 1 px wide: A has 12 pixels, BOTH 20, of these 10 are shared.
    assert numbers["boundary_IoU"] == pytest.approx((10 / 22 + 1) / 2)
    assert numbers["boundary_PQ"] == pytest.approx(1 / (1 + (2 + 2) / 2))
    assert [numbers[key] for key in ("count_signed", "count_absolute")] == [0, 1]
    assert numbers["count_relative"] == pytest.approx((1 / 2 + 1) / 2)


def test_what_became_of_the_cells():
    other = rle.encode_one(np.maximum(rle.decode([BOTH])[0], rle.decode([square(4, 0)])[0]))
    numbers = run(sample(1, [A, B, C], [other]))  # an IoU of 1/3 with A and B, of 2/3 with both
    assert [numbers[key] for key in ("found", "merged", "missed")] == pytest.approx([0, 2 / 3, 1 / 3])
    assert (numbers["merges_per_image"], numbers["splits_per_image"]) == (1, 0)


def test_nothing_on_either_side():
    numbers = run(sample(1, [], []))
    defined = {"merges_per_image", "splits_per_image", "count_signed", "count_absolute"}
    assert {key: value for key, value in numbers.items() if not math.isnan(value)} == dict.fromkeys(
        defined, 0
    )
    alarms = run(sample(1, [], [A]))
    assert (alarms["DSB"], alarms["AJI"], alarms["AJI+"], alarms["precision50"]) == (0, 0, 0, 0)
    assert math.isnan(alarms["recall50"]) and alarms["count_signed"] == 1
    missed = run(sample(1, [A], []))
    assert (missed["DSB"], missed["AJI"], missed["recall50"], missed["missed"]) == (0, 0, 0, 1)
    assert math.isnan(missed["precision50"])


def test_scores_below_the_threshold_do_not_count():
    assert run(sample(1, [A], [A, C], scores=[0.9, 0.2]))["precision50"] == 1
    assert run(sample(1, [A], [A, C], scores=[0.9, 0.2]), score_thr=0.1)["precision50"] == 0.5


def test_panoptic_quality_of_each_class():
    samples = (
        sample(1, [A, B], [A, B], labels=[0, 1], guess_labels=[0, 0]),
        sample(2, [C], [C], labels=[0], guess_labels=[0]),
    )
    numbers = run(*samples, classes=("cell", "worm", "dust"))
    assert numbers["PQ/cell"] == pytest.approx(2 / 2.5) and numbers["PQ/worm"] == 0
    assert math.isnan(numbers["PQ/dust"]) and numbers["PQ"] == pytest.approx(0.4)
    assert numbers["SQ/cell"] == 1 and math.isnan(numbers["SQ/worm"]) and numbers["RQ/cell"] == 0.8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(boundary_width=0), "boundary_width is 0"),
        (dict(iou_thresholds=(0.5, 0.5)), "a threshold is repeated"),
        (dict(iou_thresholds=(0.125,)), "hundredths"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        METRICS.build(dict(type="ObjectMetric", **options))


def test_a_label_that_is_no_class():
    with pytest.raises(CellMMError, match="do not fit the classes"):
        run(sample(1, [A], [A], guess_labels=[3]))
