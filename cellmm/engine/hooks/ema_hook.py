"""Averaged weights, compared with the plain ones where the two are far apart."""

import logging

import mmengine.hooks
import torch
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmengine.runner.amp import autocast

from cellmm.evaluation.trial_evaluator import trial_evaluator
from cellmm.registry import HOOKS


@HOOKS.register_module()
class EMAHook(mmengine.hooks.EMAHook):
    """mmengine's hook of the same name and arguments: averaged weights are validated, saved and tested.

    If they are far from the plain weights, validation scores both and a log line gives both results.
    Checkpoints hold both.

    Args:
        compare_above: both are scored above this relative distance |averaged - plain| / |plain| of all
            parameters, which costs a second validation.
        kwargs: mmengine's, and those of the average (``ema_type``), such as ``momentum`` and ``warmup``.
    """

    def __init__(self, compare_above: float = 0.05, **kwargs) -> None:
        super().__init__(**kwargs)
        if compare_above < 0:
            raise ValueError(f"compare_above must be 0 or more, got {compare_above}")
        self.compare_above = compare_above

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        super().after_val_epoch(runner, metrics)  # the model has its plain weights again
        distance = self.distance()
        if not metrics or distance <= self.compare_above:
            return
        plain = _validate(runner)
        both = ", ".join(f"{key} {metrics[key]:.4f} / {plain[key]:.4f}" for key in list(plain)[:2])
        print_log(
            f"averaged / plain weights, which are {distance:.0%} apart: {both}; the averaged ones are saved; "
            "to save the plain ones, leave EMAHook out of custom_hooks",
            logger="current",
            level=logging.WARNING,
        )

    @torch.no_grad()
    def distance(self) -> float:
        """|averaged - plain| / |plain| over all parameters."""
        pairs = list(zip(self.ema_model.module.parameters(), self.src_model.parameters(), strict=True))
        apart = torch.stack([(averaged - plain).float().norm() for averaged, plain in pairs]).norm()
        size = torch.stack([plain.float().norm() for _, plain in pairs]).norm()
        return float(apart / size)


@torch.no_grad()
def _validate(runner: Runner) -> dict[str, float]:
    """Scores of the validation set with the present weights, without hooks and files."""
    loop = runner.val_loop
    runner.model.eval()
    with trial_evaluator(loop.evaluator) as evaluator, autocast(enabled=getattr(loop, "fp16", False)):
        for batch in loop.dataloader:
            evaluator.process(data_samples=runner.model.val_step(batch), data_batch=batch)
        return evaluator.evaluate(len(loop.dataloader.dataset))
