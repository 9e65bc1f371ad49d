"""Training by epochs: the hooks of each, and the same bits after a kill inside or at the end of an epoch."""

import math
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from cellmm.config.check import check_config
from cellmm.config.load import load_config
from cellmm.engine.runner import build_runner
from cellmm.engine.work_dir import find_training_state
from cellmm.errors import CellMMError
from cellmm.registry import HOOKS

EPOCHS = """
train_cfg = dict(_delete_=True, type="EpochBasedTrainLoop", max_epochs=3, val_interval=2)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=2),
    dict(type="MultiStepLR", milestones=[1, 2], gamma=0.5),
]
default_hooks = dict(checkpoint=dict(by_epoch=True, interval=1, max_keep_ckpts=10, save_best="AP"))
log_processor = dict(by_epoch=True)
custom_hooks = [
    dict(type="EMAHook", momentum=0.1, begin_epoch=1),
    dict(type="EarlyStoppingHook", monitor="AP", patience=50),
    dict(type="Watch"),
]
"""


class Killed(Exception):
    pass


@HOOKS.register_module()
class Watch(Hook):
    """Notes what is called; ``kill_at`` is an iteration or an event of an epoch at which it raises Killed."""

    calls: list = []
    kill_at: object = None
    priority = "LOWEST"

    def note(self, runner: Runner, name: str, batch_idx: int | None = None) -> None:
        event = (name, runner.epoch, runner.iter, batch_idx, runner.optim_wrapper.get_lr()["lr"][0])
        Watch.calls.append(event)
        if Watch.kill_at in (event[:2], event[2] if name == "iteration" else ""):
            raise Killed

    def before_train_epoch(self, runner: Runner) -> None:
        self.note(runner, "begin")

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.note(runner, "iteration", batch_idx)

    def after_train_epoch(self, runner: Runner) -> None:
        self.note(runner, "end")

    def before_val_epoch(self, runner: Runner) -> None:
        if runner.iter:  # not the trial before training
            self.note(runner, "validate")


@pytest.fixture(scope="module")
def train(tiny_config):
    """``train(folder)`` trains there and returns what was called."""

    def run(folder: Path, more: str = "", kill_at: object = None, **options) -> list:
        cfg = load_config(tiny_config(folder, EPOCHS + more), options)
        check_config(cfg)
        cfg.work_dir = str(folder)
        Watch.calls, Watch.kill_at = [], kill_at
        runner = build_runner(cfg)
        if kill_at is None:
            runner.train()
        else:
            with pytest.raises(Killed):
                runner.train()
        return Watch.calls

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Runner, "_log_env", lambda *args: None)
        yield run


@pytest.fixture(scope="module")
def alone(train, tmp_path_factory) -> tuple[Path, list]:
    """A training that nobody killed: its folder and what was called."""
    folder = tmp_path_factory.mktemp("alone")
    return folder, train(folder)


def state(path) -> dict:
    checkpoint = torch.load(path, weights_only=True)
    hub = checkpoint.pop("message_hub")
    names = ("state_dict", "ema_state_dict", "optimizer", "param_schedulers", "early_stopping")
    kept = {name: checkpoint[name] for name in names}
    kept["meta"] = {key: checkpoint["meta"][key] for key in ("epoch", "iter", "draws", "epoch_start")}
    return kept | dict(loss=hub["log_scalars"]["train/loss"], best=hub["runtime_info"].get("best_score"))


def same(value, other) -> bool:
    if isinstance(value, dict):
        return value.keys() == other.keys() and all(same(value[key], other[key]) for key in value)
    if isinstance(value, list | tuple):
        return len(value) == len(other) and all(map(same, value, other))
    if isinstance(value, torch.Tensor):
        return torch.equal(value, other)
    if hasattr(value, "_log_history"):
        return value._log_history.tolist() == other._log_history.tolist()
    return value == other or (isinstance(value, float) and math.isnan(value) and math.isnan(other))


def files(folder) -> list[str]:
    return sorted(path.name for path in folder.glob("*.pth"))


def test_epochs_by_hand(alone):
    """5 images in batches of 2: an epoch has 3 iterations; the rate falls after the first and the second."""
    folder, calls = alone
    expected = []
    for epoch in range(3):
        expected += [("begin", epoch, 3 * epoch, None)]
        expected += [("iteration", epoch, 3 * epoch + i, i) for i in range(3)]
        expected += [("end", epoch, 3 * epoch + 3, None)]
        expected += [("validate", epoch + 1, 3 * epoch + 3, None)] * (epoch > 0)  # each second, and the last
    assert [call[:4] for call in calls] == expected
    rates = [call[4] for call in calls if call[0] == "begin"]
    assert rates == pytest.approx([1e-4, 5e-4, 2.5e-4])
    meta = state(folder / "epoch_3.pth")["meta"]
    assert meta == dict(epoch=3, iter=9, draws=18, epoch_start=18)
    assert {"epoch_1.pth", "epoch_2.pth", "epoch_3.pth"} <= set(files(folder)) and len(files(folder)) == 4
    log = next(folder.glob("*/*.log")).read_text()
    assert "Epoch(train) [2][3/3]" in log and "Epoch(val) [2]" in log


