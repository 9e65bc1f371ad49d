"""A training that goes on with another config: what it asks for is used and named, or refused."""

import copy
import types

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import EMAHook

from cellmm.commands.cli import main as cellmm
from cellmm.engine.loops import IterBasedTrainLoop
from cellmm.engine.resumed_config import compare, config_json
from cellmm.errors import CellMMError
from cellmm.registry import HOOKS

COSINE = dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=100)
LINEAR = dict(type="LinearLR", by_epoch=False, begin=0, end=50)
MADE = dict(
    max_iters=100,
    work_dir="one",
    model=dict(
        type="CellSegmentor",
        encoder=dict(type="SEUNetEncoder", widths=(4, 4)),
        heads=dict(instances=dict(type="IAMHead", score_thr=0.1, loss_cls=dict(type="FocalLoss", alpha=0.2))),
    ),
    train_dataloader=dict(
        batch_size=2,
        num_workers=2,
        dataset=dict(
            type="CocoCells",
            data_root="data",
            pipeline=[dict(type="LoadImage"), dict(type="Noise", sigma=1.0), dict(type="PackCellInputs")],
        ),
    ),
    val_dataloader=dict(dataset=dict(data_root="data")),
    train_cfg=dict(type="IterBasedTrainLoop", max_iters=100, val_interval=10),
    optim_wrapper=dict(
        type="OptimWrapper",
        optimizer=dict(type="AdamW", lr=1e-3, betas=(0.9, 0.999)),
        paramwise_cfg=dict(norm_decay_mult=0.0),
    ),
    param_scheduler=[LINEAR, COSINE],
    default_hooks=dict(checkpoint=dict(type="CheckpointHook", interval=4), logger=dict(interval=10)),
    custom_hooks=[dict(type="EMAHook", momentum=0.01)],
    randomness=dict(seed=0),
)


def changed(changes):
    """``MADE`` with other values: {key: value}, a value of None removes the key."""
    new = copy.deepcopy(MADE)
    for path, value in changes.items():
        *parents, last = (int(key) if key.isdigit() else key for key in path.split("."))
        place = new
        for key in parents:
            place = place[key]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return Config(new)


def found(changes, iteration=6, ranks=1):
    made = dict(config=config_json(Config(copy.deepcopy(MADE))), ranks=ranks)
    checkpoint = dict(meta=dict(iter=iteration), trained_with=made)
    return compare(checkpoint, changed(changes), "a.pth")


