"""What would fail hours later is one line before the first iteration: trainings of the command line."""

import errno
import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim.scheduler import ConstantLR
from mmengine.runner import Runner

from cellmm.commands import cli
from cellmm.datasets import CellCocoDataset
from cellmm.engine import preflight
from cellmm.engine.hooks import FirstCheckpointHook
from cellmm.engine.preflight import build
from cellmm.errors import CellMMError
from cellmm.models.heads import IAMHead
from cellmm.registry import DATASETS, HOOKS, MODELS, PARAM_SCHEDULERS


@DATASETS.register_module()
class SameIds(CellCocoDataset):
    """Every image has the same id."""

    def load_data_list(self) -> list[dict]:
        return [info | {"img_id": 7} for info in super().load_data_list()]


@MODELS.register_module()
class HeadThatDividesByZero(IAMHead):
    def __init__(self, share: int, **kwargs) -> None:
        super().__init__(num_queries=16 // share, **kwargs)


@PARAM_SCHEDULERS.register_module()
class EndsEarly(ConstantLR):
    def _get_value(self) -> list[float]:
        if self.last_step > 2:
            raise ValueError("there is no value any more")
        return super()._get_value()


@HOOKS.register_module()
class StoresObjects(Hook):
    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        checkpoint["mine"] = Path()


@HOOKS.register_module()
class IsParticular(Hook):
    def before_train(self, runner: Runner) -> None:
        raise ValueError("never fits; leave it out")


@pytest.fixture
def start(tiny_config, tmp_path, capfd, monkeypatch):
    """``start(lines)``: status, lines on stderr and what was printed by a training of the tiny config with
    these lines of Python.
    """
    monkeypatch.setattr(Runner, "_log_env", lambda *args: None)
    monkeypatch.setattr(Config, "pretty_text", "")  # most of the time of building

    def run(lines: str):
        path = tiny_config(tmp_path / "configs", lines.format(folder=tmp_path) + "\n")
        capfd.readouterr()
        status = cli.main(["train", str(path), "--work-dir", str(tmp_path / "work")])
        out, err = capfd.readouterr()
        return status, [line for line in err.splitlines() if line], out

    return run


HEAD = "model.heads.instances"


def in_head(values: str) -> str:
    return f"model = dict(heads=dict(instances=dict({values})))"


ROWS = {
    "one cycle": (
        "param_scheduler = [dict(type='OneCycleLR', eta_max=0.01, total_steps=4, by_epoch=False)]",
        r"param_scheduler\.0: OneCycleLR keeps an object .* take LinearLR",
    ),
    "a schedule that ends too early": (
        "param_scheduler = [dict(type='EndsEarly', by_epoch=False, factor=0.5)]",
        r"param_scheduler\.0: at iteration 3 of 4: there is no value any more; change its end",
    ),
    "no keep_original": (
        "val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=["
        "dict(type='LoadImage'), dict(type='LoadCells'), dict(type='PackCellInputs')]))",
        r"\.tif: no eval_instances; put LoadCells\(keep_original=True\) into the pipeline",
    ),
    "repeated ids": (
        "val_dataloader = dict(dataset=dict(_delete_=True, type='SameIds', data_root=data_root,"
        "ann_file='val/annotations.json', img_dir='val/images', class_agnostic=True, pipeline=["
        "dict(type='LoadImage'), dict(type='LoadCells', keep_original=True), dict(type='PackCellInputs')]))",
        r"val_dataloader\.dataset: img_id 7 came 2 times \(.*\.tif, .*\.tif\); give each image its own",
    ),
    "results that cannot be written": (
        "val_evaluator = dict(outfile_prefix=r'{folder}/configs/tiny.py/x')",
        r"val_evaluator\.outfile_prefix: .*x\.segm\.json cannot be written: .* name another place",
    ),
    "pictures that cannot be written": (
        "custom_hooks = [dict(type='OverlayHook', out_dir=r'{folder}/configs/tiny.py/x')]",
        r"custom_hooks\.0\.out_dir: .*image\.png cannot be written: .* name another place",
    ),
    "two metrics of one name": (
        "val_evaluator = [dict(type='CellCocoMetric'), dict(type='CellCocoMetric', score_thr=0.5)]",
        r"val_evaluator: two metrics give 'AP'; set prefix=",
    ),
    "tile": ("model = dict(tile=0)", r"model: tile must be 1 or more, a whole number, got 0"),
    "collect_device": (
        "val_evaluator = dict(collect_device='tpu')",
        r"val_evaluator\.collect_device: 'tpu' is not known; take 'cpu' or 'gpu'",
    ),
    "dynamic_intervals of 0": (
        "train_cfg = dict(dynamic_intervals=[(2, 0)])",
        r"train_cfg\.dynamic_intervals: .* whole numbers from 1",
    ),
    "dynamic_intervals without pairs": (
        "train_cfg = dict(dynamic_intervals=[2, 4])",
        r"train_cfg\.dynamic_intervals: .* give pairs",
    ),
    "max_norm": (
        "optim_wrapper['clip_grad'] = dict(max_norm=-1)",
        r"optim_wrapper: clip_grad\.max_norm must be above 0, got -1",
    ),
    "num_queries": (
        in_head("num_queries=0"),
        rf"{HEAD}: num_queries must be 1 or more, a whole number, got 0",
    ),
    "a number that is not whole": (
        in_head("feature_dim=2.5"),
        rf"{HEAD}: feature_dim must be 1 or more, a whole number, got 2\.5",
    ),
    "a threshold": (
        in_head("test_cfg=dict(score_thr=1.5)"),
        rf"{HEAD}: score_thr must be from 0 to 1, got 1\.5",
    ),
    "a weight below 0": (
        in_head("criterion=dict(loss_dice=dict(type='DiceLoss', loss_weight=-1))"),
        r"model\.heads\.instances\.criterion\.loss_dice: loss_weight must be 0 or more, got -1",
    ),
    "window_size": (
        "log_processor = dict(window_size=0.5)",
        r"log_processor\.window_size: .* a whole number of at least 1, got 0\.5",
    ),
    "depth": (
        in_head("mask_branch=dict(depth=-1)"),
        rf"{HEAD}\.mask_branch: depth must be 1 or more, a whole number, got -1",
    ),
    "any other error of a constructor": (
        in_head("_delete_=True, type='HeadThatDividesByZero', share=0"),
        rf"{HEAD}: cannot be made with these values, ZeroDivisionError \(.*\); check each of them",
    ),
    "divisor": (
        "model = dict(data_preprocessor=dict(divisor=4))",
        r"model\.data_preprocessor\.divisor: 4, but 8 follows from the other parts; leave it out",
    ),
    "widths": (
        "model = dict(encoder=dict(widths=()))",
        r"model\.encoder: widths must be 1 or more, a whole number, got \(\)",
    ),
    "betas": (
        "optim_wrapper['optimizer']['betas'] = (0.9,)",
        r"optim_wrapper\.optimizer: cannot be made with these values, .*; check each of them",
    ),
    "momentum of averaged weights": (
        "custom_hooks = [dict(type='EMAHook', momentum=2)]",
        r"custom_hooks\.0: momentum must be .* 2",
    ),
    "a hook that refuses": (
        "custom_hooks = [dict(type='IsParticular')]",
        r"custom_hooks\.0: never fits; leave it out",
    ),
    "the second of two hooks that refuse": (
        "custom_hooks = [dict(type='EMAHook', momentum=0.1),"
        "dict(type='OverlayHook', out_dir=r'{folder}/pics'),"
        "dict(type='OverlayHook', out_dir=r'{folder}/configs/tiny.py/x')]",
        r"custom_hooks\.2\.out_dir: .*image\.png cannot be written: .* name another place",
    ),
    "a checkpoint that cannot be read": (
        "custom_hooks = [dict(type='StoresObjects')]",
        r"work: a checkpoint of this training could not be resumed from: refused, it holds objects",
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_one_line_before_the_first_iteration(row, start, tmp_path):
    lines, says = ROWS[row]
    status, errors, out = start(lines)
    assert status == 1 and len(errors) == 1, errors
    assert re.search(says, errors[0]), errors[0]
    assert errors[0].startswith("cellmm train: ") and "Iter(train)" not in out
    assert not list((tmp_path / "work").glob("**/*.pth"))


class Own:
    """A component of a plug-in."""

    def __init__(self, at_work: bool) -> None:
        if not at_work:
            raise TypeError("wrong value")

    def load(self) -> None:
        {}["bug"]


@pytest.mark.parametrize("at_work", [True, False])
def test_a_bug_of_a_plug_in_is_no_wrong_value(at_work):
    config = dict(dataset=dict(type=Own, at_work=at_work))
    with pytest.raises(KeyError if at_work else CellMMError) as info:
        build("train_dataloader", lambda: Own(at_work).load(), config)
    assert at_work or str(info.value).startswith("train_dataloader.dataset: cannot be made with these values")


def test_a_full_disk_is_named(start, tmp_path, monkeypatch):
    write_bytes = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if ".trial" in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    status, errors, out = start("")
    assert status == 1 and len(errors) == 1 and "Iter(train)" not in out
    says = "a first checkpoint cannot be written (No space left on device): free some disk space"
    assert f"{tmp_path / 'work'}: {says}" in errors[0] and "--resume" not in errors[0]
    assert not list((tmp_path / "work").glob(".*.pth"))


def test_every_validation_image_is_opened(start, tiny_data, tmp_path):
    shutil.copytree(tiny_data, tmp_path / "cut")
    last = max((tmp_path / "cut" / "val" / "images").iterdir())
    last.write_bytes(last.read_bytes()[:300])
    status, errors, out = start("val_dataloader = dict(dataset=dict(data_root=r'{folder}/cut'))")
    assert status == 1 and len(errors) == 1 and last.name in errors[0], errors
    assert "Iter(train)" not in out


def test_the_trial_changes_nothing(tiny_config, tmp_path, monkeypatch):
    """Training with and without FirstCheckpointHook ends with the same bits, and the trial file is gone."""
    monkeypatch.setattr(Runner, "_log_env", lambda *args: None)
    states, trials = [], []
    for name in ("with", "without"):
        if name == "without":
            monkeypatch.setattr(FirstCheckpointHook, "before_train", lambda self, runner: None)
            monkeypatch.setattr(preflight, "check_prediction", lambda *args: trials.append(args))
        path = tiny_config(tmp_path / "configs")
        assert cli.main(["train", str(path), "--work-dir", str(tmp_path / name)]) == 0
        states.append(torch.load(tmp_path / name / "iter_4.pth", weights_only=True)["state_dict"])
        assert not list((tmp_path / name).glob(".*.pth"))
    assert len(trials) == 1
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
