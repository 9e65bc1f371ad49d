"""What is refused between building the Runner and the first step."""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from cellmm.config.load import load_config
from cellmm.engine.preflight import cell_counts, check_runner
from cellmm.engine.runner import build_runner
from cellmm.errors import CellMMError
from cellmm.registry import MODELS
from cellmm.structures import LabelLayers

PIPELINE = "train_dataloader.dataset.pipeline"


@pytest.fixture
def runner_of(tiny_config, tmp_path, monkeypatch):
    """``runner_of(options, steps)`` builds the Runner of the tiny config with these options, and with these
    steps of the training pipeline, by their number, replaced.
    """
    monkeypatch.setattr("cellmm.engine.runner.check_runner", lambda runner: None)  # called by the tests
    monkeypatch.setattr(Runner, "_log_env", lambda *args: None)
    monkeypatch.setattr(Config, "pretty_text", "")  # most of the time of building

    def build(options: dict | None = None, steps: dict | None = None, leave_out: tuple[str, ...] = ()):
        cfg = load_config(tiny_config(tmp_path), options)
        for number, step in (steps or {}).items():
            cfg.train_dataloader.dataset.pipeline[number] = step
        cfg.work_dir = str(tmp_path / "work")
        for key in list(cfg):
            if key.startswith(leave_out or ("-",)):
                cfg.pop(key)
        return build_runner(cfg)

    return build


def num_cells(root: Path, split: str) -> list[int]:
    """Cells of each image."""
    content = json.loads((root / split / "annotations.json").read_text())
    ids = [cell["image_id"] for cell in content["annotations"]]
    return [ids.count(image["id"]) for image in content["images"]]


class Draws:
    """A step that takes from the global generators, as no step should."""

    def __call__(self, results: dict) -> dict:
        random.random(), np.random.rand(), torch.rand(1)
        return results


class Doubles:
    """A step that adds a copy of each cell."""

    adds_cells = True

    def __call__(self, results: dict) -> dict:
        cells, num = results["gt_layers"], len(results["gt_layers"])
        copies = np.where(cells.layers > 0, cells.layers + num, 0)
        results["gt_layers"] = LabelLayers(np.concatenate([cells.layers, copies]), num=2 * num)
        for key in ("gt_labels", "gt_ignore", "gt_areas"):
            results[key] = np.concatenate([results[key]] * 2)
        return results


def test_a_good_config_passes_and_nothing_is_built_twice(runner_of):
    runner = runner_of(steps={3: dict(type=Draws)})
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    check_runner(runner)
    assert random.getstate() == states[0]
    assert (np.random.get_state()[1] == states[1]).all() and torch.equal(torch.get_rng_state(), states[2])
    loops = runner.train_loop, runner.val_loop
    assert loops[0].dataloader._iterator is None
    runner.train()
    assert (runner.train_loop, runner.val_loop) == loops and runner.iter == 4


BEST = "default_hooks.checkpoint.save_best"
NO_VALIDATION = {"val_evaluator": None, "val_dataloader": None, "val_cfg": None}
PLATEAU = dict(type="ReduceOnPlateauLR")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({BEST: "AP_50"}, f"{BEST}: the metrics of val_evaluator give no 'AP_50'; did you mean AP50?"),
        ({BEST: ["AP", "S_pooled", "F1_50", "AP_L"]}, ""),
        ({BEST: "auto"}, ""),
        ({BEST: "AP", "val_evaluator.prefix": "cells"}, f"{BEST}: the metrics .* did you mean cells/AP?"),
        ({BEST: "cells/AP", "val_evaluator.prefix": "cells"}, ""),
        ({BEST: "anything", "val_evaluator": [dict(type="DumpResults", out_file_path="a.pkl")]}, ""),
        (
            {BEST: "AP", "val_evaluator": None, "val_dataloader": None, "val_cfg": None},
            f"{BEST}: 'AP' comes from",
        ),
        (
            {"custom_hooks": [dict(type="EarlyStoppingHook", monitor="ap", rule="greater")]},
            "custom_hooks.0.monitor: the metrics of val_evaluator give no 'ap'",
        ),
        ({"param_scheduler": [PLATEAU]}, "param_scheduler.0.monitor: the metrics .* give no 'loss'"),
        ({"param_scheduler": [dict(monitor="AP", rule="greater", **PLATEAU)]}, ""),
    ],
)
def test_what_is_watched_is_given(runner_of, options, says):
    rule = {"default_hooks.checkpoint.rule": "greater"} if BEST in options else {}
    runner = runner_of(options | rule)
    if says:
        with pytest.raises(CellMMError, match=f"^{says}"):
            check_runner(runner)
    else:
        check_runner(runner)


