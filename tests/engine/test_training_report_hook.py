"""The report that each training writes at its end, also when it is stopped."""

import json

import pytest
from mmengine.hooks import Hook
from mmengine.runner import Runner

from cellmm.commands.train import main
from cellmm.engine.hooks import TrainingReportHook
from cellmm.registry import HOOKS


@HOOKS.register_module()
class CtrlC(Hook):
    """Stops the training in the fourth iteration."""

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if runner.iter == 3:
            raise KeyboardInterrupt


@pytest.fixture
def train(tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr(Runner, "_log_env", lambda *args: None)
    lines = "train_cfg = dict(max_iters=4, val_interval=2)\ndefault_hooks = dict(logger=dict(interval=1))\n"

    def run(more=""):
        main([str(tiny_config(tmp_path / "configs", lines + more)), "--work-dir", str(tmp_path / "work")])

    return run


def test_at_the_end_with_the_best_and_the_worst_image(train, tmp_path):
    train()
    page = (tmp_path / "work/report.html").read_text()
    assert "tiny: 4 of 4 iterations" in page and "after iteration 4. Left" in page
    folder = tmp_path / "work/best_and_worst"
    scores = json.loads((folder / "scores.json").read_text())
    assert (scores["iter"], scores["images"], len(scores["best"]), len(scores["worst"])) == (4, 2, 1, 1)
    best, worst = scores["best"][0], scores["worst"][0]
    assert best["S"] >= worst["S"] and best["image"] != worst["image"]
    assert sorted(path.name for path in folder.iterdir()) == ["best_1.png", "scores.json", "worst_1.png"]
    rows = [json.loads(line) for line in next((tmp_path / "work").glob("*/vis_data/scalars.json")).open()]
    assert rows[-1]["S"] == pytest.approx((best["S"] + worst["S"]) / 2)


def test_after_ctrl_c(train, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train("custom_hooks = [dict(type='CtrlC')]\n")
    page = (tmp_path / "work/report.html").read_text()
    assert "tiny: 3 of 4 iterations" in page and "at the validation after iteration 2" in page


def test_a_report_that_cannot_be_written_does_not_end_the_training(train, tmp_path):
    (tmp_path / "work/report.html").mkdir(parents=True)
    train()
    text = next((tmp_path / "work").glob("*/*.log")).read_text()
    assert "no report of the training: " in text and (tmp_path / "work/iter_4.pth").exists()


def test_what_is_refused():
    with pytest.raises(ValueError, match="number must be 1 or more, got 0"):
        TrainingReportHook(0)
