"""The kinds of errors and their cost in AP, on images whose answer is known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmm.evaluation import CellCocoMetric
from cellmm.evaluation import functional as F
from cellmm.structures import rle as rle_ops

SIZE = 40
A, B, C = (0, 0, 8, 8), (0, 16, 8, 24), (16, 0, 24, 8)  # cells of 8 x 8, apart
ALONE = (24, 24, 32, 32)  # lies on none of them


def mask(*boxes):
    """RLE of boxes (y0, x0, y1, x1)."""
    image = np.zeros((SIZE, SIZE), bool)
    for y0, x0, y1, x1 in boxes:
        image[y0:y1, x0:x1] = True
    return rle_ops.encode_one(image)


def scene(cells, predictions, *, scores=None, crowd=()):
    """One image; each cell and prediction is a box or a list of boxes."""
    masks = [mask(*(part if isinstance(part, list) else [part])) for part in (*cells, *crowd)]
    empty = F.ClassInImage(
        [],
        np.zeros(0),
        masks,
        np.array([False] * len(cells) + [True] * len(crowd), bool),
        rle_ops.area(masks),
    )
    found = [mask(*(part if isinstance(part, list) else [part])) for part in predictions]
    return empty.changed(found, np.linspace(0.9, 0.5, len(found)) if scores is None else scores)


def gains(*images, threshold=0.5):
    """AP50 points of each repair that changes AP50, and the counts of the first image."""
    images = [{0: image} for image in images]
    errors = [{0: F.find_errors(image[0], threshold=threshold)} for image in images]
    base = F.average_precision(images)[0, 0]
    values = {}
    for what in F.REPAIRS:
        repaired = [
            {0: F.repair(image[0], of_image[0], what, top_score=2.0)}
            for image, of_image in zip(images, errors, strict=True)
        ]
        gain = F.average_precision(repaired)[0, 0] - base
        if abs(gain) > 1e-12:
            values[what] = pytest.approx(gain)
    counts = {key: value for key, value in errors[0][0].counts().items() if value}
    return values, counts


def ap_of_recall(found, total, precision=1.0):
    """AP where the precision is constant up to a recall: 101 recall points from 0."""
    return precision * (math.floor(100 * found / total + 1e-9) + 1) / 101


def test_perfect_predictions_have_no_error():
    assert gains(scene([A, B], [A, B])) == ({}, dict(right=2))
    image = scene([A, B], [A, B])
    for what in F.REPAIRS:
        errors = F.find_errors(image)
        mended = F.repair(image, errors, what, top_score=2.0)
        assert mended.masks == image.masks and (mended is image or what == "ranking")


def test_one_of_two_cells_is_missed():
    assert gains(scene([A, B], [A])) == ({"missed": 1 - 51 / 101}, dict(right=1, missed=1))
    assert gains(scene([A, B], [])) == ({"missed": 1}, dict(missed=2))


def test_a_duplicate():
    # Right, duplicate, right: precision 1 up to recall .5, then 2/3.
    smaller = (0, 0, 8, 7)
    values, counts = gains(scene([A, B], [A, smaller, B]))
    before = (51 + 50 * 2 / 3) / 101
    assert values == {"duplicate": 1 - before, "ranking": 1 - before}
    assert counts == dict(right=2, duplicate=1)
    # A weak second one, with an IoU of 2/8 with a cell that is found, is a duplicate, too.
    assert gains(scene([A], [A, (0, 0, 8, 2)]))[1] == dict(right=1, duplicate=1)


def test_two_cells_merged():
    both = (0, 0, 8, 24)  # 192 px^2, 64 of each cell: IoU 1/3 with each, 2/3 with the two
    values, counts = gains(scene([A, B], [both]))
    assert values == {"merged": 1} and counts == dict(merged=1)
    # One of the two is found already: the merged prediction becomes the other one, at its rank.
    image = scene([A, B], [A, both])
    values, counts = gains(image)
    assert values == {"merged": 1 - 51 / 101} and counts == dict(right=1, merged=1)
    errors = F.find_errors(image)
    mended = F.repair(image, errors, "merged", top_score=2.0)
    assert errors.explains == {1: [0, 1]} and mended.masks == [mask(A), mask(B)]
    assert mended.scores.tolist() == [0.9, 0.5]
    # Two merged ones of the same cells: the second one has nothing left.
    image = scene([A, B], [both, both])
    mended = F.repair(image, F.find_errors(image), "merged", top_score=2.0)
    assert mended.masks == [mask(A), mask(B)] and mended.scores.tolist() == [0.9, 0.9]


def test_a_cell_under_another_one_does_not_make_it_merged():
    # Half of the other cell lies under A. The prediction is A and more: IoU 64/136 with it, 64/168 with both.
    errors = F.find_errors(scene([A, (4, 0, 12, 8)], [(0, 0, 8, 17)]))
    assert errors.kind == ["boundary"] and errors.missed.tolist() == [1]


def test_a_split_cell():
    # Thirds of a cell of 8 x 24, IoU 1/3 each.
    cell, thirds = (0, 0, 8, 24), [(0, 0, 8, 8), (0, 8, 8, 16), (0, 16, 8, 24)]
    values, counts = gains(scene([cell], thirds))
    assert values == {"split": 1} and counts == dict(split=1)
    image = scene([cell], thirds[:2])
    mended = F.repair(image, F.find_errors(image), "split", top_score=2.0)
    assert mended.masks == [mask(cell)] and mended.scores.tolist() == [0.9]
    # Two eighths cover too little of it; a single third is a poor boundary.
    assert gains(scene([cell], [(0, 0, 8, 3), (0, 8, 8, 11)]))[1] == dict(boundary=1, duplicate=1)
    assert gains(scene([cell], thirds[:1]))[1] == dict(boundary=1)
    # Of two pieces at the same place one is a duplicate; alone with that, the other one is no piece.
    image = scene([cell], [*thirds[:2], (0, 0, 7, 8)])
    assert F.find_errors(image).kind == ["split", "split", "duplicate"]
    assert F.find_errors(scene([cell], [(0, 0, 8, 11), (0, 1, 8, 12)])).kind == ["boundary", "duplicate"]
    # A found cell is not split: what else lies on it are duplicates.
    assert gains(scene([cell], [cell, *thirds]))[1] == dict(right=1, duplicate=3)


def test_a_crossing_cell_that_is_not_found_gets_the_prediction():
    # Cells of 30 px that share 20. The second prediction, 9 to 25: IoU 16/30 with A, 15/31 with B.
    cells = [(0, 0, 1, 30), (0, 10, 1, 40)]
    image = scene(cells, [cells[0], (0, 9, 1, 25)])
    errors = F.find_errors(image)
    assert errors.kind == ["right", "boundary"] and errors.explains == {1: [1]} and errors.missed.size == 0
    assert errors.cell.tolist() == [0, 0] and errors.iou.tolist() == pytest.approx([1, 16 / 30])
    assert F.repair(image, errors, "boundary", top_score=2.0).masks == [mask(part) for part in cells]
    assert gains(image)[0] == {"boundary": 1 - 51 / 101}
    # A still fits it better: the oracle of table 5.11 takes the best Dice.
    assert F.oracle(image, errors, "true masks").masks == [mask(cells[0])] * 2
    # Of two on B the better one is its boundary; the other one has no cell left.
    assert F.find_errors(scene(cells, [cells[0], (0, 9, 1, 25), (0, 9, 1, 26)])).kind[1:] == [
        "duplicate",
        "right",
    ]
    assert F.find_errors(scene(cells, [cells[0], (0, 9, 1, 24), (0, 9, 1, 25)])).kind[1:] == [
        "duplicate",
        "boundary",
    ]
    # With an IoU below .1 with B it is a duplicate of A: 3 px of 30 + 13 - 3.
    errors = F.find_errors(scene(cells, [cells[0], (0, 0, 1, 13)]))
    assert errors.kind == ["right", "duplicate"] and errors.missed.tolist() == [1]


def test_a_split_cell_that_crosses_a_found_one():
    # The first piece of B, 10 to 22, lies in A as well: IoU 12/30 with both.
    cells = [(0, 0, 1, 30), (0, 10, 1, 40)]
    image = scene(cells, [cells[0], (0, 10, 1, 22), (0, 28, 1, 40)])
    errors = F.find_errors(image)
    assert errors.kind == ["right", "split", "split"] and errors.explains == {1: [1], 2: [1]}
    assert errors.counts()["split"] == 1
    assert F.repair(image, errors, "split", top_score=2.0).masks == [mask(part) for part in cells]


def test_a_mask_that_is_too_small():
    half = (0, 0, 8, 3)  # IoU 3/8
    assert gains(scene([A], [half])) == ({"boundary": 1}, dict(boundary=1))
    # At another threshold a mask may be wrong that is right at .5.
    image = scene([A], [(0, 0, 8, 5)])
    assert F.find_errors(image).kind == ["right"]
    assert F.find_errors(image, threshold=0.75).kind == ["boundary"]
    # Of two on a cell the one with the higher IoU is its boundary, whatever the order.
    errors = F.find_errors(scene([A], [(0, 0, 8, 2), ALONE, (0, 0, 9, 3)]))
    assert errors.kind == ["duplicate", "false alarm", "boundary"] and errors.missed.size == 0


def test_a_false_alarm_ranks_first():
    values, counts = gains(scene([A, B], [ALONE, A, B]))
    assert values == {"false alarm": 1 / 3, "ranking": 1 / 3}
    assert counts == {"right": 2, "false alarm": 1}
    # IoU .1 is on the cell, 9/100 of it is not.
    cell = (0, 0, 10, 10)
    assert F.find_errors(scene([cell], [(0, 0, 10, 1)])).kind == ["boundary"]
    assert F.find_errors(scene([cell], [(0, 0, 9, 1)])).kind == ["false alarm"]


def test_reversed_scores():
    # Cells 8/8, 7/8 and 6/8 right, and two false alarms that rank first.
    cells, masks = [A, B, C], [A, (0, 16, 8, 23), (16, 0, 24, 6)]
    image = scene(cells, [*masks, ALONE, (24, 0, 32, 8)], scores=[0.1, 0.2, 0.3, 0.8, 0.9])
    values, counts = gains(image)
    assert values == {"ranking": 1 - 3 / 5, "false alarm": 1 - 3 / 5}
    assert counts == {"right": 3, "false alarm": 2}
    errors = F.find_errors(image)
    mended = F.repair(image, errors, "ranking", top_score=2.0)
    assert mended.masks[:3] == [mask(part) for part in masks]
    assert mended.scores.tolist() == pytest.approx([1, 7 / 8, 6 / 8, -1, -1])
    assert F.confident_errors([{0: image}], [{0: errors}]) == 2
    # The better order also serves the high thresholds: at .8 only two of three are right.
    assert F.average_precision([{0: mended}])[0, 6] == pytest.approx(ap_of_recall(2, 3))


def test_crowd_regions():
    region = (16, 16, 32, 32)
    image = scene([A], [A, (18, 18, 26, 26), [ALONE]], crowd=[region])
    errors = F.find_errors(image)
    assert errors.kind == ["right", "ignored", "ignored"] and errors.missed.size == 0
    assert F.oracle(image, errors, "true masks").masks == image.masks
    assert F.oracle(image, errors, "best matches").masks == image.masks
    assert gains(image)[0] == {}


def test_the_oracles():
    near, twice, nothing = (0, 0, 8, 5), (0, 1, 8, 8), ALONE  # IoU 5/8, 7/8, 0 with A
    image = scene([A, B], [near, twice, nothing, (4, 16, 12, 24)])  # the last: 1/3 with B
    errors = F.find_errors(image)
    assert errors.kind == ["right", "duplicate", "false alarm", "boundary"]
    exact = F.oracle(image, errors, "true masks")
    assert exact.masks == [mask(A), mask(A), mask(ALONE), mask(B)]
    assert exact.scores.tolist() == image.scores.tolist()
    best = F.oracle(image, errors, "best matches")
    assert (
        best.masks == [image.masks[1], image.masks[3]]
        and best.scores.tolist() == image.scores[[1, 3]].tolist()
    )


def test_classes_are_averaged():
    # All found, half found, and a class without cells, whose prediction counts nowhere.
    image = {0: scene([A], [A]), 1: scene([A, B], [A]), 2: scene([], [A])}
    ap = F.average_precision([image], area_ranges=(F.ALL_AREAS, (0.0, 63.0)))
    assert ap[0] == pytest.approx([(1 + 51 / 101) / 2] * 10) and np.isnan(ap[1]).all()


def test_nothing_at_all():
    image = scene([], [])
    errors = F.find_errors(image)
    assert errors.kind == [] and set(errors.counts().values()) == {0}
    assert np.isnan(F.average_precision([{0: image}])).all() and np.isnan(F.average_precision([])).all()
    assert F.find_errors(scene([], [A, B])).kind == ["false alarm"] * 2
    with pytest.raises(ValueError, match="what is 'luck'"):
        F.repair(image, errors, "luck", top_score=1.0)
    with pytest.raises(ValueError, match="what is 'luck'"):
        F.oracle(image, errors, "luck")


boxes = st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(2, 12)] * 2).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
scenes = st.builds(
    scene, st.lists(boxes, max_size=5), st.lists(boxes, max_size=7), crowd=st.lists(boxes, max_size=1)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(scenes, min_size=1, max_size=3))
def test_whatever_the_masks(images):
    ranges = ((0.0, 1e10), (0.0, 40.0))
    # The same AP as the metric's.
    metric = CellCocoMetric(area_bounds=(40.0, 1e9))
    for i, image in enumerate(images):
        truth = dict(
            masks=image.gt_masks,
            labels=np.zeros(len(image.gt_masks)),
            ignore=image.gt_crowd,
            areas=image.gt_areas,
        )
        guess = dict(masks=image.masks, scores=image.scores, labels=np.zeros(len(image.masks)))
        metric.process(None, [dict(img_id=i, eval_instances=truth, pred_instances=guess)])
    numbers = metric.evaluate(len(images))
    ap = F.average_precision([{0: image} for image in images], area_ranges=ranges)
    assert [*ap.mean(axis=1), ap[0, 0]] == pytest.approx(
        [numbers[key] for key in ("AP", "AP_S", "AP50")], nan_ok=True
    )
    mended = []
    for image in images:
        errors = F.find_errors(image)
        # Each prediction has one kind; each cell is found, missed, or explained by an error.
        assert set(errors.kind) <= {"right", "ignored", *F.KINDS}
        blamed = {j for those in errors.explains.values() for j in those}
        found = set(np.flatnonzero(errors.found))
        assert found | blamed | set(errors.missed) == set(np.flatnonzero(~image.gt_crowd))
        assert not set(errors.missed) & (found | blamed)
        # Repaired, predictions have none of that kind any more.
        for what in (*F.KINDS, "missed"):
            after = F.find_errors(F.repair(image, errors, what, top_score=2.0)).counts()
            assert after[what] == 0 or what not in ("duplicate", "false alarm", "missed")
        mended.append({0: F.repair(image, errors, "ranking", top_score=2.0)})
    best = F.average_precision(mended).mean()
    assert math.isnan(best) or best >= ap[0].mean() - 1e-9
