"""The training loop that can be killed at any moment and go on as if nothing had happened."""

import bisect
import itertools
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce, broadcast, get_rank, get_world_size
from mmengine.hooks import EMAHook
from mmengine.logging import print_log
from mmengine.runner import BaseLoop, Runner
from mmengine.runner.utils import calc_dynamic_intervals
from torch.utils.data import DataLoader

from cellmm.errors import CellMMError
from cellmm.randomness import seed_all
from cellmm.registry import LOOPS

# where the message hub, and with it a checkpoint, says which validation was the last to begin
VALIDATED = "last_validation"


@LOOPS.register_module()
class IterBasedTrainLoop(BaseLoop):
    """mmengine's loop of the same name and arguments, with exact resume.

    - The sampler is asked to ``seek`` the first draw that was not trained on; mmengine reads all of the
      earlier batches again.
    - Before each iteration all random number generators are seeded from (seed, rank, iteration).
    - A checkpoint is written before the validation of its iteration; where training was killed in between,
      that validation is made up for.
    - What is logged is the mean over all ranks, on every rank.

    Args:
        max_iters: iterations in all.
        val_begin, val_interval: validate from this iteration on, each time it is a multiple of the interval,
            and after the last iteration.
        dynamic_intervals: [(iteration, val_interval from there on), ...].
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader | dict,
        max_iters: int,
        val_begin: int = 1,
        val_interval: int = 1000,
        dynamic_intervals: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        super().__init__(runner, dataloader)
        self.max_iters = int(max_iters)
        self.max_epochs, self._epoch = 1, 0  # the whole training, for hooks that count epochs
        self._iter = 0  # iterations done; Runner.resume sets it
        self._start = (0, 0)  # iterations and draws before this loop's batch size and number of ranks
        self.val_begin, self.val_interval = val_begin, val_interval
        self._milestones, self._intervals = calc_dynamic_intervals(val_interval, _pairs(dynamic_intervals))
        self.stop_training = False  # EarlyStoppingHook sets it
        if not hasattr(self.dataloader.sampler, "seek"):
            raise CellMMError(
                f"train_dataloader.sampler: {type(self.dataloader.sampler).__name__} cannot seek, so "
                "training could not be resumed exactly; use dict(type='DrawSampler', shuffle=True)"
            )
        self.runner.visualizer.dataset_meta = getattr(self.dataloader.dataset, "metainfo", None)

    @property
    def iter(self) -> int:
        return self._iter

    @property
    def epoch(self) -> int:
        return self._epoch

    def draws_after(self, iteration: int) -> int:
        """How many images all ranks have drawn in the first ``iteration`` iterations."""
        done, draws = self._start
        return draws + (iteration - done) * self.dataloader.batch_size * get_world_size()

    def go_on_after(self, iteration: int, draws: int) -> None:
        """The first ``iteration`` iterations drew ``draws`` images, be it in batches of another size."""
        self._start = (iteration, draws)

    def run(self) -> torch.nn.Module:
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        if self._iter and self._validation_is_due():
            self._validate()
        if self.stop_training:
            print_log(f"training was stopped early, after {self._iter} iterations", logger="current")
        self.dataloader.sampler.seek(self.draws_after(self._iter))
        batches = iter(self.dataloader)
        while self._iter < self.max_iters and not self.stop_training:
            self.runner.model.train()
            self._run_iter(next(batches))
            if self._validation_is_due():
                self._validate()
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        return self.runner.model

    def _run_iter(self, data_batch: Any) -> None:
        seed_all(self.runner.seed, get_rank(), self._iter)
        self.runner.call_hook("before_train_iter", batch_idx=self._iter, data_batch=data_batch)
        outputs = self.runner.model.train_step(data_batch, optim_wrapper=self.runner.optim_wrapper)
        self.runner.call_hook(
            "after_train_iter",
            batch_idx=self._iter,
            data_batch=data_batch,
            outputs=_mean_over_ranks(outputs),
        )
        self._iter += 1

    def _validation_is_due(self) -> bool:
        """Whether the iterations done so far call for a validation that was not made."""
        if self.runner.val_loop is None or self._iter < self.val_begin:
            return False
        if self.runner.message_hub.runtime_info.get(VALIDATED) == self._iter:
            return False
        self.val_interval = self._intervals[bisect.bisect(self._milestones, self._iter + 1) - 1]
        return self._iter % self.val_interval == 0 or self._iter == self.max_iters

    def _validate(self) -> None:
        self.runner.message_hub.update_info(VALIDATED, self._iter)
        self._share_buffers()
        self.runner.val_loop.run()

    def _share_buffers(self) -> None:
        """Give all ranks the running statistics of rank 0, which are those that checkpoints hold."""
        averaged = [hook.ema_model for hook in self.runner.hooks if isinstance(hook, EMAHook)]
        for model in (self.runner.model, *averaged):
            for buffer in model.buffers():
                broadcast(buffer)


def _pairs(dynamic_intervals: Sequence[tuple[int, int]] | None) -> list[tuple[int, int]] | None:
    """The intervals, checked: whole numbers from 1, iterations that grow."""
    if dynamic_intervals is None:
        return None
    pairs = [tuple(one) if isinstance(one, list | tuple) else (one,) for one in dynamic_intervals]
    whole = all(len(one) == 2 and all(type(n) is int and n > 0 for n in one) for one in pairs)
    if not whole or any(one[0] >= other[0] for one, other in itertools.pairwise(pairs)):
        raise CellMMError(
            f"train_cfg.dynamic_intervals: {dynamic_intervals}; give pairs (iteration, val_interval from "
            "there on) of whole numbers from 1, the iterations growing"
        )
    return pairs


def _mean_over_ranks(outputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Scalars to log; the same names on every rank, one exchange for all of them."""
    if get_world_size() == 1:
        return outputs
    values = torch.stack([value.detach().float().reshape(()) for value in outputs.values()])
    all_reduce(values, "mean")
    return dict(zip(outputs, values, strict=True))