OPTIMIZER = "optim_wrapper.optimizer"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({f"{OPTIMIZER}.weight_decay": -1}, r"optim_wrapper\.optimizer: .*weight_decay"),
        ({f"{OPTIMIZER}.betas": [2, 0.9]}, r"optim_wrapper\.optimizer: .*beta"),
        ({f"{OPTIMIZER}.eps": "x"}, r"optim_wrapper\.optimizer: "),
        (
            {OPTIMIZER: dict(type="SGD", lr=0.1, _delete_=True)}
            | {"optim_wrapper.paramwise_cfg": dict(norm_decay_mult=0)},
            "optim_wrapper: base_wd should not be None",
        ),
        (
            {"param_scheduler": [dict(type="LinearLR", by_epoch=False, start_factor=3)]},
            r"param_scheduler\.0: ",
        ),
        ({"param_scheduler": [dict(by_epoch=False, monitor="AP", **PLATEAU)]}, r"param_scheduler\.0: "),
        ({"auto_scale_lr": dict(enable=True)}, "auto_scale_lr: .*base_batch_size"),
    ],
)
def test_values_of_the_optimizer_and_its_schedules(runner_of, options, says):
    with pytest.raises(CellMMError, match=f"^{says}") as error:
        check_runner(runner_of(options))
    assert len(str(error.value).splitlines()) == 1


def test_the_optimizer_is_built_and_scaled_once(runner_of):
    schedule = dict(type="ConstantLR", factor=0.5, by_epoch=False, begin=0, end=3)
    options = {"param_scheduler": [schedule], "auto_scale_lr": dict(enable=True, base_batch_size=1)}
    runner = runner_of(options)
    batch = runner._train_dataloader["batch_size"]
    assert batch > 1  # or this tests nothing
    check_runner(runner)
    built = runner.optim_wrapper, runner.param_schedulers[0]
    assert built[0].get_lr()["lr"][0] == pytest.approx(1e-3 * batch * 0.5)
    runner.train()
    assert (runner.optim_wrapper, runner.param_schedulers[0]) == built
    assert built[0].get_lr()["lr"][0] == pytest.approx(1e-3 * batch)


def test_more_cells_than_queries(runner_of, tiny_data):
    counts = num_cells(tiny_data, "train")
    most, more = max(counts), sum(count > 2 for count in counts)
    options = {"model.heads.instances.num_queries": 2}
    says = rf"num_queries: 2, but {more} of 5 training images have more cells, .* {most}; set it to {most} or"
    with pytest.raises(CellMMError, match=says):
        check_runner(runner_of(options))
    check_runner(runner_of({"model.heads.instances.num_queries": most}))


def test_cells_are_counted_as_they_come_out_of_the_pipeline(runner_of, tiny_data):
    """Whatever its steps are called: by what they say they remove."""
    most = max(num_cells(tiny_data, "train"))
    options = {"model.heads.instances.num_queries": most - 1}
    for crop in (
        dict(type="Albumentations", transforms=[dict(type="RandomCrop", height=16, width=16)]),
        dict(type="RandomWarp", size=(16, 16)),
        dict(type="CropRegion", y0=0, x0=0, y1=16, x1=16),
    ):
        check_runner(runner_of(options, {3: crop}))
    with pytest.raises(
        CellMMError, match=f"num_queries: {most - 1}, but .* {most}; set it to {most} or more"
    ):
        check_runner(runner_of(options, {3: dict(type="CropRegion", y0=0, x0=0, y1=64, x1=64)}))


def test_cells_that_a_step_adds_are_counted(runner_of, tiny_data):
    most = max(num_cells(tiny_data, "train"))
    check_runner(runner_of({"model.heads.instances.num_queries": 2 * most}, {3: dict(type=Doubles)}))
    with pytest.raises(CellMMError, match=f"num_queries: {most}, but .* training images have more cells"):
        check_runner(runner_of({"model.heads.instances.num_queries": most}, {3: dict(type=Doubles)}))


def test_only_some_images_go_through_a_pipeline_that_removes_cells(runner_of, monkeypatch):
    monkeypatch.setattr(cell_counts, "LOOKED_AT", 1)
    options = {"model.heads.instances.num_queries": 1}
    whole = dict(type="CropRegion", y0=0, x0=0, y1=64, x1=64)
    with pytest.raises(CellMMError, match="num_queries: 1, but at least 1 of 5 training images have more"):
        check_runner(runner_of(options, {3: whole}))
    flip = dict(type="Albumentations", transforms=[dict(type="HorizontalFlip")])  # removes none
    with pytest.raises(CellMMError, match="num_queries: 1, but 5 of 5 training images have more"):
        check_runner(runner_of(options, {3: flip}))


