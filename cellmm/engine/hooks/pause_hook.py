"""A training in pieces: each ends by the clock, with a checkpoint from which the next one goes on."""

import math
import time
from collections.abc import Callable
from typing import Any

import mmengine.hooks
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from cellmm.engine.loops import IterBasedTrainLoop
from cellmm.engine.ranks import on_first_rank
from cellmm.errors import CellMMError
from cellmm.registry import HOOKS


@HOOKS.register_module()
class PauseHook(Hook):
    """Write a checkpoint and end after ``minutes``, for machines that you have for a limited time.

    Schedules stay as they are, unlike with TimeBudgetHook: the training is not over, and ``--resume`` goes on
    with the next iteration. The minutes count from the building of this hook on. The iteration that is under
    way then comes to its end, and so do accumulated gradients: each piece trains for one iteration at least.
    A validation that is due there is left to the next piece.

    A checkpoint holds under ``trained_seconds`` how long all pieces took so far, each from the building of
    this hook to its last checkpoint, with validations. It is not there if a piece ran without this hook. What
    a killed piece did after its last checkpoint is not counted.

    The first rank looks at the clock, all ranks follow.
    """

    clock: Callable[[], float] = staticmethod(time.monotonic)

    def __init__(self, minutes: float) -> None:
        if not 0 < minutes < math.inf:
            raise ValueError(f"minutes must be above 0, got {minutes}")
        self.minutes = float(minutes)
        self._began = self.clock()
        self._before: float | None = 0.0  # seconds of the pieces before this one; None: not known

    def before_run(self, runner: Runner) -> None:
        loop = runner.train_loop
        if not isinstance(loop, IterBasedTrainLoop):
            raise CellMMError(
                f"train_cfg: {type(loop).__name__} does not count iterations, and a training in pieces "
                "(--pause-after) must; take dict(type='IterBasedTrainLoop', max_iters=..., val_interval=...) "
                "and schedules with by_epoch=False"
            )
        for hook in runner.hooks:
            if isinstance(hook, mmengine.hooks.CheckpointHook) and not hook.save_last:
                raise CellMMError(
                    "default_hooks.checkpoint.save_last: False, but a training in pieces (--pause-after) "
                    "goes on from its last state; leave it out"
                )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if runner._resume:
            self._before = checkpoint.get("trained_seconds")

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        done = runner.iter + 1
        if done % runner.optim_wrapper._accumulative_counts or done >= runner.max_iters:
            return
        if on_first_rank(lambda: self._passed() >= 60 * self.minutes):
            runner.train_loop.paused = True
            print_log(
                f"paused after {self.minutes:g} minutes, at iteration {done} of {runner.max_iters}: the same "
                "command with --resume goes on",
                logger="current",
            )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if self._before is not None:
            checkpoint["trained_seconds"] = self._before + self._passed()

    def _passed(self) -> float:
        """Seconds of this piece."""
        return self.clock() - self._began
