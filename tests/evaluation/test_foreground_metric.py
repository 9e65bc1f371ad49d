"""ForegroundMetric against an own, naive reference that looks at every pixel, and by hand."""

import csv
import math

import numpy as np
import pytest

from cellmm.evaluation import functional as F
from cellmm.registry import METRICS
from cellmm.structures import rle

SIZE = 14
REACHES = (1, 2.5, 3, None)


def random_masks(rng, number):
    masks = np.zeros((number, SIZE, SIZE), bool)
    for mask in masks:
        y, x = rng.integers(0, SIZE - 2, 2)
        h, w = rng.integers(1, 7, 2)
        mask[y : y + h, x : x + w] = rng.random((h, w))[: SIZE - y, : SIZE - x] < rng.choice([1.0, 0.8])
    return masks


def sample(img_id, cells, guesses, *, crowd=None, scores=None, labels=None):
    """bool (G, H, W) and (D, H, W)."""
    return dict(
        img_id=img_id,
        ori_shape=(SIZE, SIZE),
        eval_instances=dict(
            masks=rle.encode(np.asarray(cells, np.uint8)) if len(cells) else [],
            labels=np.zeros(len(cells), np.int64) if labels is None else labels,
            ignore=np.zeros(len(cells), bool) if crowd is None else np.asarray(crowd, bool),
            areas=np.full(len(cells), np.nan),
        ),
        pred_instances=dict(
            masks=rle.encode(np.asarray(guesses, np.uint8)) if len(guesses) else [],
            labels=np.zeros(len(guesses), np.int64),
            scores=np.full(len(guesses), 0.9) if scores is None else np.asarray(scores, float),
        ),
    )


def run(*samples, **options):
    metric = METRICS.build(dict(type="ForegroundMetric", **options))
    metric.dataset_meta = dict(classes=("cell",))
    metric.process(None, samples)
    numbers = metric.evaluate(len(samples))
    assert sorted(metric.metric_keys) == sorted(numbers)
    return {key.removeprefix("foreground/"): value for key, value in numbers.items()}


def naive(case, reach):
    """[pixels of both, of either, predicted, true], one pixel after the other."""
    cells, guesses, crowd, scores = case
    true = [
        (y, x)
        for y in range(SIZE)
        for x in range(SIZE)
        if any(m[y, x] for m, c in zip(cells, crowd, strict=True) if not c)
    ]
    pixels = [0, 0, 0, 0]
    for y in range(SIZE):
        for x in range(SIZE):
            if reach is not None and not any(math.dist((y, x), place) <= reach for place in true):
                continue
            if any(m[y, x] for m, c in zip(cells, crowd, strict=True) if c):
                continue
            predicted = any(m[y, x] for m, s in zip(guesses, scores, strict=True) if s >= 0.3)
            inside = (y, x) in true
            for i, holds in enumerate((predicted and inside, predicted or inside, predicted, inside)):
                pixels[i] += holds
    return pixels


def test_random_cases():
    rng = np.random.default_rng(0)
    seen = dict(no_cells=0, no_predictions=0, crowd=0, low=0)
    for _ in range(40):
        cases = []
        for _ in range(rng.integers(1, 4)):
            cells, guesses = (random_masks(rng, rng.integers(0, 4)) for _ in range(2))
            cases.append((cells, guesses, rng.random(len(cells)) < 0.2, rng.random(len(guesses))))
            seen["no_cells"] += len(cells) == 0
            seen["no_predictions"] += len(guesses) == 0
            seen["crowd"] += bool(cases[-1][2].any())
            seen["low"] += bool((cases[-1][3] < 0.3).any())
        reach = REACHES[rng.integers(len(REACHES))]
        got = run(
            *(sample(i, c, g, crowd=ig, scores=s) for i, (c, g, ig, s) in enumerate(cases)), reach=reach
        )
        pixels = [naive(case, reach) for case in cases]
        ious = [both / either for both, either, _, _ in pixels if either]
        ratios = [predicted / true for _, _, predicted, true in pixels if true]
        both, either = sum(p[0] for p in pixels), sum(p[1] for p in pixels)
        expected = dict(
            IoU=np.mean(ious) if ious else math.nan,
            IoU_pooled=both / either if either else math.nan,
            area_ratio=np.mean(ratios) if ratios else math.nan,
            area_ratio_sd=np.std(ratios, ddof=1) if len(ratios) > 1 else math.nan,
        )
        assert got == pytest.approx(expected, nan_ok=True)
    assert min(seen.values()) > 5, seen