def test_more_cells_in_validation_are_counted_in_the_log(runner_of, tiny_data, logged):
    counts, val = num_cells(tiny_data, "train"), num_cells(tiny_data, "val")
    fewest = min(counts)
    assert max(val) > fewest  # or this data tests nothing
    options = {
        "train_dataloader.dataset.indices": [counts.index(fewest)],
        "model.heads.instances.num_queries": fewest,
    }
    check_runner(runner_of(options))
    more = sum(count > fewest for count in val)
    start = f"val_dataloader: {more} of 2 images have more cells than model.heads.instances.num_queries"
    assert [line.startswith(start) for line in logged] == [True]


def test_a_runner_that_only_tests(runner_of, logged):
    options = {"model.heads.instances.num_queries": 1}
    leave_out = ("train_", "val_", "optim_wrapper", "param_scheduler")
    check_runner(runner_of(options, leave_out=leave_out))
    start = "test_dataloader: 3 of 3 images have more cells than model.heads.instances.num_queries (1)"
    assert [line.startswith(start) for line in logged] == [True]


def test_what_would_stop_a_test_at_its_end(runner_of, tiny_data, tmp_path):
    leave_out = ("train_", "val_", "optim_wrapper", "param_scheduler")
    shutil.copytree(tiny_data, tmp_path / "cut")
    last = max((tmp_path / "cut" / "test" / "images").iterdir())
    last.write_bytes(last.read_bytes()[:300])
    (tmp_path / "file").touch()
    for options, says in (
        ({"test_evaluator.collect_device": "tpu"}, r"^test_evaluator\.collect_device: 'tpu'"),
        (
            {"test_evaluator.outfile_prefix": str(tmp_path / "file" / "x")},
            r"^test_evaluator\.outfile_prefix: ",
        ),
        ({"test_dataloader.dataset.data_root": str(tmp_path / "cut")}, last.name),
    ):
        with pytest.raises(CellMMError, match=says):
            check_runner(runner_of(options, leave_out=leave_out))


def changed_data(tiny_data: Path, folder: Path, change) -> dict:
    """Options for a copy of the data whose training annotation went through ``change``."""
    shutil.copytree(tiny_data, folder)
    path = folder / "train" / "annotations.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return {"train_dataloader.dataset.data_root": str(folder)}


def test_a_class_that_the_model_does_not_have(runner_of, tiny_data, tmp_path):
    def change(content):
        first = content["categories"][0]["id"]
        content["categories"].append(dict(id=first + 1, name="other"))
        content["annotations"][-1]["category_id"] = first + 1

    options = changed_data(tiny_data, tmp_path / "classes", change)
    check_runner(runner_of(options))  # class_agnostic
    for loader in ("train_dataloader", "val_dataloader"):  # validated on the same images and classes
        options[f"{loader}.dataset.class_agnostic"] = False
        options[f"{loader}.dataset.data_root"] = str(tmp_path / "classes")
        options[f"{loader}.dataset.split"] = "train"
    says = r"^model\.heads\.instances\.num_classes: 1, but .*0005.tif has a cell of class 1 \(from 0\)"
    with pytest.raises(CellMMError, match=says):
        check_runner(runner_of(options))
    check_runner(runner_of({**options, "model.heads.instances.num_classes": 2}))


def test_crowds_and_class_of_crowds_are_not_counted(runner_of, tiny_data, tmp_path):
    def change(content):
        for cell in content["annotations"][1:]:
            cell["iscrowd"] = 1

    options = changed_data(tiny_data, tmp_path / "crowds", change)
    check_runner(runner_of({**options, "model.heads.instances.num_queries": 1}))


def test_an_image_that_cannot_be_read(runner_of, tiny_data, tmp_path):
    options = changed_data(tiny_data, tmp_path / "cut", lambda content: None)
    image = tmp_path / "cut" / "train" / "images" / "0001.tif"
    image.write_bytes(image.read_bytes()[:200])
    with pytest.raises(CellMMError, match=r"0001\.tif"):
        check_runner(runner_of(options))


