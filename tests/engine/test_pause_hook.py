"""Trainings in pieces, by a clock that goes on with each iteration."""

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from cellmm.commands.train import main, parse_args, prepare_config
from cellmm.engine.hooks import PauseHook
from cellmm.engine.loops import VALIDATED
from cellmm.engine.runner import build_runner
from cellmm.errors import CellMMError
from cellmm.registry import HOOKS

LINES = """
train_cfg = dict(max_iters=6, val_interval=3)
param_scheduler = [dict(type="CosineAnnealingLR", eta_min=1e-5, by_epoch=False, begin=0, end=6)]
custom_hooks = [
    dict(type="Minutes"),
    dict(type="EMAHook", momentum=0.1, update_buffers=True),
    dict(type="EarlyStoppingHook", monitor="AP", rule="greater", patience=50),
]
default_hooks = dict(
    logger=dict(interval=1000), checkpoint=dict(interval=1000, max_keep_ckpts=100), learning_alarm=None
)
"""


@HOOKS.register_module()
class Minutes(Hook):
    """A clock by which each iteration takes a minute."""

    priority = "HIGHEST"
    now = 0.0

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        Minutes.now += 60


def tensors_of(state) -> list[torch.Tensor]:
    """The tensors of nested dicts and lists, in order."""
    if isinstance(state, torch.Tensor):
        return [state]
    parts = state.values() if isinstance(state, dict) else state if isinstance(state, list) else ()
    return [tensor for part in parts for tensor in tensors_of(part)]


@pytest.fixture
def train(tiny_config, tmp_path, monkeypatch):
    """``train(*options)`` returns the last checkpoint of the work dir."""
    monkeypatch.setattr(Runner, "_log_env", lambda *args: None)
    monkeypatch.setattr(Config, "pretty_text", "")
    monkeypatch.setattr(PauseHook, "clock", staticmethod(lambda: Minutes.now))

    def run(*options, work="work", lines=""):
        config = tiny_config(tmp_path / "configs", LINES + lines)
        argv = [str(config), "--work-dir", str(tmp_path / work), *options]
        build_runner(prepare_config(parse_args(argv))).train()
        last = max((tmp_path / work).glob("iter_*.pth"), key=lambda path: int(path.stem[5:]))
        return torch.load(last, weights_only=True)

    return run


def test_three_pieces_give_the_weights_of_one_training(train):
    whole = train(work="whole")
    ends = []
    for _ in range(3):
        last = train("--pause-after", "1.5", "--resume")
        ends.append((last["meta"]["iter"], last["trained_seconds"]))
    assert ends == [(2, 120.0), (4, 240.0), (6, 360.0)]
    assert last["param_schedulers"] == whole["param_schedulers"]
    for state in ("state_dict", "ema_state_dict", "optimizer"):
        tensors, others = tensors_of(last[state]), tensors_of(whole[state])
        assert len(tensors) == len(others) > 0
        assert all(torch.equal(tensor, other) for tensor, other in zip(tensors, others, strict=True)), state
    assert "trained_seconds" not in whole


def test_a_validation_that_is_due_is_left_to_the_next_piece(train):
    """A machine that is taken away while it validates must not take the iterations with it."""
    first = train("--pause-after", "3")
    assert first["meta"]["iter"] == 3 and VALIDATED not in first["message_hub"]["runtime_info"]
    last = train("--resume")  # its checkpoint is written before its own validation
    assert last["meta"]["iter"] == 6 and last["message_hub"]["runtime_info"][VALIDATED] == 3


def test_a_piece_ends_with_a_step_and_is_never_empty(train):
    summed = "optim_wrapper['accumulative_counts'] = 2\n"
    assert train("--pause-after", "0.5", lines=summed)["meta"]["iter"] == 2
    assert train("--pause-after", "3", "--resume", lines=summed)["meta"]["iter"] == 6


def test_seconds_that_are_not_known_are_not_told(train):
    """The second piece has no hook: how long it took is not known afterwards."""
    train("--pause-after", "1")
    shorter = "train_cfg['max_iters'] = 3\n"
    assert "trained_seconds" not in train("--resume", lines=shorter)
    assert "trained_seconds" not in train("--resume", "--pause-after", "1")


def test_one_line_for_what_cannot_be_paused(train, tiny_config, tmp_path):
    epochs = "train_cfg = dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=3)\n"
    epochs += "param_scheduler = []\n"
    with pytest.raises(CellMMError, match="pause-after.* must; take dict.*IterBasedTrainLoop"):
        train("--pause-after", "1", lines=epochs)
    with pytest.raises(CellMMError, match="save_last.*leave it out"):
        train("--pause-after", "1", lines="default_hooks['checkpoint']['save_last'] = False\n")
    with pytest.raises(CellMMError, match="--pause-after -1: give a number above 0"):
        main([str(tiny_config(tmp_path)), "--pause-after", "-1"])
    with pytest.raises(ValueError, match="minutes must be above 0"):
        PauseHook(minutes=0)
