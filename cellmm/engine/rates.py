"""Learning rates and other options of the optimizer, as if this config had been used from the start."""

import warnings
from typing import Any

from mmengine.optim import OptimWrapper, ReduceOnPlateauParamScheduler, _ParamScheduler
from mmengine.runner import Runner

from cellmm.engine.part_optimizers import each_wrapper
from cellmm.errors import CellMMError


def check_rates_can_be_computed(runner: Runner, filename: str) -> None:
    """Raise CellMMError if a schedule depends on the validations so far, which cannot be repeated."""
    for i, schedule in enumerate(_schedules(runner)):
        if isinstance(schedule, ReduceOnPlateauParamScheduler):
            raise CellMMError(
                f"{filename}: made with other learning rates or schedules (optim_wrapper, param_scheduler), "
                f"and param_scheduler.{i}, which waits for a plateau, cannot be computed anew; take the old "
                f"values, or leave out --resume and start a new training: --cfg-options load_from={filename}"
            )


def options_of(wrapper: OptimWrapper) -> list[dict[str, Any]]:
    """All of each group but its parameters: rates, decay and the other options of the optimizer."""
    return [{key: value for key, value in group.items() if key != "params"} for group in _groups(wrapper)]


def compute_rates(runner: Runner, options: list[dict[str, Any]], iterations: int) -> None:
    """Put ``options``, of an optimizer just built, into the runner's and take its new schedules so far.

    The schedules must be just built too: they step as often as in training, so the numbers are those that a
    training with this config has after ``iterations``, to the last bit. The optimizer's moments stay.
    Schedules of epochs step as often as epochs were ended.
    """
    for group, values in zip(_groups(runner.optim_wrapper), options, strict=True):
        for key in [key for key in group if key != "params"]:
            del group[key]
        group.update(values)
    steps = [schedule for schedule in _schedules(runner) if not schedule.by_epoch]
    epoch_steps = [schedule for schedule in _schedules(runner) if schedule.by_epoch]
    length, ended = len(runner.train_dataloader), 0
    with warnings.catch_warnings():  # torch warns that the optimizer takes no step in between
        warnings.simplefilter("ignore")
        for iteration in range(1, iterations + 1):
            for schedule in steps:
                schedule.step()
            due = runner.epoch if iteration == iterations else min(iteration // length, runner.epoch)
            for _ in range(due - ended):
                for schedule in epoch_steps:
                    schedule.step()
            ended = max(ended, due)


def _groups(wrapper: OptimWrapper) -> list[dict[str, Any]]:
    return [group for part in each_wrapper(wrapper).values() for group in part.param_groups]


def _schedules(runner: Runner) -> list[_ParamScheduler]:
    built = runner.param_schedulers or []
    return [schedule for part in built.values() for schedule in part] if isinstance(built, dict) else built
