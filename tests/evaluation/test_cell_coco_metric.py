"""The registered metric: keys, conventions, files, errors, several ranks."""

import csv
import json
import math

import numpy as np
import pytest
import torch
import torch.distributed as dist
from pycocotools import mask as mask_utils

from cellmm.errors import CellMMError
from cellmm.registry import METRICS


def square(y, x, side=4, size=32):
    mask = np.zeros((size, size), np.uint8, order="F")
    mask[y : y + side, x : x + side] = 1
    rle = mask_utils.encode(mask)
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def sample(img_id, cells, guesses, *, scores=None, labels=None, guess_labels=None, ignore=None, areas=None):
    scores = [0.9] * len(guesses) if scores is None else scores
    return dict(
        img_id=img_id,
        img_path=f"folder/image_{img_id}.tif",
        ori_shape=(32, 32),
        eval_instances=dict(
            masks=cells,
            labels=np.array([0] * len(cells) if labels is None else labels, np.int64),
            ignore=np.array([False] * len(cells) if ignore is None else ignore, bool),
            areas=np.array([math.nan] * len(cells) if areas is None else areas, float),
        ),
        pred_instances=dict(
            masks=guesses,
            labels=torch.tensor([0] * len(guesses) if guess_labels is None else guess_labels),
            scores=torch.tensor(scores, dtype=torch.float32),
        ),
    )


def run(*samples, classes=("cell",), **kwargs):
    metric = METRICS.build(dict(type="CellCocoMetric", **kwargs))
    metric.dataset_meta = dict(classes=classes)
    metric.process(None, samples)
    return metric.evaluate(len(samples))


A, B, C, D = square(0, 0), square(0, 10), square(10, 0), square(10, 10)


def test_perfect_predictions_have_every_number_and_all_are_one():
    numbers = run(sample(1, [A, B], [A, B]), sample(2, [C], [C]))
    undefined = {"AP_M", "AP_L"}  # 16 px^2 is small
    assert {key for key, value in numbers.items() if math.isnan(value)} == undefined
    assert numbers.pop("FP_per_image") == 0
    assert all(value == 1 for key, value in numbers.items() if key not in undefined)
    names = {f"{n}{s}" for n in ("S", "F1", "PQ") for s in ("", "_pooled")}
    at = {f"{n}{t}{s}" for n in ("S", "F1_", "PQ") for t in (50, 60, 70, 80, 90) for s in ("", "_pooled")}
    assert numbers.keys() == names | at | {"AP", "AP50", "AP75", "AP90", "AR", "AP_S", "AP_M", "AP_L"}


@pytest.mark.parametrize(
    ("classes", "options"),
    [
        (("cell",), {}),
        (("cell", "worm"), {}),
        (("cell", "worm"), dict(prefix="val", iou_thresholds=(0.5, 0.75))),
    ],
)
def test_the_keys_are_known_before(classes, options):
    metric = METRICS.build(dict(type="CellCocoMetric", **options))
    metric.dataset_meta = dict(classes=classes)
    stated = metric.metric_keys
    assert sorted(stated) == sorted(run(sample(1, [A, B], [A, B]), classes=classes, **options))
    assert len(stated) == len(set(stated))


def test_a_set_without_cells_counts_false_alarms(monkeypatch):
    said = []
    monkeypatch.setattr(
        "cellmm.evaluation.metrics.cell_coco_metric.print_log", lambda text, **_: said.append(text)
    )
    numbers = run(sample(1, [], [A, B], scores=[0.9, 0.2]), sample(2, [], []), sample(3, [], [C, D]))
    assert "false alarms: 3 predictions with a score of 0.3 or more in 2 images" in said[0]
    assert numbers["FP_per_image"] == 1 and numbers["S"] == numbers["F1_50"] == numbers["PQ_pooled"] == 0
    assert all(math.isnan(numbers[key]) for key in ("AP", "AP50", "AR", "AP_S", "AP_L"))
    quiet = run(sample(1, [], []), sample(2, [], []))
    assert quiet["FP_per_image"] == 0 and math.isnan(quiet["S"]) and math.isnan(quiet["AP"])
    assert run(sample(1, [A], [A, D]))["FP_per_image"] == 1


def test_results_have_the_category_ids_of_the_annotation(tmp_path):
    metric = METRICS.build(dict(type="CellCocoMetric", outfile_prefix=str(tmp_path / "r")))
    metric.dataset_meta = dict(classes=("egg", "worm"), category_ids=(7, 0))
    metric.process(None, [sample(1, [A, B], [A, B], labels=[0, 1], guess_labels=[1, 0])])
    metric.evaluate(1)
    assert [result["category_id"] for result in json.loads((tmp_path / "r.segm.json").read_text())] == [0, 7]


