"""Checkpoints that a training can go on from exactly."""

import os
from collections.abc import Iterable
from typing import Any

import mmengine.hooks
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from cellmm.errors import CellMMError
from cellmm.registry import HOOKS

GREATER_KEYS = [*mmengine.hooks.CheckpointHook._default_greater_keys, "AP", "AR", "F1", "PQ"]
# where the message hub, and with it a checkpoint, says which earlier one is no longer needed beside it
OUTDATED = "outdated_ckpt_ids"


@HOOKS.register_module()
class CheckpointHook(mmengine.hooks.CheckpointHook):
    """mmengine's hook of the same name and arguments, with these differences.

    - It counts iterations or epochs as the training loop does, unless ``by_epoch`` says otherwise, and knows
      that more AP, AR, F1 and PQ is better.
    - A file that is no longer kept (``max_keep_ckpts``, an earlier best) is removed after the new one is in
      place, so that one whole checkpoint is there at any moment. A training that was killed in between
      removes it when it is resumed.
    - Training that is stopped early leaves its last state too.
    - ``interval`` and ``save_begin`` must be multiples of the optimizer wrapper's ``accumulative_counts``:
      gradients that are only summed so far are not part of a checkpoint.
    - ``out_dir`` and ``filename_tmpl`` are refused: a training is resumed from its work dir.
    """

    _default_greater_keys = GREATER_KEYS

    def __init__(self, interval: int = -1, by_epoch: bool | None = None, **kwargs) -> None:
        for name in ("out_dir", "filename_tmpl"):
            if kwargs.get(name) is not None:
                raise ValueError(
                    "checkpoints are written to the work dir, where --resume finds them by their names; use "
                    f"--work-dir in place of {name}"
                )
        super().__init__(interval=interval, by_epoch=by_epoch, **kwargs)

    def before_train(self, runner: Runner) -> None:
        if self.by_epoch is None:
            self.by_epoch = getattr(runner.train_loop, "counts_epochs", False)
            if self.by_epoch:
                self.filename_tmpl = self.filename_tmpl.replace("iter_", "epoch_")
        super().before_train(runner)
        counts = runner.optim_wrapper._accumulative_counts
        if self.interval > 0:
            self._check_whole_steps(counts, len(runner.train_dataloader) if self.by_epoch else 1)
        if not self.by_epoch and self.save_begin % counts:
            raise CellMMError(
                f"default_hooks.checkpoint.save_begin: {self.save_begin} is not a multiple of "
                f"optim_wrapper.accumulative_counts, {counts}; training could not be resumed exactly; "
                f"take {self.save_begin + -self.save_begin % counts}"
            )
        self._remove_outdated(runner)
        self._forget_other_folders()
        self.file_backend = _RemoveLater(self.file_backend)

    def _check_whole_steps(self, counts: int, length: int) -> None:
        """``length``: iterations between two numbers that ``interval`` counts."""
        cure = -(-self.interval * length // counts) * counts  # iterations
        if self.interval * length == cure:
            return
        what, by_epoch = f"{self.interval} is", ""
        if self.by_epoch:
            epochs = "1 epoch is" if self.interval == 1 else f"{self.interval} epochs are"
            what, by_epoch = f"{epochs} {self.interval * length} iterations,", " and by_epoch=False"
        raise CellMMError(
            f"default_hooks.checkpoint.interval: {what} not a multiple of optim_wrapper.accumulative_counts, "
            f"{counts}; training could not be resumed exactly; take {cure}{by_epoch}"
        )

    def _remove_outdated(self, runner: Runner) -> None:
        """What was to be removed after the checkpoint that this training goes on from was in place."""
        for step in runner.message_hub.runtime_info.get(OUTDATED, ()):
            path = os.path.join(self.out_dir, self.filename_tmpl.format(step))
            if is_main_process() and step not in getattr(self, "keep_ckpt_ids", ()) and os.path.isfile(path):
                os.remove(path)

    def _forget_other_folders(self) -> None:
        """The best checkpoint of a training that this one is resumed from elsewhere is not ours to remove."""
        if not self.save_best:
            return
        if len(self.key_indicators) == 1 and self.best_ckpt_path:
            self.best_ckpt_path = self._if_here(self.best_ckpt_path)
        for key, path in getattr(self, "best_ckpt_path_dict", {}).items():
            self.best_ckpt_path_dict[key] = self._if_here(path)

    def _if_here(self, path: str | None) -> str | None:
        here = path and os.path.abspath(os.path.dirname(path)) == os.path.abspath(self.out_dir)
        return path if here else None

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        kept = getattr(self, "keep_ckpt_ids", ())
        if len(kept) == self.max_keep_ckpts and kept[-1] != step:
            runner.message_hub.update_info(OUTDATED, [kept[0]])
        super()._save_checkpoint_with_step(runner, step, meta)
        self.file_backend.remove_now(but=[self.last_ckpt])

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        # mmengine writes the last checkpoint again, to note the new best; ours is resumed at its validation
        last, self.last_ckpt = self.last_ckpt, None
        super()._save_best_checkpoint(runner, metrics)
        self.last_ckpt = last
        if self.save_best:
            bests = getattr(self, "best_ckpt_path_dict", None) or dict(best=self.best_ckpt_path)
            self.file_backend.remove_now(but=bests.values())

    def after_train(self, runner: Runner) -> None:
        if self.save_last and runner.iter < runner.max_iters:  # stopped early
            step = runner.epoch if self.by_epoch else runner.iter
            self._save_checkpoint_with_step(runner, step, dict(epoch=runner.epoch, iter=runner.iter))
        super().after_train(runner)


class _RemoveLater:
    """A file backend that only notes what to remove until it is told to do so."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._doomed: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def isdir(self, path: str) -> bool:
        return False  # nothing of ours is a folder, so none is removed

    def remove(self, path: str) -> None:
        self._doomed.append(path)

    def remove_now(self, but: Iterable[str | None]) -> None:
        """Remove what was noted, except for the files ``but``, which were written anew."""
        doomed, self._doomed = self._doomed, []
        for path in set(doomed) - set(but):
            if is_main_process() and self._backend.isfile(path):
                self._backend.remove(path)
