"""Early stopping that resumes with its count."""

import mmengine.hooks
from mmengine.runner import Runner

from cellmm.engine.mmengine_fixes.checkpoint_hook import GREATER_KEYS
from cellmm.registry import HOOKS


@HOOKS.register_module()
class EarlyStoppingHook(mmengine.hooks.EarlyStoppingHook):
    """mmengine's hook of the same name and arguments, whose state goes into checkpoints."""

    priority = "LOW"  # it runs before a checkpoint is written
    _default_greater_keys = GREATER_KEYS

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        checkpoint.setdefault("early_stopping", {})[self.monitor] = dict(
            wait_count=self.wait_count,
            best_score=float(self.best_score),
            stop_training=runner.train_loop.stop_training,
            patience=self.patience,
        )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        state = checkpoint.get("early_stopping", {}).get(self.monitor)
        if state is not None and runner._resume:
            self.wait_count, self.best_score = state["wait_count"], state["best_score"]
            stop = state["stop_training"]
            if state.get("patience", self.patience) != self.patience:  # changed in the config
                stop = self.wait_count >= self.patience
            runner.train_loop.stop_training = stop