@pytest.mark.parametrize(
    ("changes", "lines", "rates"),
    [
        ({}, [], False),
        ({"max_iters": 7, "note": "of ours"}, [], False),  # names of the config itself
        ({"optim_wrapper.optimizer.lr": 1e-4}, ["optim_wrapper.optimizer.lr: 0.001 -> 0.0001"], True),
        (
            {"optim_wrapper.optimizer.betas": (0.8, 0.999)},
            ["optim_wrapper.optimizer.betas: [0.9, 0.999] -> [0.8, 0.999]"],
            True,
        ),
        (
            {"optim_wrapper.optimizer.weight_decay": 0.1},
            ["optim_wrapper.optimizer.weight_decay: absent -> 0.1"],
            True,
        ),
        (
            {"optim_wrapper.paramwise_cfg.norm_decay_mult": 1.0},
            ["optim_wrapper.paramwise_cfg.norm_decay_mult: 0.0 -> 1.0"],
            True,
        ),
        (
            {"param_scheduler.1.end": 200, "train_cfg.max_iters": 200},
            ["train_cfg.max_iters: 100 -> 200", "param_scheduler.1.end: 100 -> 200"],
            True,
        ),
        ({"param_scheduler": [COSINE]}, [f"param_scheduler.LinearLR: {LINEAR} -> absent"], True),
        ({"param_scheduler": None}, [f"param_scheduler: {[LINEAR, COSINE]}"[:137] + "... -> absent"], True),
        (
            {"optim_wrapper.clip_grad": dict(max_norm=5)},
            ["optim_wrapper.clip_grad: absent -> {'max_norm': 5}"],
            False,
        ),
        (
            {"optim_wrapper.type": "AmpOptimWrapper"},
            ["optim_wrapper.type: 'OptimWrapper' -> 'AmpOptimWrapper'"],
            False,
        ),
        ({"optim_wrapper.accumulative_counts": 3}, ["optim_wrapper.accumulative_counts: absent -> 3"], False),
        ({"train_cfg.val_interval": 5}, ["train_cfg.val_interval: 10 -> 5"], False),
        ({"default_hooks.checkpoint.interval": 5}, ["default_hooks.checkpoint.interval: 4 -> 5"], False),
        ({"custom_hooks.0.momentum": 0.1}, ["custom_hooks.0.momentum: 0.01 -> 0.1"], False),
        ({"custom_hooks": None}, [f"custom_hooks: {MADE['custom_hooks']} -> absent"], False),
        ({"train_dataloader.batch_size": 4}, ["train_dataloader.batch_size: 2 -> 4"], False),
        (
            {"train_dataloader.dataset.data_root": "more"},
            ["train_dataloader.dataset.data_root: 'data' -> 'more'"],
            False,
        ),
        (
            {"train_dataloader.dataset.pipeline.1.sigma": 2.0},
            ["train_dataloader.dataset.pipeline.1.sigma: 1.0 -> 2.0"],
            False,
        ),
        (
            {"train_dataloader.dataset.pipeline": [dict(type="LoadImage"), dict(type="PackCellInputs")]},
            ["train_dataloader.dataset.pipeline.Noise: {'type': 'Noise', 'sigma': 1.0} -> absent"],
            False,
        ),
        (
            {"model.heads.instances.loss_cls.alpha": 0.3},
            ["model.heads.instances.loss_cls.alpha: 0.2 -> 0.3"],
            False,
        ),
        ({"model.heads.instances.score_thr": 0.3}, ["model.heads.instances.score_thr: 0.1 -> 0.3"], False),
        ({"randomness.deterministic": True}, ["randomness.deterministic: absent -> True"], False),
    ],
)
def test_what_is_used_as_asked(changes, lines, rates):
    result = found(changes)
    assert (result.lines, result.rates, result.idle, result.unknown) == (lines, rates, [], False)


def test_the_order_of_a_pipeline_is_a_difference():
    steps = MADE["train_dataloader"]["dataset"]["pipeline"]
    (line,) = found({"train_dataloader.dataset.pipeline": steps[::-1]}).lines
    assert line.startswith("train_dataloader.dataset.pipeline: [{'type': 'LoadImage'}")


def test_long_values_are_shown_where_they_differ():
    steps = [*(dict(type="Noise", sigma=float(i)) for i in range(30)), dict(type="Blur")]
    made = changed({"train_dataloader.dataset.pipeline": steps})
    checkpoint = dict(meta={}, trained_with=dict(config=config_json(made)))
    (line,) = compare(checkpoint, changed({"train_dataloader.dataset.pipeline": steps[:-1]}), "a.pth").lines
    assert len(line) < 300 and "{'type': 'Blur'}] -> ..." in line


def test_what_does_not_reach_the_weights():
    result = found(
        {
            "work_dir": "two",
            "train_dataloader.num_workers": 0,
            "val_dataloader.dataset.data_root": "more",
            "default_hooks.logger.interval": 1,
        }
    )
    assert result.idle == [
        "train_dataloader.num_workers",
        "default_hooks.logger.interval",
        "val_dataloader.dataset.data_root",
        "work_dir",
    ]
    assert not result.lines and not result.rates