@pytest.mark.parametrize(("kill_at", "first"), [(4, ("begin", 1)), (("validate", 2), ("validate", 2))])
def test_the_same_bits_after_a_kill(train, alone, tmp_path, kill_at, first):
    """Inside an epoch, and between its end and its validation, which is made up for."""
    train(tmp_path, kill_at=kill_at)
    assert not (tmp_path / "epoch_3.pth").exists()
    assert train(tmp_path, resume="auto")[0][:2] == first
    assert same(state(tmp_path / "epoch_3.pth"), state(alone[0] / "epoch_3.pth"))
    assert files(tmp_path) == files(alone[0])


@pytest.mark.parametrize(("interval", "first"), [(4, ("begin", 1, 4)), (6, ("end", 1, 6))])
def test_checkpoints_of_iterations(train, alone, tmp_path, interval, first):
    """One in the middle of an epoch, and one after its last iteration, before the epoch is ended."""
    more = f"default_hooks['checkpoint'] = dict(by_epoch=False, interval={interval})\n"
    train(tmp_path, more, kill_at=6)
    assert files(tmp_path) == [f"iter_{interval}.pth"]
    meta = torch.load(tmp_path / f"iter_{interval}.pth", weights_only=True)["meta"]
    assert (meta["epoch"], meta["epoch_start"]) == (1, 6)
    assert train(tmp_path, more, resume="auto")[0][:3] == first
    ended, expected = state(tmp_path / "iter_9.pth"), state(alone[0] / "epoch_3.pth")
    assert ended["meta"] == dict(epoch=2, iter=9, draws=18, epoch_start=12)
    for key in ("state_dict", "ema_state_dict", "optimizer", "loss"):
        assert same(ended[key], expected[key]), key
    (tmp_path / "epoch_2.pth").write_bytes((alone[0] / "epoch_2.pth").read_bytes())
    assert find_training_state(tmp_path).endswith("iter_9.pth")  # of the most iterations


def test_another_batch_size_from_the_end_of_an_epoch_on(train, tmp_path):
    train(tmp_path, kill_at=4)
    calls = train(tmp_path, resume="auto", **{"train_dataloader.batch_size": 5})
    assert [call[:3] for call in calls if call[0] == "iteration"] == [
        ("iteration", 1, 3),
        ("iteration", 2, 4),
    ]
    meta = state(tmp_path / "epoch_3.pth")["meta"]
    assert meta == dict(epoch=3, iter=5, draws=16, epoch_start=16)


def test_a_rate_that_is_changed_on_resume_is_as_if_used_from_the_start(train, alone, tmp_path):
    train(tmp_path, kill_at=4)
    calls = train(tmp_path, resume="auto", **{"optim_wrapper.optimizer.lr": 2e-3})
    rates = [call[4] for call in alone[1]][-len(calls) :]
    assert [call[4] for call in calls] == pytest.approx([2 * rate for rate in rates], rel=1e-12)


def test_early_stopping_leaves_the_last_state(train, tmp_path):
    more = "custom_hooks[1].update(patience=1, stopping_threshold=-1.0)\ntrain_cfg['val_interval'] = 1\n"
    more += "default_hooks['checkpoint']['interval'] = 2\n"
    calls = train(tmp_path, more)
    assert max(call[1] for call in calls) == 1 and "epoch_1.pth" in files(tmp_path)


def test_gradients_that_are_summed_over_the_end_of_an_epoch_are_refused(train, tmp_path):
    for interval, says in ((1, "1 epoch is 3 iterations"), (3, "3 epochs are 9 iterations")):
        options = {"optim_wrapper.accumulative_counts": 2, "default_hooks.checkpoint.interval": interval}
        cure = f"take {3 * interval + 1} and by_epoch=False"
        with pytest.raises(CellMMError, match=f"{says}, not a multiple of .*_counts, 2; .* {cure}"):
            train(tmp_path, **options)


def test_leaving_out_the_last_images_is_refused(train, tmp_path):
    with pytest.raises(CellMMError, match=r"^train_dataloader\.drop_last: True, but .*; leave it out$"):
        train(tmp_path, **{"train_dataloader.drop_last": True})


def test_by_epoch_is_mmengines_short_form_and_hooks_follow_the_loop(train, tmp_path):
    more = "train_cfg = dict(_delete_=True, by_epoch=True, max_epochs=1)\n"
    more += "default_hooks['checkpoint'] = dict(interval=1, by_epoch=None)\n"
    train(tmp_path, more)
    assert files(tmp_path) == ["epoch_1.pth"]
