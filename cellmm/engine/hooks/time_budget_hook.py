"""A training that ends in time: as many iterations as fit, and schedules that are scaled to them."""

import logging
import math
import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import mmengine.hooks
import torch
from mmengine.dist import get_world_size
from mmengine.hooks import ParamSchedulerHook
from mmengine.logging import print_log
from mmengine.runner import Runner

from cellmm.engine.loops import IterBasedTrainLoop
from cellmm.engine.ranks import on_first_rank
from cellmm.engine.time_budget import ON_VALIDATION, RESERVE, TOLERANCE, Plan, fit
from cellmm.errors import CellMMError
from cellmm.registry import HOOKS

WARM_UP = 3  # iterations that are not measured: the first ones are slow
MEASURED = 10  # iterations that are measured before the first plan, unless they take long
LONG = 0.1  # of the budget
MEASURING = 0.1  # of the schedules at most, that pass while it is measured
LOOKS = 100  # at the clock, in a training
WINDOW = 6  # looks that the seconds of an iteration are taken from
CHECKPOINTS = 10  # at least, in a training
TRIED = 3  # images of the first estimate of a validation


@HOOKS.register_module()
class TimeBudgetHook(ParamSchedulerHook):
    """In place of mmengine's ParamSchedulerHook: the training takes ``minutes``, whatever its iterations.

    The seconds of the first iterations say how many fit beside set-up, validations and checkpoints. The
    schedules of the config, warm-up and decay, are then passed as much faster or slower, up to their end, and
    validations are as many as in the config, or fewer where they would take more than a fifth of the time.
    Where later iterations take longer or shorter, so that the end would be missed by more than 5 %, the rest
    is planned anew; the schedules still end at their last value.

    ``minutes`` are those of the whole training, from the building of its parts on. A checkpoint holds what
    was used by then and the plan: resumed with the same budget, a training has the minutes that are left and
    keeps the plan; with another budget, it goes on where a training with that budget would be by now. A
    checkpoint that was made without a budget goes on with the rest of its schedules in ``minutes`` from now.

    The first rank looks at the clock, all ranks follow.
    """

    clock: Callable[[], float] = staticmethod(time.monotonic)

    def __init__(self, minutes: float) -> None:
        if not 0 < minutes < math.inf:
            raise ValueError(f"minutes must be above 0, got {minutes}")
        self.minutes = float(minutes)
        self.plan: Plan | None = None
        self.steps = 0  # of the schedules, taken so far
        self._began = self.clock()
        self._used = 0.0  # seconds of this training before it was resumed
        self._whole, self._validations, self._val_begin = 0, 0, 1  # steps and validations in the config
        self._intervals: dict[int, int] = {}  # of checkpoints, in the config
        self._first = (0, 0)  # iterations and steps when this process began to train
        self._next_look = 0
        self._train_began = 0.0  # seconds of the budget that were used by then
        self._marks: deque[tuple[int, float]] = deque(maxlen=WINDOW)  # iterations, seconds of training alone
        self._in_validation, self._validation_began = 0.0, 0.0
        self._validation: float | None = None  # seconds of one

    @property
    def used(self) -> float:
        """Seconds of the budget that are used."""
        return self._used + self.clock() - self._began

    def before_run(self, runner: Runner) -> None:
        loop = runner.train_loop
        if not isinstance(loop, IterBasedTrainLoop):
            raise CellMMError(
                f"train_cfg: {type(loop).__name__} does not count iterations, and a training with a time "
                "budget (--minutes) must; take dict(type='IterBasedTrainLoop', max_iters=..., "
                "val_interval=...) and schedules with by_epoch=False"
            )
        self._whole = loop.max_iters
        self._val_begin = loop.val_begin
        if runner.val_loop is not None and loop.val_begin <= self._whole:
            self._validations = -(-self._whole // loop.val_interval)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if not runner._resume:
            return
        state = checkpoint.get("time_budget")
        if state is None:
            self.steps = checkpoint["meta"]["iter"]
            return
        try:
            minutes, self._used, whole, steps = (state[key] for key in ("minutes", "used", "whole", "steps"))
            plan = state["plan"] and Plan(**{key: int(value) for key, value in state["plan"].items()})
        except (KeyError, TypeError, ValueError) as error:
            raise CellMMError(
                f"{runner._load_from}: its time_budget is incomplete; use an earlier checkpoint"
            ) from error
        if minutes == self.minutes and whole == self._whole:
            self.plan, self.steps = plan, steps
            return
        if self._used >= 60 * self.minutes:
            raise CellMMError(
                f"--minutes {self.minutes:g}: {runner._load_from} was reached after "
                f"{self._used / 60:.3g}; give more minutes, those of the whole training"
            )
        share = steps / whole * minutes / self.minutes
        self.steps = min(round(share * self._whole), self._whole)
        self._say(
            f"a budget of {self.minutes:g} minutes, it was {minutes:g}: the schedules go on where a training "
            f"of {self.minutes:g} minutes is after {self._used / 60:.3g}"
        )

    def before_train(self, runner: Runner) -> None:
        self._first = (runner.iter, self.steps)
        self._next_look = self._multiple(runner, runner.iter + 1)
        self._train_began = self.used
        self._marks.append((runner.iter, self.used))
        if self.plan is not None:
            self._follow(runner)
            left = max(60 * self.minutes - self.used, 0) / 60
            over = runner.iter >= self.plan.iterations
            self._say(
                f"{self.minutes - left:.3g} of {self.minutes:g} minutes are used: "
                + (f"nothing is left to train; to go on, --minutes {2 * self.minutes:g}" if over else "")
                + ("" if over else f"{self.plan.iterations - runner.iter} iterations are left")
            )
        else:
            least = runner.iter + WARM_UP + MEASURED + 1  # by then there is a plan
            runner.train_loop.max_iters = max(self._whole, self._multiple(runner, least))

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        done = runner.iter + 1
        if done == self._first[0] + WARM_UP:
            self._marks.clear()
            self._marks.append((done, self.used - self._in_validation))
        if done == self._next_look:
            plan, self._next_look = on_first_rank(lambda: self._look(runner, done))
            if plan != self.plan:
                self.plan = plan
                self._follow(runner)
        if done == self._first[0] + 1 and self.plan is None:  # the first is slow: workers start, and more
            self._marks.clear()
            self._marks.append((done, self.used - self._in_validation))
        if self.plan is not None:
            goal = self.plan.steps_after(done)
        else:
            done_here, steps = done - self._first[0], self._first[1]
            goal = min(steps + min(done_here, max(int(MEASURING * self._whole), 1)), self._whole)
        for _ in range(goal - self.steps):
            super().after_train_iter(runner, batch_idx, data_batch, outputs)
        self.steps = max(goal, self.steps)

    def before_val(self, runner: Runner) -> None:
        self._validation_began = self.clock()

    def after_val(self, runner: Runner) -> None:
        self._validation = self.clock() - self._validation_began
        self._in_validation += self._validation

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        checkpoint["time_budget"] = dict(
            minutes=self.minutes,
            used=self.used,
            whole=self._whole,
            steps=self.steps,
            plan=self.plan and asdict(self.plan),
        )

    def _look(self, runner: Runner, done: int) -> tuple[Plan | None, int]:
        """The plan after ``done`` iterations, and after how many to look again."""
        since, began = self._marks[0]
        now = self.used - self._in_validation
        if self.plan is None or done - self._first[0] < WARM_UP + MEASURED:
            took_long = self.used - self._train_began > LONG * 60 * self.minutes
            over = self.used > 60 * self.minutes
            if done == since or not (
                done - self._first[0] >= WARM_UP + MEASURED or took_long and (since > self._first[0] or over)
            ):
                return self.plan, self._multiple(runner, done + 1)
        each = (now - began) / (done - since)
        self._marks.append((done, now))
        plan = self._planned(runner, done, each)
        return plan, self._multiple(runner, done + max(plan.iterations // LOOKS, 1))

    def _planned(self, runner: Runner, done: int, each: float) -> Plan:
        """The present plan, if it ends in time, or else a new one."""
        if self._validation is None and self._validations:
            self._validation = self._try_validation(runner)
        validation = self._validation or 0.0
        budget = 60 * self.minutes
        left = budget * (1 - RESERVE) - self.used
        if self.plan is not None:
            missed = self.plan.seconds_from(done, each, validation) - left
            if abs(missed) <= TOLERANCE * budget or done >= self.plan.iterations:
                return self.plan
        to_come = math.ceil(self._validations * (1 - self.steps / self._whole)) if self._validations else 0
        iterations, validations = fit(
            left,
            each=each,
            validation=validation,
            validations=max(to_come, min(self._validations, 1)),
            done=done,
            multiple=self._multiple(runner, 1),
        )
        in_all = validations * iterations // max(iterations - done, 1)
        plan = Plan(
            iterations=iterations,
            start=done - 1,
            steps=self.steps,
            whole=self._whole,
            val_interval=math.ceil(iterations / max(in_all, 1)),
            val_begin=math.ceil(self._val_begin * iterations / self._whole),
        )
        self._say_plan(plan, done, each, validation)
        return plan

    def _say_plan(self, plan: Plan, done: int, each: float, validation: float) -> None:
        text = f"{plan.iterations} iterations fit in {self.minutes:g} minutes: {each:.2g} s each"
        if self.plan is not None:
            text += f", the earlier estimate was {self.plan.iterations}"
        if number := plan.validations_from(done):
            text += f", {number} validation{'s' * (number > 1)} of {validation:.2g} s"
        text += f", {self.used:.0f} s are used"
        if self.plan is None and validation > ON_VALIDATION * 60 * self.minutes:
            self._say(
                f"a validation takes {validation:.2g} s of {self.minutes:g} minutes, which leaves "
                "little time to train: give more minutes, or fewer images to validate",
                logging.WARNING,
            )
        if self.plan is None:
            text += f"; the schedules for {self._whole} iterations are scaled to them"
        if plan.iterations == done:
            text += "; the time is over"
        self._say(text, logging.WARNING if plan.iterations == done else logging.INFO)

    def _follow(self, runner: Runner) -> None:
        """Let loop, optimizer and checkpoints know the plan."""
        iterations = self.plan.iterations
        runner.train_loop.end_after(iterations, self.plan.val_interval, self.plan.val_begin)
        runner.optim_wrapper._max_counts = iterations
        runner.optim_wrapper._remainder_counts = 0  # a multiple of the batches that make a step
        often = self._multiple(runner, max(iterations // CHECKPOINTS, 1))
        for hook in runner.hooks:
            if isinstance(hook, mmengine.hooks.CheckpointHook) and not hook.by_epoch and hook.interval > 0:
                hook.interval = min(self._intervals.setdefault(id(hook), hook.interval), often)

    def _try_validation(self, runner: Runner) -> float:
        """Seconds of a validation, from some of its images."""
        data = runner.val_loop.dataloader
        number = len(data.dataset)
        seconds = []
        runner.model.eval()
        for index in torch.linspace(0, number - 1, min(TRIED, number)).long().tolist():
            began = self.clock()
            with torch.no_grad():
                runner.model.val_step(data.collate_fn([data.dataset[index]]))
            seconds.append(self.clock() - began)
        runner.model.train()
        return statistics.median(seconds) * number / get_world_size()

    @staticmethod
    def _multiple(runner: Runner, number: int) -> int:
        """``number`` rounded up to a multiple of the batches whose gradients make a step."""
        counts = runner.optim_wrapper._accumulative_counts
        return -(-number // counts) * counts

    @staticmethod
    def _say(text: str, level: int = logging.INFO) -> None:
        print_log(text, logger="current", level=level)
