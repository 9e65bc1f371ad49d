"""Trainings with a time budget, by a clock that goes on with each iteration and each validation image."""

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from cellmm.commands.train import main, parse_args, prepare_config
from cellmm.engine.hooks import TimeBudgetHook
from cellmm.engine.runner import build_runner
from cellmm.errors import CellMMError
from cellmm.registry import HOOKS

SCHEDULE = """
train_cfg = dict(max_iters=1000, val_interval=250)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", eta_min=1e-5, by_epoch=False, begin=100, end=1000),
]
custom_hooks = [dict(type="Ticks")]
default_hooks = dict(
    logger=dict(interval=1000), checkpoint=dict(interval=500, max_keep_ckpts=100), learning_alarm=None
)
"""
RATE, LAST = 1e-3, pytest.approx(1e-5, rel=1e-3)


class Killed(Exception):
    pass


@HOOKS.register_module()
class Ticks(Hook):
    """The clock of these trainings, the rate of each iteration, and where they validate."""

    priority = "HIGHEST"
    now = 0.0
    each = staticmethod(lambda iteration: 2.0)
    image = 1.0  # seconds; validation has two images
    kill_at: int | None = None
    rates: dict[int, float] = {}
    validated: list[int] = []

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if runner.iter == Ticks.kill_at:
            raise Killed
        Ticks.rates[runner.iter] = runner.optim_wrapper.get_lr()["lr"][0]

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        Ticks.now += Ticks.each(runner.iter)

    def before_val_epoch(self, runner) -> None:
        if runner.iter:
            Ticks.validated.append(runner.iter)

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        Ticks.now += Ticks.image


@pytest.fixture
def train(tiny_config, tmp_path, monkeypatch):
    """``train(minutes)`` returns the runner and what was said; ``each(iteration)``: seconds."""
    said: list[str] = []
    monkeypatch.setattr(Runner, "_log_env", lambda *args: None)
    monkeypatch.setattr(Config, "pretty_text", "")
    monkeypatch.setattr(TimeBudgetHook, "clock", staticmethod(lambda: Ticks.now))
    monkeypatch.setattr(TimeBudgetHook, "_try_validation", lambda self, runner: 2 * Ticks.image)
    monkeypatch.setattr(TimeBudgetHook, "_say", staticmethod(lambda text, level=0: said.append(text)))

    def run(minutes=None, *more, each=lambda iteration: 2.0, kill_at=None, lines="", work="work"):
        config = tiny_config(tmp_path / "configs", SCHEDULE + lines)
        argv = [str(config), "--work-dir", str(tmp_path / work), *more]
        argv += ["--minutes", str(minutes)] if minutes else []
        monkeypatch.setattr(Ticks, "each", staticmethod(each))
        Ticks.now, Ticks.kill_at, Ticks.rates, Ticks.validated = 1000.0, kill_at, {}, []
        said.clear()
        runner = build_runner(prepare_config(parse_args(argv)))
        if kill_at is None:
            runner.train()
        else:
            with pytest.raises(Killed):
                runner.train()
        return runner, "\n".join(said)

    return run


def seconds() -> float:
    return Ticks.now - 1000.0


def rate(runner) -> float:
    return runner.optim_wrapper.get_lr()["lr"][0]


class TestPlanning:
    def test_it_ends_in_time_and_at_the_end_of_its_schedules(self, train, tmp_path):
        runner, said = train(1.0)
        assert runner.iter == 25 and 54 <= seconds() <= 62
        assert Ticks.rates[0] == pytest.approx(0.01 * RATE) and rate(runner) == LAST
        assert max(Ticks.rates.values()) > 0.95 * RATE and Ticks.rates[24] < 0.06 * RATE
        assert Ticks.validated == [7, 14, 21, 25]
        assert "25 iterations fit in 1 minutes: 2 s each, 4 validations of 2 s, 8 s are used" in said
        assert "the schedules for 1000 iterations are scaled to them" in said
        kept = sorted(int(path.stem[5:]) for path in (tmp_path / "work").glob("iter*"))
        assert kept == [*range(4, 25, 2), 25]

    def test_a_longer_time_than_the_config_had_in_mind(self, train):
        lines = "train_cfg['max_iters'] = 12\nparam_scheduler[0]['end'] = param_scheduler[1]['begin'] = 3\n"
        runner, _ = train(1.0, lines=lines + "param_scheduler[1]['end'] = 12\n")
        assert runner.iter > 20 and 54 <= seconds() <= 62 and Ticks.rates[runner.iter - 1] < 0.3 * RATE

    def test_a_machine_that_gets_slower(self, train):
        runner, said = train(1.5, each=lambda iteration: 1.0 if iteration < 25 else 3.0)
        assert 81 <= seconds() <= 99 and 35 < runner.iter < 50 and rate(runner) == LAST
        after_warm_up = [Ticks.rates[i] for i in range(20, runner.iter)]
        assert after_warm_up == sorted(after_warm_up, reverse=True) and "the earlier estimate was" in said

    def test_a_machine_that_gets_faster(self, train):
        runner, _ = train(1.0, each=lambda iteration: 2.0 if iteration < 15 else 1.0)
        assert 54 <= seconds() <= 66 and runner.iter > 30 and rate(runner) == LAST

    def test_iterations_that_take_long(self, train):
        runner, _ = train(1.0, each=lambda iteration: 20.0)
        assert runner.iter == 2 and seconds() <= 60 and rate(runner) == LAST

    def test_a_first_iteration_that_takes_much_longer_is_not_measured(self, train):
        runner, _ = train(1.0, each=lambda iteration: 20.0 if iteration == 0 else 2.0)
        assert runner.iter > 12 and 50 <= seconds() <= 62 and rate(runner) == LAST

    def test_a_time_that_is_over_before_it_begins(self, train):
        runner, said = train(0.1, each=lambda iteration: 20.0)
        assert runner.iter == 1 and "the time is over" in said and Ticks.validated == [1]
        assert "a validation takes 2 s of 0.1 minutes" in said

    def test_steps_of_several_batches(self, train):
        runner, _ = train(1.0, lines="optim_wrapper['accumulative_counts'] = 4\n")
        assert runner.iter % 4 == 0 and 50 <= seconds() <= 62 and rate(runner) == LAST