@pytest.mark.parametrize(
    "key",
    [
        *("tile", "tile_overlap", "tta", "postprocess", "postprocess.seed_thr"),
        *(
            f"heads.instances.{name}"
            for name in (
                *("windows", "windows.patience", "finder", "finder.type", "finder.max_gates"),
                *("sampler", "sampler.type", "sampler.num_gates", "criterion", "criterion.loss_mask"),
                *("test_cfg", "test_cfg.nms", "test_cfg.mask_thr"),
                *("box_nms", "rpn_nms", "roi_samples", "rpn_samples", "weight", "anneal"),
            )
        ),
    ],
)
def test_what_prediction_or_the_drawing_of_gateways_alone_takes_is_used(key):
    old, new = changed({"model.postprocess": dict(type="SeededWatershed")}), Config(copy.deepcopy(MADE))
    new.model.postprocess = dict(type="SeededWatershed")
    new.merge_from_dict({f"model.{key}": dict(type="Own") if key == "postprocess" else 3})
    checkpoint = dict(meta={}, trained_with=dict(config=config_json(old)))
    (line,) = compare(checkpoint, new, "a.pth").lines
    path = line.partition(":")[0]
    assert path.startswith(f"model.{key}") or f"model.{key}".startswith(path)


WATCHING = (
    {"custom_hooks": [dict(type="EarlyStoppingHook", monitor="AP")]},
    {"default_hooks.checkpoint.save_best": "AP"},
    {"param_scheduler": [dict(type="ReduceOnPlateauLR", by_epoch=False, monitor="AP")]},
)


@pytest.mark.parametrize("watching", WATCHING)
def test_another_validation_is_used_where_training_watches_it(watching):
    new = {"val_dataloader.dataset.data_root": "more", "val_dataloader.num_workers": 2}
    checkpoint = dict(meta={}, trained_with=dict(config=config_json(changed(watching))))
    result = compare(checkpoint, changed(watching | new), "a.pth")
    assert result.lines == ["val_dataloader.dataset.data_root: 'data' -> 'more'"] and not result.rates
    assert result.idle == ["val_dataloader.num_workers"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"optim_wrapper.optimizer.type": "SGD"}, "optim_wrapper.optimizer.type: 'AdamW' -> 'SGD': "),
        (
            {"optim_wrapper.paramwise_cfg": None},
            "optim_wrapper.paramwise_cfg: {'norm_decay_mult': 0.0} -> absent",
        ),
        ({"randomness.seed": 1}, "randomness.seed: 0 -> 1: "),
        ({"model.encoder.widths": (4, 8)}, r"model.encoder.widths: \[4, 4\] -> \[4, 8\]: "),
        (
            {"model.heads.instances.activation": "softmax"},
            "model.heads.instances.activation: absent -> 'softmax'",
        ),
        ({"train_cfg.type": "OtherLoop"}, "train_cfg.type: 'IterBasedTrainLoop' -> 'OtherLoop'"),
        (
            {"train_dataloader.dataset.metainfo": dict(classes=["a"])},
            "train_dataloader.dataset.metainfo: absent",
        ),
        ({"randomness.seed": 1, "model.type": "Own"}, r"model.type: .* \(and 1 more\): "),
        (
            {"optim_wrapper.accumulative_counts": 4},
            "optim_wrapper.accumulative_counts differs .* iteration 6 is not",
        ),
    ],
)
def test_what_is_refused(changes, says):
    with pytest.raises(CellMMError, match=f"a.pth: .*{says}") as info:
        found(changes)
    assert "\n" not in str(info.value) and "take the old value" in str(info.value)


def test_the_number_of_ranks_and_schedules_that_count_passes():
    assert found({}, ranks=2).lines == ["ranks: 2 -> 1"] and not found({}, ranks=2).rates
    passes = dict(type="CosineAnnealingLR", end=3, convert_to_iter_based=True)
    assert found({"param_scheduler": [passes], "train_dataloader.batch_size": 3}).rates


