"""TrainedOnHook: checkpoints of every training say on which images it was."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from cellmm.commands.cli import main as cellmm
from cellmm.engine.hooks import CompareWithTrainingHook
from cellmm.engine.trained_on import TrainedOn
from cellmm.errors import CellMMError
from cellmm.registry import HOOKS
from cellmm.structures import CellSample

HALF = """
half = [dict(type="LoadImage"), dict(type="LoadCells", keep_original=True), dict(type="Rescale", factor=0.5)]
half = train_pipeline = test_pipeline = [*half, dict(type="Normalize"), dict(type="PackCellInputs")]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=half))
val_dataloader = test_dataloader = train_dataloader
"""


def runner(**parts):
    model = nn.Linear(1, 1)
    return SimpleNamespace(
        model=model, _resume=True, _load_from="a.pth", val_loop=None, train_loop=loop([disk()]), **parts
    )


def loop(dataset):
    return SimpleNamespace(dataloader=SimpleNamespace(dataset=dataset))


def disk(radius=10, **meta):
    y, x = np.mgrid[-20:21, -20:21]
    layers = torch.from_numpy(((y**2 + x**2 <= radius**2) * 1).astype(np.int32))[None]
    return dict(data_samples=CellSample(metainfo=meta, gt_layers=layers))


def batch(*shapes, scale=1.0):
    matrix = np.diag([1 / scale, 1 / scale, 1])
    return dict(
        inputs=[torch.zeros(2, *shape) for shape in shapes],
        data_samples=[CellSample(metainfo=dict(img_path="a.tif", to_original=matrix)) for _ in shapes],
    )


def test_the_extremes_of_all_batches_and_of_validation():
    hook, run = HOOKS.build(dict(type="TrainedOnHook")), runner()
    checkpoint = dict(meta={})
    hook.before_save_checkpoint(run, checkpoint)
    assert checkpoint["meta"] == {}, "nothing was trained on yet"
    whole = batch((20, 90), scale=0.5)
    sample = dict(inputs=whole["inputs"][0], data_samples=whole["data_samples"][0])
    run.val_loop = loop([sample])
    hook.before_train(run)
    hook.before_save_checkpoint(run, checkpoint)
    assert checkpoint["meta"] == {}
    hook.after_train_iter(run, 0, batch((32, 64), (40, 40)))
    hook.after_train_iter(run, 1, batch((48, 16)))
    hook.before_save_checkpoint(run, checkpoint)
    diameter = checkpoint["meta"]["trained_on"].pop("diameter")
    assert diameter == pytest.approx(20, abs=0.3)
    assert checkpoint["meta"]["trained_on"] == dict(size=[40, 90], scale=[1.0, 1.0])
    again = HOOKS.build(dict(type="TrainedOnHook"))
    again.after_load_checkpoint(run, checkpoint)
    again.after_train_iter(run, 2, batch((8, 8), scale=2.0))
    again.before_save_checkpoint(run, checkpoint)
    assert checkpoint["meta"]["trained_on"] == dict(size=[40, 90], scale=[1.0, 2.0])


def test_all_ranks_count(monkeypatch):
    other = torch.tensor([80.0, 100.0, 1.0, -0.25])
    reduce = "cellmm.engine.hooks.trained_on_hook.all_reduce"
    monkeypatch.setattr(reduce, lambda values, op: values.copy_(torch.maximum(values, other)))
    hook, checkpoint = HOOKS.build(dict(type="TrainedOnHook")), dict(meta={})
    hook.after_train_iter(runner(), 0, batch((90, 95), scale=2.0))
    hook.before_save_checkpoint(runner(), checkpoint)
    assert checkpoint["meta"]["trained_on"] == dict(size=[90, 100], scale=[0.25, 2.0])


def test_larger_images_of_a_test_are_counted(said, tiles_of_training):
    hook, run = CompareWithTrainingHook(TrainedOn((32, 32), (1.0, 1.0))), runner()
    run.model.tile, run.model.tile_step, run.model.margin = None, 8, 0
    for shapes in ([(32, 32), (64, 20)], [(48, 48)], [(40, 40)]):
        hook.before_test_iter(run, 0, batch(*shapes))
    hook.after_test_epoch(run)
    assert said == [
        "2 of 4 images are clearly larger than those of training (32x32 px) and were tested whole; to test "
        "in tiles, as `cellmm predict` does: --cfg-options model.tile=32 model.tile_overlap=8"
    ]
    run.model.tile = 16
    hook.after_test_epoch(run)
    assert len(said) == 1
    with pytest.raises(
        CellMMError, match="^a.tif: the pipeline scales its cells by 0.5, in training it was 1;"
    ):
        hook.before_test_iter(run, 0, batch((32, 32), scale=0.5))
    run.model.cell_size = object()  # the model finds the scale of each image itself
    hook.before_test_iter(run, 0, batch((32, 32), scale=0.5))


def test_train_test_and_resume(tiny_config, tmp_path, capsys):
    """The scale is that of Rescale; test and predict refuse a pipeline that scales otherwise."""
    config = str(tiny_config(tmp_path, HALF))
    work, size = tmp_path / "work", dict(size=[32, 32], scale=[0.5, 0.5])
    short = ["--cfg-options", "train_cfg.max_iters=2"]
    assert cellmm(["train", config, "--work-dir", str(work), *short]) == 0
    checkpoint = str(work / "iter_2.pth")
    noted = torch.load(checkpoint, weights_only=True)["meta"]["trained_on"]
    assert 3 < noted.pop("diameter") < 32 and noted == size
    other = str(
        tiny_config(tmp_path / "other", HALF.replace('"Rescale", factor=0.5', '"ResizeTo", size=(64, 64)'))
    )
    capsys.readouterr()
    assert cellmm(["test", other, checkpoint, "--work-dir", str(work)]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert (
        "scales its cells by 1, in training it was 0.5; replace Resize or ResizeTo by dict(type='Rescale'"
        in line
    )
    assert cellmm(["test", config, checkpoint, "--work-dir", str(work)]) == 0


def test_the_pixel_size_and_the_diameter_of_cells_are_noted():
    hook, run, checkpoint = HOOKS.build(dict(type="TrainedOnHook")), runner(), dict(meta={})
    run.train_loop = loop([disk(radius, model_pixel_size=(0.5, 0.5)) for radius in (5, 8, 15)])
    hook.before_train(run)
    hook.after_train_iter(run, 0, batch((32, 32)))
    hook.before_save_checkpoint(run, checkpoint)
    noted = TrainedOn.from_meta(checkpoint["meta"], "a.pth")
    assert noted.pixel_size == (0.5, 0.5) and noted.diameter == pytest.approx(16, abs=0.3)
    run.train_loop = loop([dict(data_samples=CellSample(gt_layers=torch.zeros(0, 8, 8, dtype=torch.int32)))])
    hook.before_train(run)
    hook.before_save_checkpoint(run, checkpoint)
    assert "diameter" not in checkpoint["meta"]["trained_on"]
