"""A loss or gradient that is not finite: what is refused, what is said, what is kept."""

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform

from cellmm.commands.cli import main as cellmm
from cellmm.registry import HOOKS, TRANSFORMS

BAD_IMAGES = """
train_pipeline = {pipeline} + [dict(type="NanDraws", draws={draws}), dict(type="PackCellInputs")]
train_dataloader["dataset"] = dict(data_root=data_root, pipeline=train_pipeline)
custom_hooks = [dict(type="EMAHook", ema_type="ExponentialMovingAverage", update_buffers=True)]
default_hooks["non_finite"] = dict(max_skips={max_skips})
"""


@TRANSFORMS.register_module()
class NanDraws(BaseTransform):
    def __init__(self, draws):
        self.draws = draws

    def transform(self, results):
        if results["draw"] in self.draws:
            results["img"] = np.full_like(results["img"], np.nan)
        return results


def config(tiny_config, folder, draws, max_skips=0):
    steps = [dict(type="LoadImage"), dict(type="LoadCells"), dict(type="Normalize", mode="mean_std")]
    return tiny_config(folder, BAD_IMAGES.format(draws=draws, pipeline=steps, max_skips=max_skips))


def test_training_stops_and_names_the_files(tiny_config, tmp_path, capsys):
    """Draws 4 and 5 are the batch of iteration 3."""
    path = config(tiny_config, tmp_path, draws=[5])
    work = tmp_path / "work"
    assert cellmm(["train", str(path), "--work-dir", str(work)]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("cellmm train: iteration 3: loss")
    assert "(draw 4)" in line and "(draw 5)" in line and ".tif" in line and "clip_grad" in line
    dump = torch.load(work / "non_finite_iter_3.pth", weights_only=True)
    assert dump["meta"]["iter"] == 2
    assert [bool(image.isnan().any()) for image in dump["batch"]["inputs"]] == [False, True]
    for name in ("state_dict", "ema_state_dict"):
        assert all(torch.isfinite(weight).all() for weight in dump[name].values())
    resume = ["--resume", str(work / "non_finite_iter_3.pth")]
    assert cellmm(["train", str(path), "--work-dir", str(tmp_path / "again"), *resume]) == 1
    again = capsys.readouterr().err.splitlines()[-1]
    assert again.split("; to see it")[0] == line.split("; to see it")[0]


def test_tolerated_skips(tiny_config, tmp_path, capsys):
    """Weights, averaged weights and running means stay clean; one batch too many stops training."""
    path = config(tiny_config, tmp_path / "two", draws=[1, 4], max_skips=2)
    assert cellmm(["train", str(path), "--work-dir", str(tmp_path / "work")]) == 0
    state = torch.load(tmp_path / "work" / "iter_4.pth", weights_only=True)
    assert state["num_skips"] == 2
    for name in ("state_dict", "ema_state_dict"):
        assert all(torch.isfinite(weight).all() for weight in state[name].values())
    path = config(tiny_config, tmp_path / "three", draws=[1, 4, 6], max_skips=2)
    assert cellmm(["train", str(path), "--work-dir", str(tmp_path / "work3")]) == 1
    assert "iteration 4" in capsys.readouterr().err.splitlines()[-1]


def test_accumulated_gradients_are_dropped_with_the_bad_batch(tiny_config, tmp_path, capsys):
    """Iteration 1 is bad, 2 is good and takes its step alone; 3 is one too many."""
    path = config(tiny_config, tmp_path, draws=[1, 4], max_skips=1)
    options = ["--cfg-options", "optim_wrapper.accumulative_counts=2"]
    assert cellmm(["train", str(path), "--work-dir", str(tmp_path / "work"), *options]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "iteration 3: loss" in line and "(draw 4)" in line and "again: --resume (its state" in line
    before, after = (
        torch.load(tmp_path / "work" / name, weights_only=True)["optimizer"]["state"]
        for name in ("iter_2.pth", "non_finite_iter_3.pth")
    )
    assert [state["step"] for state in before.values()] == [state["step"] for state in after.values()]
    assert {float(state["step"]) for state in before.values()} == {1.0}


def test_a_diverging_training_stops(tiny_config, tmp_path, capsys):
    """A learning rate far too high."""
    path = tiny_config(tmp_path, 'optim_wrapper["optimizer"] = dict(type="SGD", lr=1e20)\n')
    assert cellmm(["train", str(path), "--work-dir", str(tmp_path / "work")]) == 1
    assert "lower the learning rate" in capsys.readouterr().err.splitlines()[-1]


def test_unusable_number():
    with pytest.raises(ValueError, match="got -1"):
        HOOKS.build(dict(type="NonFiniteHook", max_skips=-1))
