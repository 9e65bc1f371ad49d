"""The numbers of a training, from the files of each of its starts."""

import json

import pytest

from cellmm.engine.training_report.scalars import (
    curve,
    loss_keys,
    metric_keys,
    read_runs,
    read_scalars,
    validations,
)
from cellmm.errors import CellMMError


def train(step, loss):
    return dict(loss=loss, loss_dice=loss / 2, loss_dice_0=loss / 4, lr=1e-3, step=step, iter=step)


def log(work_dir, start, rows, cut=""):
    path = work_dir / start / "vis_data" / "scalars.json"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + cut)
    return path


def test_a_resumed_run_is_one_curve(tmp_path):
    log(tmp_path, "20260101_000000", [train(10, 4.0), train(20, 3.0), dict(AP=0.1, step=20), train(30, 9.0)])
    log(tmp_path, "20260102_000000", [train(25, 2.0), dict(AP=0.2, step=25)], cut='{"loss": 1.')
    rows = read_scalars(tmp_path)
    assert curve(rows, "loss") == ([10, 20, 25], [4.0, 3.0, 2.0])
    assert curve(rows, "AP") == ([20, 25], [0.1, 0.2])
    assert curve(rows, "AP50") == ([], [])
    assert loss_keys(rows) == ["loss", "loss_dice"]
    assert [len(rows) for _, rows in read_runs(tmp_path)] == [3, 2]


def test_a_run_begun_anew_replaces_the_old_one(tmp_path):
    log(tmp_path, "20260101_000000", [train(10, 4.0), train(500, 1.0)])
    new = log(tmp_path, "20260102_000000", [train(10, 5.0)])
    assert curve(read_scalars(tmp_path), "loss") == ([10], [5.0])
    assert [file for file, _ in read_runs(tmp_path)] == [new]


def test_validations_of_a_training_that_counts_epochs_stand_at_their_iteration(tmp_path):
    log(
        tmp_path,
        "20260101_000000",
        [train(7, 4.0), dict(AP=0.1, step=1), train(14, 3.0), dict(AP=0.2, step=2)],
    )
    log(tmp_path, "20260102_000000", [train(21, 2.0), dict(AP=0.3, step=3)])  # resumed after epoch 2
    rows = read_scalars(tmp_path)
    assert curve(rows, "AP") == ([7, 14, 21], [0.1, 0.2, 0.3]) and curve(rows, "loss")[0] == [7, 14, 21]


def test_metrics_begin_with_those_that_are_drawn(tmp_path):
    log(
        tmp_path,
        "20260101_000000",
        [train(1, 1.0), dict(F1=0.5, S=0.4, AP=0.1, data_time=1.0, time=2.0, step=1)],
    )
    rows = read_scalars(tmp_path)
    assert metric_keys(rows) == ["AP", "S", "F1"] and [row["S"] for row in validations(rows)] == [0.4]


def test_what_is_no_training(tmp_path):
    with pytest.raises(CellMMError, match=r"no \*/vis_data/scalars.json"):
        read_scalars(tmp_path)
    path = log(tmp_path, "20260101_000000", [])
    with pytest.raises(CellMMError, match="nothing is logged yet"):
        read_scalars(tmp_path)
    path.write_text("{\n" + json.dumps(train(1, 2.0)) + "\n")
    with pytest.raises(CellMMError, match="line 1 is not json"):
        read_scalars(tmp_path)