def test_per_image_and_pooled_by_hand():
    # Image 1: 3 cells, all found: S 1. Image 2: 1 cell, 1 wrong prediction: S 0. Pooled: 3 / (3 + 1 + 1).
    numbers = run(sample(1, [A, B, C], [A, B, C]), sample(2, [A], [D]))
    assert (numbers["S"], numbers["S_pooled"]) == (0.5, 0.6)
    assert (numbers["F1"], numbers["F1_pooled"]) == (0.5, 0.75)
    assert (numbers["PQ90"], numbers["PQ90_pooled"]) == (0.5, 0.75)


def test_iou_thresholds_by_hand():
    # 4x4 against 4x5: IoU 0.8.
    wide = np.zeros((32, 32), np.uint8, order="F")
    wide[0:4, 0:5] = 1
    numbers = run(sample(1, [A], [mask_utils.encode(wide)]))
    assert [numbers[f"S{t}"] for t in (50, 60, 70, 80, 90)] == [1, 1, 1, 1, 0]
    assert numbers["S"] == pytest.approx(0.8) and numbers["PQ"] == pytest.approx(0.64)
    assert (numbers["AP50"], numbers["AP75"], numbers["AP90"]) == (1, 1, 0)
    assert numbers["AP"] == pytest.approx(0.7)  # 0.50 to 0.80 of 0.50:0.05:0.95


def test_score_thr_is_for_s_only(caplog):
    samples = sample(1, [A, B], [A, B, D], scores=[0.9, 0.5, 0.25])
    assert run(samples)["S"] == 1
    assert run(samples, score_thr=0.2)["S"] == pytest.approx(2 / 3)
    low = run(samples, score_thr=0.95)
    assert low["S"] == 0 and low["AP"] == 1


def test_area_bounds():
    tiny, large = square(0, 0, 2), square(10, 10, 10)  # 4 and 100 px^2
    cells = sample(1, [tiny, B, large], [tiny, large], scores=[0.5, 0.9])
    numbers = run(cells, area_bounds=(10, 50))
    assert (numbers["AP_S"], numbers["AP_M"], numbers["AP_L"]) == (1, 0, 1)
    # The annotation's own area counts: 4 px^2 that were annotated as 60 are large, and found there too.
    numbers = run(sample(1, [tiny, large], [large, tiny], areas=[60, math.nan]), area_bounds=(10, 50))
    assert math.isnan(numbers["AP_S"]) and numbers["AP_L"] == 1


def test_classes_are_matched_apart():
    numbers = run(
        sample(1, [A, B], [A, B], labels=[0, 1], guess_labels=[0, 0]), classes=("worm", "egg", "absent")
    )
    # Worm: one right (rank 1), one wrong. Egg: missed. The class without cells is left out of the mean.
    assert (numbers["AP/worm"], numbers["AP/egg"]) == (1, 0) and math.isnan(numbers["AP/absent"])
    assert numbers["AP"] == 0.5
    assert numbers["S50"] == pytest.approx(1 / 3)
    assert (numbers["S/worm"], numbers["S/egg"]) == (0.5, 0) and math.isnan(numbers["S/absent"])


def test_crowd_regions_are_ignored():
    crowd = square(0, 0, 16)
    numbers = run(sample(1, [crowd, square(20, 20)], [A, B, square(20, 20)], ignore=[True, False]))
    assert numbers["AP"] == numbers["S"] == numbers["PQ"] == 1


def test_no_cells_and_no_predictions():
    empty = run(sample(1, [], []))
    assert empty.pop("FP_per_image") == 0 and all(math.isnan(value) for value in empty.values())
    missed = run(sample(1, [A], []))
    assert missed["AP"] == missed["AR"] == missed["S"] == missed["PQ_pooled"] == 0
    invented = run(sample(1, [], [A]))
    assert math.isnan(invented["AP"]) and invented["S"] == invented["F1_pooled"] == 0
    # An image with neither is left out of the mean per image; one with a false cell alone counts as 0.
    assert run(sample(1, [A], [A]), sample(2, [], []))["S"] == 1
    assert run(sample(1, [A], [A]), sample(2, [], [B]))["S"] == 0.5


def test_files(tmp_path):
    run(
        sample(7, [A, B], [A, D], scores=[0.75, 0.25]),
        sample(3, [], []),
        outfile_prefix=str(tmp_path / "out" / "results"),
    )
    results = json.loads((tmp_path / "out" / "results.segm.json").read_text())
    assert results == [
        dict(image_id=7, category_id=1, segmentation=A, score=0.75, bbox=[0, 0, 4, 4], area=16),
        dict(image_id=7, category_id=1, segmentation=D, score=0.25, bbox=[10, 10, 4, 4], area=16),
    ]
    with open(tmp_path / "out" / "results.images.csv", newline="") as file:
        empty, row = csv.DictReader(file)
    assert (row["image"], row["cells"], row["predictions"], row["counted"]) == ("image_7.tif", "2", "2", "1")
    assert (row["TP50"], row["FP50"], row["FN50"], row["S50"]) == ("1", "0", "1", "0.500000")
    assert (empty["img_id"], empty["S50"]) == ("3", "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "results.images.csv",
        "results.segm.json",
    ]