class TestResume:
    def test_a_killed_training_ends_with_the_same_bits(self, train):
        whole, _ = train(1.0, work="whole")
        rates = Ticks.rates
        train(1.0, kill_at=19)
        resumed, said = train(1.0, "--resume")
        assert resumed.iter == whole.iter and list(Ticks.rates) == list(range(18, 25))
        assert Ticks.rates.items() <= rates.items()
        for name, value in whole.model.state_dict().items():
            assert torch.equal(value, resumed.model.state_dict()[name]), name
        assert seconds() < 25 and "minutes are used: 7 iterations are left" in said

    def test_of_a_training_that_has_ended(self, train):
        train(1.0)
        runner, said = train(1.0, "--resume")
        assert runner.iter == 25 and "nothing is left to train; to go on, --minutes 2" in said
        with pytest.raises(CellMMError, match="--minutes 0.5: .* was reached after .* give more minutes"):
            train(0.5, "--resume")
        runner, said = train(2.0, "--resume")
        assert 48 <= seconds() <= 66 and rate(runner) == LAST
        assert Ticks.rates[25] == pytest.approx(0.59 * RATE, rel=0.05)  # half of the schedules
        assert "a budget of 2 minutes, it was 1: the schedules go on where a training of 2 minutes is" in said

    def test_another_learning_rate(self, train):
        train(1.0, kill_at=19)
        before = Ticks.rates[18]
        train(1.0, "--resume", "--cfg-options", f"optim_wrapper.optimizer.lr={RATE / 2}")
        assert Ticks.rates[18] == pytest.approx(before / 2, rel=0.05)

    def test_of_a_training_without_budget_and_back(self, train):
        lines = "train_cfg['max_iters'] = 8\ndefault_hooks['checkpoint']['interval'] = 4\n"
        train(lines=lines)
        runner, _ = train(1.0, "--resume")
        assert 54 <= seconds() <= 62 and rate(runner) == LAST
        assert Ticks.rates[8] == pytest.approx(0.09 * RATE, rel=0.1)  # in the middle of warm-up
        train(None, "--resume", lines=lines.replace("8", str(runner.iter + 1)))
        assert list(Ticks.rates) == [runner.iter]
        assert Ticks.rates[runner.iter] == pytest.approx(0.01 * (runner.iter + 1) * RATE, rel=0.1)


def test_the_estimate_of_a_validation_changes_no_weight(tiny_config, tmp_path, monkeypatch):
    """The first images of validation are predicted between two iterations."""
    monkeypatch.setattr(Runner, "_log_env", lambda *args: None)
    monkeypatch.setattr(TimeBudgetHook, "clock", staticmethod(lambda: Ticks.now))
    Ticks.now, Ticks.kill_at, Ticks.each = 0.0, None, staticmethod(lambda iteration: 2.0)
    states = []
    for work in ("tried", "assumed"):
        config = tiny_config(tmp_path / "configs", SCHEDULE)
        main([str(config), "--work-dir", str(tmp_path / work), "--minutes", "0.55"])
        path = max((tmp_path / work).glob("iter_*.pth"), key=lambda path: int(path.stem[5:]))
        states.append((path.name, torch.load(path, weights_only=True)["state_dict"]))
        monkeypatch.setattr(TimeBudgetHook, "_try_validation", lambda self, runner: 0.0)
    (name, tried), (other, assumed) = states
    assert name == other and all(torch.equal(value, assumed[key]) for key, value in tried.items())


def test_what_is_refused(tiny_config, tmp_path):
    with pytest.raises(CellMMError, match="--minutes -3: give a number above 0"):
        prepare_config(parse_args([str(tiny_config(tmp_path)), "--minutes", "-3"]))
    with pytest.raises(ValueError, match="minutes must be above 0, got nan"):
        TimeBudgetHook(float("nan"))
    epochs = "train_cfg = dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=3)\n"
    with pytest.raises(CellMMError, match="EpochBasedTrainLoop does not count iterations"):
        main([str(tiny_config(tmp_path, epochs)), "--work-dir", str(tmp_path / "work"), "--minutes", "1"])
