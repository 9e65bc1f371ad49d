"""The progress of validation and test."""

import datetime
import logging
import sys
import time
from collections.abc import Sequence
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook, LoggerHook
from mmengine.runner import BaseLoop, Runner
from tqdm import tqdm

from cellmm.registry import HOOKS


@HOOKS.register_module()
class ProgressHook(Hook):
    """Show the progress of validation and test with the time left.

    On a terminal this is a bar on stderr, which disappears at the end and does not mix with lines of the log.
    Elsewhere it is a line in the log now and then, unless mmengine's LoggerHook writes one.

    Args:
        interval: seconds between two lines.
    """

    priority = "VERY_LOW"

    def __init__(self, interval: float = 30.0) -> None:
        self.interval = interval
        self._bar: tqdm | None = None
        self._begun = self._told = 0.0

    def before_val_epoch(self, runner: Runner) -> None:
        self._begin(runner, runner.val_loop, "validation")

    def before_test_epoch(self, runner: Runner) -> None:
        self._begin(runner, runner.test_loop, "test")

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence | None = None
    ) -> None:
        self._go_on(runner, runner.val_loop, "validation", batch_idx)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence | None = None
    ) -> None:
        self._go_on(runner, runner.test_loop, "test", batch_idx)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        self._close(runner)

    def after_test_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        self._close(runner)

    def _begin(self, runner: Runner, loop: BaseLoop, what: str) -> None:
        self._close(runner)  # left by a loop that an error ended
        self._begun = self._told = time.monotonic()
        if is_main_process() and sys.stderr.isatty():
            self._bar = tqdm(total=len(loop.dataloader), desc=what, unit=_unit(loop), leave=False)
            runner.logger.addFilter(self._clear)

    def _go_on(self, runner: Runner, loop: BaseLoop, what: str, batch_idx: int) -> None:
        if self._bar is not None:
            self._bar.update()
            if self._bar.n == self._bar.total:
                self._close(runner)  # before the metrics are computed and logged
            return
        now, done, total = time.monotonic(), batch_idx + 1, len(loop.dataloader)
        if any(self.every_n_inner_iters(batch_idx, n) for n in _intervals(runner)):
            self._told = now
        elif is_main_process() and done < total and now - self._told >= self.interval:
            self._told = now
            left = datetime.timedelta(seconds=round((now - self._begun) / done * (total - done)))
            unit = _unit(loop) + ("es" if _unit(loop) == "batch" else "s")
            runner.logger.info(f"{what}: {done} of {total} {unit}, time left: {left}")

    def _clear(self, record: logging.LogRecord) -> bool:
        """Make room for a line of the log; the bar is drawn again with the next image."""
        if self._bar is not None:
            self._bar.clear()
        return True

    def _close(self, runner: Runner) -> None:
        if self._bar is not None:
            runner.logger.removeFilter(self._clear)
            self._bar.close()
            self._bar = None


def _unit(loop: BaseLoop) -> str:
    return "image" if getattr(loop.dataloader, "batch_size", None) == 1 else "batch"


def _intervals(runner: Runner) -> list[int]:
    """After how many batches LoggerHook writes a line."""
    return [hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)]