def test_a_mended_metric_can_be_used_again():
    metric = METRICS.build(dict(type="CellCocoMetric"))
    for _ in range(2):
        metric.process(None, [sample(1, [A], [A])])
        assert metric.evaluate(1)["AP"] == 1


def drop(key, field=None):
    broken = sample(1, [A], [A])
    broken.pop(key) if field is None else broken[key].pop(field)
    return broken


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([sample(1, [A], [A]), sample(1, [A], [A])], r"img_id 1 came 2 times \(image_1.tif\)"),
        ([sample(1, [A], [A], labels=[1])], r"labels \[0, 1\] do not fit the classes"),
        ([sample(1, [A], [square(0, 0, size=16)])], r"image_1.tif: prediction masks of size \[\(16, 16\)\]"),
        ([sample(1, [A], [A], scores=[math.nan])], "image_1.tif: a score is nan"),
        (
            [sample(1, [A], [A], scores=[0.5, 0.5])],
            "image_1.tif: the fields of the prediction differ in length",
        ),
        (
            [drop("pred_instances")],
            "no pred_instances; .*mode='predict'.*instance_head or postprocess .* SemanticMetric",
        ),
        ([drop("eval_instances")], r"keep_original=True"),
    ],
)
def test_what_is_wrong_is_named(samples, message):
    with pytest.raises(CellMMError, match=message):
        run(*samples)


def test_missing_images_are_an_error():
    metric = METRICS.build(dict(type="CellCocoMetric"))
    with pytest.raises(CellMMError, match="no image was evaluated"):
        metric.evaluate(3)
    metric.process(None, [sample(1, [A], [A])])
    with pytest.raises(CellMMError, match="1 of 3 images"):
        metric.evaluate(3)


@pytest.mark.parametrize(
    "wrong",
    [
        dict(area_bounds=(9, 9)),
        dict(area_bounds=(9,)),
        dict(iou_thresholds=()),
        dict(iou_thresholds=(0.555,)),
        dict(iou_thresholds=(0.5, 0.5)),
        dict(max_dets=0),
    ],
)
def test_wrong_settings_are_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is .*"):
        METRICS.build(dict(type="CellCocoMetric", **wrong))


def _one_rank(rank, world_size, meeting_point, queue):
    dist.init_process_group("gloo", init_method=f"file://{meeting_point}", rank=rank, world_size=world_size)
    # Three images on two ranks, as mmengine's sampler deals them out: the last one is image 0 again.
    images = [sample(0, [A, B], [A]), sample(1, [A], [A]), sample(2, [A, B, C, D], [A])]
    metric = METRICS.build(dict(type="CellCocoMetric"))
    metric.process(None, [(images[0], images[2]), (images[1], images[0])][rank])
    queue.put(metric.evaluate(3))
    dist.destroy_process_group()


def test_two_ranks_with_a_padded_last_batch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # mmengine exchanges results through a folder here
    alone = run(sample(0, [A, B], [A]), sample(1, [A], [A]), sample(2, [A, B, C, D], [A]))
    assert alone["S"] == pytest.approx((1 / 2 + 1 + 1 / 4) / 3)
    context = torch.multiprocessing.get_context("fork")
    queue = context.Queue()
    args = [(rank, 2, tmp_path / "meeting_point", queue) for rank in range(2)]
    ranks = [context.Process(target=_one_rank, args=of_rank, daemon=True) for of_rank in args]
    for process in ranks:
        process.start()
    numbers = [queue.get(timeout=60) for _ in ranks]
    for process in ranks:
        process.join(timeout=60)
    for of_rank in numbers:
        assert of_rank == pytest.approx(alone, nan_ok=True)


def test_predictions_that_max_dets_leaves_out_are_said(monkeypatch):
    said = []
    monkeypatch.setattr(
        "cellmm.evaluation.metrics.cell_coco_metric.print_log", lambda text, **_: said.append(text)
    )
    images = [sample(1, [A], [A, B]), sample(2, [A, B], [A, B, C, D]), sample(3, [A], [A])]
    numbers = run(*images, max_dets=1)
    assert numbers["AR"] == pytest.approx(0.75)
    (line,) = said
    assert line.startswith("max_dets=1 left out 4 predictions in 2 of 3 images, most in image_2.tif (3 of 4)")
    assert line.endswith("set max_dets=None to count all")
    # of each class as many as that
    run(sample(1, [A, B], [A, B], labels=[0, 1], guess_labels=[0, 1]), classes=("a", "b"), max_dets=1)
    run(*images)
    assert len(said) == 1