def test_none_is_as_good_as_no_option_of_the_optimizer():
    new = changed({})
    new.optim_wrapper.clip_grad = new.optim_wrapper.optimizer.foreach = None
    checkpoint = dict(meta={}, trained_with=dict(config=config_json(changed({}))))
    assert compare(checkpoint, new, "a.pth").lines == []


def test_a_config_is_text_that_is_the_same_in_each_process():
    values = dict(
        a=(1, 2), b={3}, c=IterBasedTrainLoop, d=config_json, e=object(), f={(1, 2): 3}, g=float("inf")
    )
    text = config_json(Config(values))
    assert "cellmm.engine.loops.IterBasedTrainLoop" in text and "resumed_config.config_json" in text
    assert "0x" not in text


def test_a_checkpoint_of_before_cannot_be_compared():
    assert compare(dict(meta=dict(iter=3)), changed({"randomness.seed": 1}), "a.pth").unknown


class Loop(IterBasedTrainLoop):
    def __init__(self, batch_size):
        self.dataloader = types.SimpleNamespace(batch_size=batch_size)
        self._start = (0, 0)

    def __del__(self):
        pass


def resumed(hooks, checkpoint, batch_size=3):
    runner = types.SimpleNamespace(_resume=True, hooks=hooks, train_loop=Loop(batch_size), cfg=Config(MADE))
    hook = HOOKS.build(dict(type="ResumeHook"))
    hook.after_load_checkpoint(runner, checkpoint)
    return runner, hook


def test_training_goes_on_with_the_next_draw_whatever_the_batch_size():
    runner, hook = resumed([], dict(meta=dict(iter=10, draws=20), state_dict={}))
    assert [runner.train_loop.draws_after(iteration) for iteration in (10, 11, 20)] == [20, 23, 50]
    checkpoint = dict(meta=dict(iter=20))
    hook.before_save_checkpoint(runner, checkpoint)
    assert checkpoint["meta"]["draws"] == 50 and checkpoint["trained_with"]["ranks"] == 1
    runner, _ = resumed([], dict(meta=dict(iter=10), state_dict={}))  # of before
    assert runner.train_loop.draws_after(10) == 30


def test_without_averaged_weights_the_trained_ones_go_on():
    def checkpoint():
        averaged, plain = dict(w=torch.zeros(1)), {"module.w": torch.ones(1), "steps": torch.tensor(3)}
        return dict(meta=dict(iter=1), state_dict=averaged, ema_state_dict=plain)

    for hooks, value in (([], 1), ([EMAHook()], 0)):
        state = checkpoint()
        resumed(hooks, state)
        assert state["state_dict"]["w"].tolist() == [value]


FIRST = """
train_cfg = dict(max_iters=2, val_interval=2)
param_scheduler = [dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=2)]
custom_hooks = [dict(type="EMAHook", momentum=0.5)]
"""
THEN = """
train_cfg = dict(max_iters=4, val_interval=4)
train_dataloader["batch_size"] = 1
log_processor = dict(window_size=5)
optim_wrapper = dict(
    _delete_=True,
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=5e-4, betas=(0.8, 0.95), weight_decay=0.2),
)
param_scheduler = [
    dict(type="CosineAnnealingLR", eta_min=1e-6, by_epoch=False, begin=0, end=8),
    dict(type="MultiStepParamScheduler", param_name="weight_decay", by_epoch=False, milestones=[1, 3]),
]
"""
AVERAGE = """
custom_hooks = [dict(type="EMAHook", momentum=0.1)]
"""


def state_of(work):
    return torch.load(work / "iter_4.pth", weights_only=True)


