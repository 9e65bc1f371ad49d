"""What `cellmm test` makes of a config: without parts for training, and in one line where it cannot test."""

import json
from pathlib import Path

import mmengine.hooks
import pytest
import torch
from mmengine.model import BaseModel

from cellmm.commands import test
from cellmm.commands.cli import main as cellmm
from cellmm.commands.test import named, parse_args, prepare_config
from cellmm.config.load import load_config
from cellmm.engine.checkpoints import save_weights
from cellmm.errors import CellMMError
from cellmm.registry import HOOKS, MODELS

TINY = Path(__file__).parents[1] / "configs/tiny.py"
METRIC = "dict(type='CellCocoMetric')"


@HOOKS.register_module()
class OtherEMAHook(mmengine.hooks.EMAHook):
    """A hook of the user's own."""


@MODELS.register_module()
class OtherModel(BaseModel):
    """A model of the user's own."""

    def __init__(self, data_preprocessor):
        super().__init__(MODELS.build(data_preprocessor))


def prepared(folder: Path, more: str):
    path = folder / "mine.py"
    path.write_text(f"_base_ = [{str(TINY)!r}]\n{more}")
    return prepare_config(parse_args([str(path), "x.pth", "--work-dir", str(folder)]))


@pytest.mark.parametrize(
    ("hooks", "kept"),
    [
        ("None", []),
        ("[dict(type='EarlyStoppingHook', monitor='AP', rule='greater')]", []),
        ("[dict(type='mmengine.hooks.EarlyStoppingHook', monitor='AP', rule='greater')]", []),
        ("[dict(type='OtherEMAHook'), dict(type='EmptyCacheHook')]", ["EmptyCacheHook"]),
    ],
)
def test_hooks_that_only_train_are_left_out(tmp_path, hooks, kept):
    cfg = prepared(tmp_path, f"custom_hooks = {hooks}")
    assert [hook.type for hook in cfg.custom_hooks] == kept


def test_a_checkpoint_is_looked_at_before_the_images(tmp_path, monkeypatch):
    def fail(cfg):
        raise AssertionError("images are opened")

    monkeypatch.setattr(test, "build_runner", fail)
    torch.save(dict(state_dict=dict(a=torch.tensor([float("nan")]))), tmp_path / "nan.pth")
    torch.save(dict(state_dict=dict(a=torch.ones(1)), meta=dict(trained_on={})), tmp_path / "note.pth")
    for name, says in (("no.pth", "no such"), ("nan.pth", "hold NaN"), ("note.pth", "trained_on is damaged")):
        with pytest.raises(CellMMError, match=f"{name}: .*{says}"):
            test.main([str(TINY), str(tmp_path / name), "--work-dir", str(tmp_path)])


def test_default_hooks_that_only_train_are_left_out(tmp_path):
    early = "dict(type='EarlyStoppingHook', monitor='AP', rule='greater')"
    cfg = prepared(tmp_path, f"default_hooks = dict(early={early}, ema=dict(type='EMAHook'))")
    assert not {"early", "ema"} & set(cfg.default_hooks) and cfg.default_hooks.timer.type == "IterTimerHook"


def test_the_config_that_a_resumed_training_with_a_time_budget_wrote(tmp_path):
    """It resumes nothing, and no hook asks for the loop of a training."""
    hooks = "default_hooks = dict(param_scheduler=dict(type='TimeBudgetHook', minutes=1.0))\n"
    cfg = prepared(tmp_path, f"{hooks}resume = True\nload_from = 'iter_4.pth'\n")
    assert not cfg.resume and cfg.load_from is None and "param_scheduler" not in cfg.default_hooks


