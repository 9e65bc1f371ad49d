"""One trial: a training that tells its study the score of each validation, and may be given up."""

import contextlib
import gc
import logging
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from cellmm.engine.runner import build_runner
from cellmm.engine.work_dir import unlock_work_dir
from cellmm.errors import CellMMError, explain

if TYPE_CHECKING:
    import optuna

LOG = "train.log"


class OutOfTimeError(Exception):
    """The time of the search is over; the training can be resumed."""


class GivenUpError(Exception):
    """The pruner gave the trial up."""


@dataclass(frozen=True)
class Outcome:
    """``state``: 'complete', 'pruned', 'failed', or 'stopped' when the time is over; ``reason``: a line."""

    state: str
    value: float | None = None
    reason: str = ""


class ReportHook(Hook):
    """Tells ``trial`` the number ``metric`` of each validation; steps go up to ``steps`` at the end."""

    priority = "LOWEST"

    def __init__(self, trial: "optuna.trial.Trial", metric: str, steps: int, deadline: float) -> None:
        self.trial, self.metric, self.steps, self.deadline = trial, metric, steps, deadline
        self.told = set(_values(trial))

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        if time.monotonic() > self.deadline:
            raise OutOfTimeError

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        score = float(metrics[self.metric])
        step = self.steps  # the last one is the end of the training, wherever that falls
        if runner.iter < runner.max_iters:
            step = max(min(math.ceil(self.steps * runner.iter / runner.max_iters), self.steps - 1), 1)
        if step in self.told or not math.isfinite(score):
            return  # of a training that was resumed from before it; or undefined
        self.told.add(step)
        self.trial.report(score, step)
        if runner.iter < runner.max_iters and self.trial.should_prune():
            raise GivenUpError


def train_trial(
    cfg: Config, trial: "optuna.trial.Trial", *, metric: str, minimize: bool, steps: int, deadline: float
) -> Outcome:
    """Train ``cfg``; errors and losses that are not finite make a failed trial. What is said goes to LOG.

    ``deadline``: of ``time.monotonic``.
    """
    try:
        with _logged(Path(cfg.work_dir)):
            runner = build_runner(cfg)
            runner.register_hook(ReportHook(trial, metric, steps, deadline))
            runner.train()
    except OutOfTimeError:
        return Outcome("stopped")
    except GivenUpError:
        return Outcome("pruned")
    except CellMMError as error:
        return Outcome("failed", reason=" ".join(str(error).split()))
    except Exception as error:  # one bad trial, whatever it is, must not end the search
        reason = explain(error) or f"{type(error).__name__}: {error}"
        return Outcome("failed", reason=" ".join(reason.split()))
    finally:
        runner = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    best = _best(trial, minimize)
    if best is None:
        return Outcome("failed", reason=f"{metric} was not a number in any validation")
    return Outcome("complete", best)


def check_training(cfg: Config) -> None:
    """Build everything that a training needs, with its checks, and train nothing.

    Raises:
        CellMMError: it could not be trained.
    """
    with _logged(Path(cfg.work_dir)):
        build_runner(cfg)
    unlock_work_dir(Path(cfg.work_dir))


def _values(trial: "optuna.trial.Trial") -> dict[int, float]:
    return trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values


def _best(trial: "optuna.trial.Trial", minimize: bool) -> float | None:
    values = _values(trial).values()
    return (min if minimize else max)(values, default=None)


@contextlib.contextmanager
def _logged(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (
        open(folder / LOG, "a", encoding="utf-8") as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        try:
            yield
        finally:
            _close_logger(log)


def _close_logger(log: TextIO) -> None:
    """Close the files of the last training's logger, and let it say what else it has to on the terminal."""
    logger = MMLogger.get_current_instance()
    for handler in list(logger.handlers):
        if isinstance(handler, logging.FileHandler):
            handler.close()
            logger.removeHandler(handler)
        elif getattr(handler, "stream", None) is log:
            handler.setStream(sys.__stdout__)
