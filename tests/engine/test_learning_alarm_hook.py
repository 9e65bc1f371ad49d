"""What a training that learns nothing is told, once, and that others are told nothing."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from cellmm.commands.cli import main as cellmm
from cellmm.engine.hooks import learning_alarm_hook
from cellmm.registry import HOOKS
from cellmm.structures import CellSample, rle

MASK, WHOLE = np.zeros((8, 8), bool), np.ones((8, 8), bool)
MASK[2:5, 2:5] = True


@pytest.fixture
def logged(monkeypatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(learning_alarm_hook, "print_log", lambda text, **kwargs: lines.append(text))
    return lines


def runner(**values) -> SimpleNamespace:
    head = SimpleNamespace(score_thrs={"finder.score_thr": 0.1, "test_cfg.score_thr": 0.0})
    defaults = dict(
        iter=0,
        max_iters=1000,
        hooks=[],
        model=SimpleNamespace(heads=dict(instances=head), parameters=lambda: []),
        optim_wrapper=SimpleNamespace(get_lr=lambda: dict(lr=[1e-3, 1e-4])),
        _load_from=None,
        _train_loop=object(),
    )
    return SimpleNamespace(**(defaults | values))


def train(hook, losses, cells=(1,), **values) -> None:
    """One iteration per loss, with the next number of cells in each."""
    run = runner(max_iters=len(losses), **values)
    hook.before_train(run)
    for i, loss in enumerate(losses):
        run.iter = i
        sample = CellSample(gt_instances=InstanceData(labels=torch.zeros(cells[i % len(cells)])))
        hook.after_train_iter(run, i, dict(data_samples=[sample]), dict(loss=torch.tensor(float(loss))))
    run.iter = len(losses)
    hook.after_train(run)


def test_a_piece_of_a_training_is_not_its_end(logged):
    """Still warming up, its loss has not fallen yet."""
    flat = [1.0] * 250
    train(HOOKS.build(dict(type="LearningAlarmHook")), flat, _train_loop=SimpleNamespace(paused=True))
    assert not logged
    train(HOOKS.build(dict(type="LearningAlarmHook")), flat)
    assert len(logged) == 1 and "nothing is learned" in logged[0]


def falling(number: int, noise: float = 0.3) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (0.5 + np.exp(-np.arange(number) / 300)) * rng.normal(1, noise, number).clip(0.2)


def test_batches_without_a_cell_are_told_once(logged):
    train(HOOKS.build(dict(type="LearningAlarmHook", patience=3)), falling(12), cells=(1, 0, 0, 0))
    assert len(logged) == 1 and logged[0].startswith("no cell in 3 batches one after another")
    train(HOOKS.build(dict(type="LearningAlarmHook", patience=4)), falling(12), cells=(1, 0, 0, 0))
    assert len(logged) == 1
    train(HOOKS.build(dict(type="LearningAlarmHook")), falling(4), cells=(0,))  # a whole training
    assert len(logged) == 2 and logged[1].startswith("no cell in 4 batches")


@pytest.mark.parametrize("number", [300, 1500, 8000])
def test_a_flat_loss(number, logged):
    flat = np.random.default_rng(0).normal(1, 0.1, number)
    train(HOOKS.build(dict(type="LearningAlarmHook")), flat)
    assert len(logged) == 1 and "nothing is learned; try a learning rate" in logged[0]
    assert f"after {max(min(number, 1000), number // 5)} iterations" in logged[0]


@pytest.mark.parametrize("number", [4, 150, 300, 1500])
def test_a_loss_that_falls(number, logged):
    train(HOOKS.build(dict(type="LearningAlarmHook")), falling(number))
    assert logged == []


def test_weights_that_were_trained_before_may_have_a_flat_loss(logged):
    train(HOOKS.build(dict(type="LearningAlarmHook")), np.ones(1500), _load_from="earlier.pth")
    assert logged == []


def sample(*masks: np.ndarray, truth: np.ndarray = MASK, ignore: bool = False) -> CellSample:
    masks = [rle.encode_one(mask) for mask in masks]
    cells = InstanceData(masks=[rle.encode_one(truth)], ignore=np.array([ignore]))
    found = CellSample(metainfo=dict(ori_shape=(8, 8)), eval_instances=cells)
    found.pred_instances = InstanceData(masks=masks, scores=torch.ones(len(masks)))
    return found


def validate(hook, samples, metrics=None, **values) -> None:
    run = runner(**values)
    hook.before_val_epoch(run)
    for i, found in enumerate(samples):
        hook.after_val_iter(run, i, None, [found])
    hook.after_val_epoch(run, metrics or dict(AP=0.5))


VALIDATIONS = {
    "nothing": ([sample(), sample()], {}, "no cell was found in any of 2 images, which have 2"),
    "everything": ([sample(WHOLE), sample(WHOLE, MASK)], {}, "each of 2 images was taken for one cell"),
    "an empty map": ([], {"m/Rec": 0.0, "m/Acc": 0.9, "m/Prec": 0.0}, "nothing of the map 'm' was found"),
    "a full map": ([], {"m/Rec": 1.0, "m/Acc": 0.2, "m/Prec": 0.2}, "the map 'm' is all over every image"),
    "something": ([sample(), sample(MASK)], {}, None),
    "one of two images": ([sample(WHOLE), sample(MASK)], {}, None),
    "one cell as large as the image": ([sample(WHOLE, truth=WHOLE)], {}, None),
    "nothing to find": ([sample(ignore=True)], {}, None),
    "a good map": ([], {"m/Rec": 1.0, "m/Acc": 1.0, "m/Prec": 1.0}, None),
    "nothing that fits": ([sample(MASK)], dict(AP=0.0), None),
}


@pytest.mark.parametrize("row", VALIDATIONS)
def test_a_validation(row, logged):
    samples, metrics, says = VALIDATIONS[row]
    hook = HOOKS.build(dict(type="LearningAlarmHook"))
    for iteration in (100, 200):
        validate(hook, samples, metrics, iter=iteration)
    assert [f"after 100 iterations: {says}" in line for line in logged] == [True] * (says is not None)
    assert all("usual early" in line and "finder.score_thr (now 0.1)" in line for line in logged)


def test_the_last_validation_tells_again(logged):
    hook = HOOKS.build(dict(type="LearningAlarmHook"))
    for iteration in (500, 1000):
        validate(hook, [sample()], iter=iteration)
    assert len(logged) == 2 and "usual early" not in logged[1]
    assert "try: a longer training (train_cfg.max_iters); another learning rate (now 0.001)" in logged[1]
    validate(hook, [sample(MASK)], dict(AP=0.0), iter=1000)
    assert len(logged) == 3 and "none of 1 predictions matches one of the 1 cells (AP 0)" in logged[2]


def test_a_training_that_was_stopped_early_is_told_what_to_try(logged):
    hook = HOOKS.build(dict(type="LearningAlarmHook"))
    validate(hook, [sample(MASK)], dict(AP=0.0), iter=500)
    assert logged == []
    hook.after_train(runner(iter=500, _train_loop=SimpleNamespace(stop_training=False)))
    assert logged == []
    hook.after_train(runner(iter=500, _train_loop=SimpleNamespace(stop_training=True)))
    (line,) = logged
    assert line.startswith("validation after 500 iterations: none of 1 predictions") and "; try: " in line


def test_unusable_numbers():
    with pytest.raises(ValueError, match="patience from 1"):
        HOOKS.build(dict(type="LearningAlarmHook", patience=0))


def test_a_training_that_ends_with_nothing_says_what_to_try(tiny_config, tmp_path, capfd):
    """The hook is there without being named, and averaged weights are among the cures."""
    lines = (
        "model = dict(heads=dict(instances=dict(test_cfg=dict(score_thr=0.9))))\n"
        "custom_hooks = [dict(type='EMAHook', momentum=0.01)]\n"
    )
    path = tiny_config(tmp_path, lines)
    assert cellmm(["train", str(path), "--work-dir", str(tmp_path / "work")]) == 0
    out = capfd.readouterr().out
    (line,) = (text for text in out.splitlines() if "no cell was found" in text)
    for part in ("any of 2 images", "max_iters", "score_thr (now 0.9)", "no averaged weights (EMAHook)"):
        assert part in line
    assert "loss is" not in out and "no cell in" not in out
