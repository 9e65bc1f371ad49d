"""Stop, or skip a batch, if a loss or gradient is not finite."""

import logging
import os
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_rank, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import Tensor

from cellmm.errors import CellMMError
from cellmm.io.files import atomic_path
from cellmm.registry import HOOKS


@HOOKS.register_module()
class NonFiniteHook(Hook):
    """Stop training at a loss or gradient that is not finite, and write a dump that reproduces it.

    The step itself is not taken (see OptimWrapper). The message names the iteration, the losses and the files
    of the batch, on each rank its own. The dump, ``non_finite_iter_N.pth`` in the work dir, is a checkpoint
    of the state before the iteration, with the images of the batch as tensors under ``batch``; other ranks
    write their batches beside it. Resuming from it repeats the iteration. If gradients are accumulated,
    whose sums no checkpoint holds, resume from the last ordinary checkpoint instead.

    Args:
        max_skips: number of such batches that are skipped with a warning before training stops. The gradients
            accumulated since the last step are dropped with each.
    """

    priority = "VERY_HIGH"

    def __init__(self, max_skips: int = 0) -> None:
        if max_skips < 0:
            raise ValueError(f"max_skips must be 0 or more, got {max_skips}")
        self.max_skips, self.num_skips = max_skips, 0
        self._buffers: list[Tensor] = []
        self._dump: dict = {}

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        # running means are updated before the loss of a batch is known
        buffers = list(runner.model.buffers())
        if self._buffers:
            for kept, buffer in zip(self._buffers, buffers, strict=True):
                kept.copy_(buffer)
        else:
            self._buffers = [buffer.clone() for buffer in buffers]

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        bad = [name for name, value in (outputs or {}).items() if not _is_finite(value)]
        if not bad and not runner.optim_wrapper.refused:
            return
        for kept, buffer in zip(self._buffers, runner.model.buffers(), strict=True):
            buffer.copy_(kept)
        self.num_skips += 1
        what = ", ".join(bad[:3]) + (", ..." if len(bad) > 3 else "") if bad else "gradient"
        where = f"iteration {runner.iter + 1}: {what} not finite; batch: {', '.join(_files(data_batch))}"
        if self.num_skips > self.max_skips:
            path = self._write_dump(runner, data_batch, where)
            accumulates = runner.optim_wrapper._accumulative_counts > 1
            raise CellMMError(
                f"{where}; lower the learning rate, set optim_wrapper.clip_grad=dict(max_norm=5.0), or take "
                f"bfloat16 in place of float16; to see it again: --resume{'' if accumulates else f' {path}'}"
                f"{f' (its state and images are in {path})' if accumulates else ''}"
            )
        print_log(
            f"{where}; left out ({self.num_skips} of {self.max_skips})",
            logger="current",
            level=logging.WARNING,
        )
        runner.optim_wrapper.drop_gradients()

    def _write_dump(self, runner: Runner, data_batch: Any, where: str) -> str:
        name = f"non_finite_iter_{runner.iter + 1}.pth"
        self._dump = dict(what=where, files=_files(data_batch), inputs=data_batch["inputs"])
        if not is_main_process():
            with atomic_path(Path(runner.work_dir, f"{Path(name).stem}_rank_{get_rank()}.pth")) as tmp:
                torch.save(self._dump, tmp)
        runner.save_checkpoint(
            runner.work_dir, name, meta=dict(epoch=runner.epoch, iter=runner.iter), by_epoch=False
        )
        return os.path.join(runner.work_dir, name)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if self._dump:
            checkpoint["batch"] = self._dump
        checkpoint["num_skips"] = self.num_skips

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if runner._resume:
            self.num_skips = min(checkpoint.get("num_skips", 0), self.max_skips)


def _is_finite(value: Any) -> bool:
    return bool(torch.isfinite(torch.as_tensor(value)).all())


def _files(data_batch: Any) -> list[str]:
    """The file and the number of the draw of each image of a batch."""
    return [
        f"{sample.get('img_path', '?')} (draw {sample.get('draw', '?')})"
        for sample in data_batch["data_samples"]
    ]