def test_a_validation_image_that_cannot_be_used_is_known_before_training(runner_of, tiny_data, tmp_path):
    shutil.copytree(tiny_data, tmp_path / "cut")
    image = tmp_path / "cut" / "val" / "images" / "0001.tif"
    image = image if image.is_file() else min(image.parent.iterdir())
    image.write_bytes(image.read_bytes()[:200])
    with pytest.raises(CellMMError, match=image.name):
        check_runner(runner_of({"val_dataloader.dataset.data_root": str(tmp_path / "cut")}))
    pipeline = [dict(type="LoadImage"), dict(type="LoadCells")]
    says = r"^val_dataloader\.dataset\.pipeline: it has to end with dict\(type='PackCellInputs'\)"
    with pytest.raises(CellMMError, match=says):
        check_runner(runner_of({"val_dataloader.dataset.pipeline": pipeline}))
    pipeline = [dict(type="LoadImage", channels=[0]), dict(type="LoadCells"), dict(type="PackCellInputs")]
    says = r"^model\.data_preprocessor\.in_channels: 2, but .* has 1 channels"
    with pytest.raises(CellMMError, match=says):
        check_runner(runner_of({"val_dataloader.dataset.pipeline": pipeline}))


DEEP = {
    "model.encoder.widths": (4,) * 6,  # coarsest stride 64 with the stem's 2
    "model.decoder.widths": (4,) * 5,
}


def crop(rows: int, first: int = 0) -> dict:
    return dict(type="CropRegion", y0=first, y1=rows, x0=0, x1=32)


def random_crop(size: int) -> dict:
    return dict(type="Albumentations", transforms=[dict(type="RandomCrop", height=size, width=size)])


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        (
            {0: dict(type="LoadImage", channels=[0])},
            r"model\.data_preprocessor\.in_channels: 2, but .* 1 ",
        ),
        ({4: dict(type="RandomIntensity")}, f"{PIPELINE}: it has to end with"),
        ({1: dict(type="RandomIntensity")}, f"{PIPELINE}: no step loads the cells"),
        ({3: crop(5, first=5)}, f"{PIPELINE}.3: an empty or negative region: rows 5 to 5"),
        ({3: crop(65)}, r".*0001\.tif is 64x64 pixels, smaller than the region to crop"),
        ({3: random_crop(99)}, r".*0001\.tif: Crop size .*; take a smaller crop"),
    ],
)
def test_the_first_sample(runner_of, steps, says):
    with pytest.raises(CellMMError, match=f"^{says}"):
        check_runner(runner_of(steps=steps))


@pytest.mark.parametrize(
    ("options", "steps", "says"),
    [
        (
            {"train_dataloader.batch_size": 1, **DEEP},
            {},
            r"train_dataloader\.batch_size: 1, and .* 64x64 px",
        ),
        ({"train_dataloader.batch_size": 2, **DEEP}, {}, ""),
        ({"train_dataloader.batch_size": 1, **DEEP}, {2: dict(type="ResizeTo", size=(64, 65))}, ""),
        ({"train_dataloader.num_batch_per_epoch": 2}, {}, ""),
    ],
)
def test_the_size_of_the_first_sample(runner_of, options, steps, says):
    runner = runner_of(options, steps)
    if says:
        with pytest.raises(CellMMError, match=f"^{says}"):
            check_runner(runner)
    else:
        check_runner(runner)


def test_wrapped_datasets_cannot_be_drawn_from(runner_of):
    runner = runner_of()
    inside = runner._train_dataloader["dataset"]
    runner._train_dataloader["dataset"] = dict(type="mmengine.RepeatDataset", times=2, dataset=inside)
    with pytest.raises(
        CellMMError, match=r"^train_dataloader\.dataset\.type: RepeatDataset of mmengine does"
    ):
        check_runner(runner)


@pytest.mark.parametrize(("least", "refused"), [(64, False), (65, True), ((64, 65), True), ((64, 64), False)])
def test_the_size_that_a_model_states(runner_of, least, refused):
    runner = runner_of()
    runner.model.encoder.min_size = least
    if refused:
        with pytest.raises(CellMMError, match=rf"^{PIPELINE}: .*64x64 px; the model needs 6\dx65 px"):
            check_runner(runner)
    else:
        check_runner(runner)


def test_a_map_that_no_step_writes(runner_of):
    """What SemanticHead says at the first step of training is known before."""
    for targets, says in (
        (None, r"no step writes gt_semantic, which model\.heads\.maps learns; add SemanticTargets"),
        (
            ("cytoplasm", "border"),
            r"gt_semantic has border, cytoplasm and not 'overlap', which model\.heads\.maps learns; "
            r"add SemanticTargets or BoundaryTargets with this map, or change model\.heads\.maps\.target$",
        ),
        (("cytoplasm", "overlap"), ""),
    ):
        steps = {} if targets is None else {3: dict(type="SemanticTargets", targets=targets)}
        runner = runner_of(steps=steps)
        head = dict(type="SemanticHead", in_channels=(4,), stride=2, target="overlap")
        runner.model.heads["maps"] = MODELS.build(head)
        if says:
            with pytest.raises(CellMMError, match=f"^{PIPELINE}: {says}"):
                check_runner(runner)
        else:
            check_runner(runner)