def test_a_config_without_a_test_set(tmp_path, capsys):
    off = "test_dataloader = test_cfg = test_evaluator = None"
    with pytest.raises(CellMMError, match=r"^test_dataloader: missing; "):
        prepared(tmp_path, off)
    assert cellmm(["test", str(tmp_path / "mine.py"), "x.pth", "--work-dir", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("cellmm test: test_dataloader: missing; ")


@pytest.mark.parametrize(
    ("value", "metric"),
    [
        (f"dict(_delete_=True, metrics=[{METRIC}])", lambda evaluator: evaluator.metrics[0]),
        (f"dict(_delete_=True, metrics={METRIC})", lambda evaluator: evaluator.metrics),
        (
            f"dict(_delete_=True, type='Evaluator', metrics=[{METRIC}])",
            lambda evaluator: evaluator.metrics[0],
        ),
        (f"[dict(type='DumpResults', out_file_path='a.pkl'), {METRIC}]", lambda evaluator: evaluator[1]),
    ],
)
def test_evaluators_of_every_form(tmp_path, value, metric):
    cfg = prepared(tmp_path, f"test_evaluator = {value}")
    assert metric(cfg.test_evaluator).outfile_prefix == str(tmp_path / "results")


LAZY = """
from mmengine.dataset import DefaultSampler
from cellmm.datasets import CellCocoDataset
from cellmm.datasets.transforms import LoadCells, LoadImage, PackCellInputs
from cellmm.engine import EarlyStoppingHook
from cellmm.evaluation import CellCocoMetric
from cellmm.models import CellDataPreprocessor

model = dict(type="OtherModel", data_preprocessor=dict(type=CellDataPreprocessor, in_channels=1, divisor=8))
pipeline = [dict(type=LoadImage), dict(type=LoadCells, keep_original=True), dict(type=PackCellInputs)]
test_dataloader = dict(
    sampler=dict(type=DefaultSampler, shuffle=False),
    dataset=dict(type=CellCocoDataset, ann_file="cells.json", pipeline=pipeline),
)
test_evaluator = dict(type=CellCocoMetric)
test_cfg = dict()
custom_hooks = [dict(type=EarlyStoppingHook, monitor="AP", rule="greater")]
"""


def test_types_may_be_classes(tmp_path):
    """As configs in the style of lazy imports have them: results are written all the same."""
    path = tmp_path / "mine.py"
    path.write_text(LAZY)
    cfg = prepare_config(parse_args([str(path), "x.pth", "--work-dir", str(tmp_path)]))
    assert cfg.test_evaluator.outfile_prefix == str(tmp_path / "results")
    assert cfg.custom_hooks == []


def test_validation_images_have_files_of_their_own(tmp_path):
    """The numbers of the test set are not written over, nor taken for those of the validation images."""
    config = Path(__file__).parents[2] / "configs/diskmask/bbbc010_cpu.py"
    options = ["--work-dir", str(tmp_path)]
    for split, dataset_split, file in (("test", "test", "results"), ("val", "train", "results_val")):
        cfg = prepare_config(parse_args([str(config), "x.pth", *options, "--split", split]))
        assert cfg.test_dataloader.dataset.split == dataset_split
        assert cfg.test_evaluator.outfile_prefix == str(tmp_path / file)
    assert named("metrics", "val") == "metrics_val" and named("metrics", "test") == "metrics"


def test_models_with_configs_of_one_name_have_work_dirs_of_their_own():
    dirs = {
        prepare_config(parse_args([f"configs/{model}/bbbc010_cpu.py", "x.pth"])).work_dir
        for model in ("sparseseunet", "diskmask")
    }
    assert dirs == {"work_dirs/sparseseunet/bbbc010_cpu", "work_dirs/diskmask/bbbc010_cpu"}


def test_the_config_of_the_training_stays(tiny_config, tmp_path, capsys):
    """A test in the work dir of a training writes its own config beside its log, not over the training's."""
    config = tiny_config(tmp_path, "train_cfg = dict(max_iters=2, val_interval=2)\n")
    work_dir = tmp_path / "run"
    place = ["--work-dir", str(work_dir)]
    assert cellmm(["train", str(config), *place]) == 0
    before = (work_dir / "tiny.py").read_bytes()
    assert cellmm(["test", str(config), str(work_dir), *place]) == 0
    assert (work_dir / "tiny.py").read_bytes() == before
    logged = [path for path in work_dir.glob("*/tiny.py") if b"train_dataloader" not in path.read_bytes()]
    assert len(logged) == 1
    assert json.loads((work_dir / "metrics.json").read_text())["checkpoint"] == str(work_dir / "iter_2.pth")


def test_views_are_asked_for_by_an_option_and_refused_by_a_model_without_them(tmp_path):
    words = ["x.pth", "--work-dir", str(tmp_path), "--tta", "turns"]
    cfg = prepare_config(parse_args([str(TINY), *words]))
    assert cfg.model.tta == "turns"
    other = tmp_path / "other.py"
    other.write_text(
        f"_base_ = [{str(TINY)!r}]\n"
        "model = dict(_delete_=True, type='OtherModel', data_preprocessor=dict(type='CellDataPreprocessor'))"
    )
    with pytest.raises(CellMMError, match=r"model\.tta"):
        prepare_config(parse_args([str(other), *words]))


def test_an_ensemble_with_views_is_not_taken_for_one_of_its_checkpoints(tiny_config, tmp_path):
    config = tiny_config(tmp_path / "run")
    weights = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = MODELS.build(load_config(config).model)
        weights.append(tmp_path / "run" / f"iter_{seed}.pth")
        save_weights(weights[-1], model.state_dict(), {})
    (config.parent / "last_checkpoint").write_text(str(weights[-1]))
    words = [str(config), str(weights[0]), "--model", str(weights[1]), "--tta", "flips"]
    assert cellmm(["test", *words, "--work-dir", str(tmp_path / "out")]) == 0
    about = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert about["tta"] == "flips" and Path(about["checkpoint"]).name == "iter_1.pth (ensemble)"
    assert "AP" in about


def test_options_may_stand_between_the_config_and_the_checkpoints():
    args = parse_args("a.py --tta flips a.pth --split val b.pth".split())
    assert (args.config, args.checkpoint, args.tta, args.split) == (
        "a.py",
        ["a.pth", "b.pth"],
        "flips",
        "val",
    )
