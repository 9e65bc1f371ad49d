"""AP against a slow reference written from the definition, against pycocotools, and by hand."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from cellmm.evaluation import CellCocoMetric
from cellmm.evaluation.functional import (
    MaskPairs,
    match_by_score,
    overlapping_pairs,
    precision_and_recall,
    rank_matches,
)

AREA_BOUNDS = (60, 150)
RANGES = {"AP": (0, 1e10), "AP_S": (0, 60), "AP_M": (60, 150), "AP_L": (150, 1e10)}


def disc(y, x, radius, size):
    rows, columns = np.ogrid[:size, :size]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def encode(mask):
    rle = mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def scene(seed, *, cells=40, size=96, classes=2):
    """Overlapping discs; predictions that are shifted, doubled, missing or false; ties, crowds, own areas."""
    rng = np.random.default_rng(seed)
    gt, pred = [], []
    for _ in range(cells):
        y, x, radius = rng.uniform(0, size), rng.uniform(0, size), rng.uniform(3, 9)
        label = int(rng.integers(classes))
        mask = disc(y, x, radius, size)
        area = float(mask.sum() + rng.integers(-5, 6)) if rng.random() < 0.3 else np.nan
        gt.append(dict(mask=mask, label=label, ignore=bool(rng.random() < 0.1), area=area))
        for _ in range(rng.choice([0, 1, 1, 1, 2])):
            shift = rng.normal(0, 0.12 * radius, 3)
            other = disc(y + shift[0], x + shift[1], radius + shift[2], size)
            if other.any():
                pred.append(dict(mask=other, label=label, score=round(float(rng.random()), 1)))
        if rng.random() < 0.2:
            other = disc(*rng.uniform(0, size, 2), 5, size)
            pred.append(
                dict(mask=other, label=int(rng.integers(classes)), score=round(float(rng.random()), 1))
            )
    return gt, pred


def sample(img_id, gt, pred):
    return dict(
        img_id=img_id,
        ori_shape=gt[0]["mask"].shape if gt else pred[0]["mask"].shape,
        eval_instances=dict(
            masks=[encode(cell["mask"]) for cell in gt],
            labels=np.array([cell["label"] for cell in gt], np.int64),
            ignore=np.array([cell["ignore"] for cell in gt], bool),
            areas=np.array([cell["area"] for cell in gt]),
        ),
        pred_instances=dict(
            masks=[encode(cell["mask"]) for cell in pred],
            labels=np.array([cell["label"] for cell in pred], np.int64),
            scores=np.array([cell["score"] for cell in pred]),
        ),
    )


def reference_match(gt, pred, low, high, threshold):
    """One image, one class: (score, right, ignored) of each prediction, and the number of cells to find."""
    pred = sorted(pred, key=lambda cell: -cell["score"])
    for cell in gt:
        area = cell["mask"].sum() if np.isnan(cell["area"]) else cell["area"]
        cell["out"] = cell["ignore"] or area < low or area > high
        cell["free"] = True
    rows = []
    for guess in pred:
        best, best_iou = None, threshold
        for out in (False, True):
            for cell in (cell for cell in gt if cell["out"] == out):
                both = np.count_nonzero(cell["mask"] & guess["mask"])
                whole = guess["mask"] if cell["ignore"] else cell["mask"] | guess["mask"]
                iou = both / np.count_nonzero(whole)
                if (cell["free"] or cell["ignore"]) and iou >= best_iou:
                    best, best_iou = cell, iou
            if best is not None:
                break
        if best is not None:
            best["free"] = False
            rows.append((guess["score"], not best["out"], best["out"]))
        else:
            area = guess["mask"].sum()
            rows.append((guess["score"], False, area < low or area > high))
    return rows, sum(not cell["out"] for cell in gt)


def reference_curve(images, label, low, high, threshold):
    """Precision at the 101 recall points, and the highest recall; None where there is nothing to find."""
    rows, total = [], 0
    for gt, pred in images:
        of_image, number = reference_match(
            [cell for cell in gt if cell["label"] == label],
            [cell for cell in pred if cell["label"] == label],
            low,
            high,
            threshold,
        )
        rows += of_image
        total += number
    if total == 0:
        return None
    points, right, wrong = [], 0, 0
    for _, is_right, is_ignored in sorted(rows, key=lambda row: -row[0]):
        if not is_ignored:
            right, wrong = right + is_right, wrong + (not is_right)
            points.append((right / total, right / (right + wrong)))
    curve = [max((p for r, p in points if r >= point), default=0.0) for point in np.linspace(0, 1, 101)]
    return np.array(curve), max((r for r, _ in points), default=0.0)


def reference_numbers(images, classes=2):
    numbers = {}
    thresholds = np.linspace(0.5, 0.95, 10)
    for key, (low, high) in RANGES.items():
        curves = [
            [reference_curve(images, label, low, high, threshold) for threshold in thresholds]
            for label in range(classes)
        ]
        table = np.array([[c[0].mean() for c in of_class] for of_class in curves if of_class[0] is not None])
        numbers[key] = table.mean()
        if key == "AP":
            numbers.update(AP50=table[:, 0].mean(), AP75=table[:, 5].mean(), AP90=table[:, 8].mean())
            numbers["AR"] = np.mean([[c[1] for c in of_class] for of_class in curves])
    return numbers


def coco_eval(images, max_dets, classes=2):
    """pycocotools on the same data, evaluated and summarised."""
    annotations, detections = [], []
    for img_id, (gt, pred) in enumerate(images, 1):
        for cell in gt:
            area = float(cell["mask"].sum()) if np.isnan(cell["area"]) else cell["area"]
            annotations.append(
                dict(id=len(annotations) + 1, image_id=img_id, category_id=cell["label"] + 1, area=area)
                | dict(segmentation=encode(cell["mask"]), iscrowd=int(cell["ignore"]), bbox=[0, 0, 1, 1])
            )
        for cell in pred:
            detections.append(
                dict(image_id=img_id, category_id=cell["label"] + 1, score=cell["score"])
                | dict(segmentation=encode(cell["mask"]))
            )
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = dict(
            info={},
            images=[dict(id=i + 1, height=1, width=1) for i in range(len(images))],  # masks are RLE: unused
            categories=[dict(id=i + 1, name=str(i)) for i in range(classes)],
            annotations=annotations,
        )
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(detections), "segm")
        evaluation.params.maxDets = max_dets
        evaluation.params.areaRng = [list(area) for area in RANGES.values()]
        evaluation.params.areaRngLbl = ["all", "small", "medium", "large"]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def coco_numbers(evaluation):
    """The right numbers, from the precision array (T, R, K, A, M) at the last of maxDets."""

    def mean(values):
        defined = values[values > -1]
        return defined.mean() if defined.size else np.nan

    precision, recall = evaluation.eval["precision"][..., -1], evaluation.eval["recall"][..., -1]
    numbers = {key: mean(precision[..., index]) for index, key in enumerate(RANGES)}
    numbers.update({f"AP{50 + 5 * t}": mean(precision[t, :, :, 0]) for t in (0, 5, 8)})
    numbers["AR"] = mean(recall[..., 0])
    return numbers


def metric_numbers(images, **kwargs):
    metric = CellCocoMetric(area_bounds=AREA_BOUNDS, **kwargs)
    metric.dataset_meta = dict(classes=("round", "long"))
    # Any order of the images: they are put into that of img_id.
    for img_id, (gt, pred) in list(enumerate(images, 1))[::-1]:
        metric.process(None, [sample(img_id, gt, pred)])
    return metric.evaluate(len(images))


@pytest.mark.parametrize("seed", range(6))
def test_equals_the_reference_and_pycocotools(seed):
    images = [scene(100 * seed + index) for index in range(3)]
    numbers = metric_numbers(images)
    for expected in (reference_numbers(images), coco_numbers(coco_eval(images, [1, 10, 10000]))):
        assert expected.keys() >= {"AP", "AP50", "AP75", "AP90", "AR", "AP_S", "AP_M", "AP_L"}
        for key, value in expected.items():
            assert numbers[key] == pytest.approx(value, abs=1e-9), key


def test_max_dets_is_cocos_when_asked_for():
    images = [scene(7, cells=60)]
    assert metric_numbers(images, max_dets=5)["AP"] == pytest.approx(
        coco_numbers(coco_eval(images, [1, 2, 5]))["AP"], abs=1e-9
    )


def test_all_cells_count_where_pycocotools_stops_at_100():
    size = 84
    boxes = [(4 * row, 4 * column) for row in range(13) for column in range(20)]  # 260 cells of 9 px^2
    gt = []
    for y, x in boxes:
        mask = np.zeros((size, size), bool)
        mask[y : y + 3, x : x + 3] = True
        gt.append(dict(mask=mask, label=0, ignore=False, area=9.0))
    images = [(gt, [dict(mask=c["mask"], label=0, score=1 - i / 1000) for i, c in enumerate(gt)])]
    assert metric_numbers(images)["AP"] == 1
    # With 100 among maxDets its first number is that of 100 detections: recall 100/260, 39 of 101 points.
    evaluation = coco_eval(images, [1, 100, 1000], classes=1)
    assert evaluation.stats[0] == pytest.approx(39 / 101)
    assert coco_numbers(evaluation)["AP"] == 1
    assert coco_eval(images, [1, 10, 1000], classes=1).stats[0] == -1


def test_hand_computed_curve():
    # Right, wrong, right on two cells: precision 1 up to recall .5 (51 points), 2/3 beyond it (50 points).
    cells = [encode(disc(8, 8, 4, 32)), encode(disc(22, 22, 4, 32))]
    guesses = [cells[0], encode(disc(8, 22, 4, 32)), cells[1]]
    ranked = rank_matches(
        overlapping_pairs(guesses, cells),
        scores=np.array([0.9, 0.8, 0.7]),
        pred_areas=np.full(3, 49.0),
        gt_areas=np.full(2, 49.0),
        area_ranges=[(0, 1e10)],
    )
    precision, recall = precision_and_recall([ranked])
    assert precision.shape == (10, 101) and recall == pytest.approx(np.ones(10))
    assert precision.mean() == pytest.approx((51 + 50 * 2 / 3) / 101)


def pairs_of(table, crowd=None):
    table = np.asarray(table, float)
    pred, gt = np.nonzero(table >= 0.5)
    crowd = np.zeros(table.shape[1], bool) if crowd is None else np.asarray(crowd)
    return MaskPairs(pred, gt, table[pred, gt], *table.shape, crowd)


@pytest.mark.parametrize(
    ("table", "ignore", "crowd", "expected"),
    [
        ([[0.6, 0.9], [0.0, 0.8]], [0, 0], [0, 0], [1, -1]),  # the first takes the better cell: greedy
        ([[0.7, 0.7]], [0, 0], [0, 0], [1]),  # of two equals the later one
        ([[0.6, 0.9]], [0, 1], [0, 0], [0]),  # a cell that counts before an ignored one
        ([[0.9, 0.0], [0.8, 0.0]], [1, 0], [1, 0], [0, 0]),  # a crowd is not used up
        ([[0.9, 0.0], [0.8, 0.0]], [1, 0], [0, 0], [0, -1]),  # another ignored cell is
        ([[0.5, 0.0]], [0, 0], [0, 0], [0]),  # the threshold itself is enough
    ],
)
def test_greedy_matching_by_hand(table, ignore, crowd, expected):
    pairs = pairs_of(table, np.array(crowd, bool))
    matches = match_by_score(pairs, gt_ignore=np.array(ignore, bool), thresholds=np.array([0.5]))
    assert matches.tolist() == [expected]


def test_pairs_are_the_same_in_strips(monkeypatch):
    gt, pred = scene(3)
    masks = [encode(cell["mask"]) for cell in pred], [encode(cell["mask"]) for cell in gt]
    whole = overlapping_pairs(*masks, min_iou=0.2)
    monkeypatch.setattr("cellmm.evaluation.functional.overlaps._PAIRS_AT_ONCE", 100)
    strips = overlapping_pairs(*masks, min_iou=0.2)
    assert len(whole.iou) > 10
    assert np.array_equal(whole.pred, strips.pred) and np.array_equal(whole.gt, strips.gt)
    assert np.array_equal(whole.iou, strips.iou)


def test_bad_input_is_named():
    small, large = encode(np.ones((4, 4))), encode(np.ones((5, 4)))
    with pytest.raises(ValueError, match=r"several sizes.*\(4, 4\), \(5, 4\)"):
        overlapping_pairs([small], [large])
    with pytest.raises(ValueError, match="min_iou"):
        overlapping_pairs([small], [small], min_iou=0)
    with pytest.raises(ValueError, match="gt_crowd has 2 entries for 1 masks"):
        overlapping_pairs([small], [small], gt_crowd=[True, False])
    with pytest.raises(ValueError, match="falling order"):
        rank_matches(
            overlapping_pairs([small, small], [small]),
            scores=np.array([0.1, 0.2]),
            pred_areas=np.full(2, 16),
            gt_areas=np.full(1, 16),
            area_ranges=[(0, 1e10)],
        )