def box(y0, x0, y1, x1):
    mask = np.zeros((SIZE, SIZE), bool)
    mask[y0:y1, x0:x1] = True
    return mask


CELL, WIDE = box(4, 4, 8, 8), box(4, 4, 8, 10)  # 16 px; 8 more on one side


def test_by_hand():
    # Image 1: 16 of 24 px. Image 2: half of the cell; the other half is another mask's, which is as good.
    numbers = run(sample(1, [CELL], [WIDE]), sample(2, [CELL], [box(4, 4, 8, 6), box(4, 6, 8, 8)]))
    assert numbers["IoU"] == pytest.approx((16 / 24 + 1) / 2)
    assert numbers["IoU_pooled"] == pytest.approx(32 / 40)
    assert numbers["area_ratio"] == pytest.approx((24 / 16 + 1) / 2)
    assert numbers["area_ratio_sd"] == pytest.approx(math.sqrt(2 * 0.25**2))


def test_a_false_alarm_far_away_counts_without_a_reach_alone():
    far = box(12, 12, 14, 14)  # 7.07 px from the cell
    assert run(sample(1, [CELL], [CELL, far]))["IoU"] == 1
    assert run(sample(1, [CELL], [CELL, far]), reach=7.1)["IoU"] == 16 / 17
    assert run(sample(1, [CELL], [CELL, far]), reach=None)["IoU"] == 16 / 20


def test_images_without_cells():
    alarm, right = sample(1, [], [CELL]), sample(2, [CELL], [CELL])
    numbers = run(alarm, right)
    assert [numbers[key] for key in ("IoU", "IoU_pooled", "area_ratio")] == [1, 1, 1]
    assert math.isnan(numbers["area_ratio_sd"])  # of a single image
    everywhere = run(alarm, right, reach=None)
    assert everywhere["IoU"] == 0.5 and everywhere["IoU_pooled"] == 0.5 and everywhere["area_ratio"] == 1
    assert all(map(math.isnan, run(sample(1, [], [])).values()))
    missed = run(sample(1, [CELL], []))
    assert missed["IoU"] == missed["area_ratio"] == 0


def test_crowds_and_low_scores_do_not_count():
    beside = box(4, 8, 8, 10)  # a region that is not annotated one by one
    assert run(sample(1, [CELL, beside], [WIDE], crowd=[False, True]))["IoU"] == 1
    assert run(sample(1, [CELL], [CELL, WIDE], scores=[0.9, 0.29]))["IoU"] == 1
    assert run(sample(1, [CELL], [CELL, WIDE], scores=[0.9, 0.29]), score_thr=0.2)["IoU"] == 16 / 24


def test_classes_count_as_one():
    assert run(sample(1, [CELL], [CELL], labels=np.array([0])))["IoU"] == 1
    assert run(sample(1, [CELL], [CELL], labels=np.array([1])))["IoU"] == 1


def test_the_scores_of_each_image_are_written(tmp_path):
    run(sample(7, [CELL], [WIDE]), sample(8, [], []), outfile_prefix=str(tmp_path / "results"))
    with open(tmp_path / "results.foreground.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["img_id"], row["IoU"], row["area_ratio"]) for row in rows] == [
        ("7", "0.666667", "1.500000"),
        ("8", "", ""),
    ]


@pytest.mark.parametrize(
    ("options", "message"), [(dict(reach=0), "reach is 0"), (dict(score_thr=2), "score_thr must be")]
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        METRICS.build(dict(type="ForegroundMetric", **options))


def test_pixels_within_reach():
    truth = np.zeros((5, 7), bool)
    truth[2, 2] = True
    assert F.within_reach(truth, 1).sum() == 5 and F.within_reach(truth, 1.5).sum() == 9
    assert not F.within_reach(np.zeros((2, 2), bool), 3).any() and F.within_reach(truth, None).all()