def test_resume_does_what_the_config_asks_for_now(tiny_config, tmp_path, capfd):
    """Rates, decay and betas are those of a training with the new config; moments and draws go on."""
    first = tiny_config(tmp_path / "a", FIRST)
    assert cellmm(["train", str(first), "--work-dir", str(tmp_path / "work")]) == 0
    then = tiny_config(tmp_path / "b", THEN)
    assert cellmm(["train", str(then), "--work-dir", str(tmp_path / "whole")]) == 0
    capfd.readouterr()
    assert cellmm(["train", str(then), "--work-dir", str(tmp_path / "work"), "--resume"]) == 0
    said = capfd.readouterr().out
    file = tmp_path / "work" / "iter_2.pth"
    for line in (
        "train_dataloader.batch_size: 2 -> 1",
        "optim_wrapper.optimizer.lr: 0.001 -> 0.0005",
        "optim_wrapper.optimizer.betas: absent -> [0.8, 0.95]",
        "custom_hooks: [{'type': 'EMAHook', 'momentum': 0.5}] -> absent",
    ):
        assert f"{file}: made with another config; used from iteration 2 on: {line}" in said
    assert f"{file}: made with another config, to no effect on the weights: log_processor.window_size" in said
    resumed, whole = state_of(tmp_path / "work"), state_of(tmp_path / "whole")
    groups = [dict(state["optimizer"]["param_groups"][0]) for state in (resumed, whole)]
    assert groups[0] == groups[1] and groups[0]["lr"] < 5e-4
    assert resumed["param_schedulers"] == whole["param_schedulers"]
    assert resumed["optimizer"]["state"][0]["step"] == 4
    assert (resumed["meta"]["draws"], whole["meta"]["draws"]) == (2 * 2 + 2 * 1, 4 * 1)
    assert "ema_state_dict" not in resumed
    average = tiny_config(tmp_path / "c", THEN.replace("max_iters=4", "max_iters=5") + AVERAGE)
    assert cellmm(["train", str(average), "--work-dir", str(tmp_path / "work"), "--resume"]) == 0
    assert "custom_hooks: absent -> [{'type': 'EMAHook', 'momentum': 0.1}]" in capfd.readouterr().out
    last = torch.load(tmp_path / "work" / "iter_5.pth", weights_only=True)
    weights = last["ema_state_dict"]
    assert weights["steps"] == 1  # an average begins with the first weights that it sees
    assert all(torch.equal(value, weights[f"module.{name}"]) for name, value in last["state_dict"].items())


def test_a_refused_change_leaves_the_work_dir_as_it_is(tiny_config, tmp_path, capsys):
    """And without a change, or where none can be seen, training goes on."""
    first = tiny_config(tmp_path, FIRST)
    work = tmp_path / "work"
    assert cellmm(["train", str(first), "--work-dir", str(work)]) == 0
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*.pth")}
    plateau = FIRST + 'param_scheduler = [dict(type="ReduceOnPlateauLR", monitor="AP")]\n'
    plateau = tiny_config(tmp_path / "plateau", plateau)
    argv = ["--work-dir", str(work), "--resume", "--cfg-options", "log_level=INFO"]
    for config, option, says in (
        (first, "randomness.seed=3", "randomness.seed: 0 -> 3"),
        (first, "optim_wrapper.optimizer.type=SGD", "optim_wrapper.optimizer.type: 'AdamW' -> 'SGD'"),
        (plateau, "log_level=INFO", "param_scheduler.0, which waits for a plateau"),
    ):
        assert cellmm(["train", str(config), *argv, option]) == 1
        line = capsys.readouterr().err.splitlines()[-1]
        assert f"{work / 'iter_2.pth'}: made with" in line and says in line and "load_from=" in line
    assert {path: path.stat().st_mtime_ns for path in work.rglob("*.pth")} == before
    assert cellmm(["train", str(first), *argv]) == 0
    said = capsys.readouterr().out
    assert "resumed epoch: 0, iter: 2" in said and "made with another config" not in said
    state = torch.load(work / "iter_2.pth", weights_only=True)
    del state["trained_with"]
    torch.save(state, work / "iter_2.pth")
    assert cellmm(["train", str(first), *argv, "randomness.seed=3"]) == 0
    assert (
        "iter_2.pth: does not hold its config: learning rates go on as they were" in capsys.readouterr().out
    )
