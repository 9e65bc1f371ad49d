"""`cellmm kfold`: trains, goes on where it was stopped, and writes one table and one file of results."""

import json

import pytest

from cellmm.commands import kfold
from cellmm.commands.cli import main as cellmm

FEW = "train_cfg = dict(max_iters=2, val_interval=2)\n"


def test_two_folds_stopped_and_resumed(tiny_config, tmp_path, monkeypatch, capsys):
    calls, fail = [], [True]

    def call(*words):
        words = [str(word) for word in words]
        calls.append((words[0], words[1].rpartition("/")[2]))
        if fail and calls[-1] == ("test", "fold1.py"):
            return False
        return cellmm(words) == 0

    monkeypatch.setattr(kfold, "_call", call)
    config, out = str(tiny_config(tmp_path, FEW)), tmp_path / "folds"
    words = ["kfold", config, "--folds", "2", "--out", str(out), "--group", r"\d+"]
    assert cellmm(words) == 1
    assert "folds that failed: 1" in capsys.readouterr().err
    assert not (out / "folds.md").exists()
    fail.clear()
    calls.clear()
    assert cellmm(words) == 0
    assert calls == [("test", "fold1.py")]  # all else was done
    table = (out / "folds.md").read_text()
    assert "| AP |" in table and "fold 1" in table
    metrics = [json.loads((out / f"fold{i}" / "metrics.json").read_text()) for i in range(2)]
    assert "AP" in metrics[0]
    found = {item["image_id"] for item in json.loads((out / "results.segm.json").read_text())}
    held = [
        {item["image_id"] for item in json.loads((out / f"fold{i}" / "results.segm.json").read_text())}
        for i in range(2)
    ]
    assert not held[0] & held[1] and held[0] | held[1] == found
    assert cellmm([*words, "--seed", "1"]) == 1
    assert "give another --out" in capsys.readouterr().err


def test_a_dry_run_and_a_fold_that_does_not_exist(tiny_config, tmp_path, capsys):
    config = str(tiny_config(tmp_path))
    words = ["kfold", config, "--folds", "2", "--out", str(tmp_path / "o"), "--group", r"\d+"]
    assert cellmm([*words, "--dry-run"]) == 0
    assert "fold 1: " in capsys.readouterr().out and not (tmp_path / "o").exists()
    assert cellmm([*words, "--fold", "2"]) == 1
    assert "folds are 0 to 1" in capsys.readouterr().err


@pytest.mark.parametrize("folds", ["1", "99"])
def test_folds_that_the_images_do_not_allow(tiny_config, tmp_path, folds, capsys):
    assert cellmm(["kfold", str(tiny_config(tmp_path)), "--folds", folds]) == 1
    assert f"--folds {folds}" in capsys.readouterr().err
