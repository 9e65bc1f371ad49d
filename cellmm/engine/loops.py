"""Training loops that can be killed at any moment and go on as if nothing had happened."""

import bisect
import itertools
from collections.abc import Iterator, Sequence
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


class NumberedTrainLoop(BaseLoop):
    """What both training loops share: numbered draws, from which a killed training goes on exactly.

    - The sampler is asked to ``seek`` the first draw that was not trained on; mmengine reads all of the
      earlier batches again.
    - Before each iteration all random number generators are seeded from (seed, rank, iteration).
    - A checkpoint is written before the validation of its iteration; where training was killed in between,
      that validation is made up for.
    - What is logged is the mean over all ranks, on every rank.
    """

    counts_epochs = False  # whether epochs pass during training, for hooks and schedules that count them

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader | dict,
        val_begin: int,
        val_interval: int,
        dynamic_intervals: Sequence[tuple[int, int]] | None,
    ) -> None:
        super().__init__(runner, dataloader)
        self._epoch = 0  # epochs done; Runner.resume sets it
        self._iter = 0  # iterations done; Runner.resume sets it
        self._start = (0, 0)  # iterations and draws before this loop's batch size and number of ranks
        self._epoch_start = 0  # draws before this epoch
        self.val_begin, self.val_interval = val_begin, val_interval
        self._milestones, self._intervals = calc_dynamic_intervals(val_interval, _pairs(dynamic_intervals))
        self.stop_training = False  # EarlyStoppingHook sets it
        self.paused = False  # PauseHook sets it: this process ends, the training does not
        if not hasattr(self.dataloader.sampler, "seek"):
            raise CellMMError(
                f"train_dataloader.sampler: {type(self.dataloader.sampler).__name__} cannot seek, so "
                "training could not be resumed exactly; use dict(type='DrawSampler', shuffle=True)"
            )
        if self.dataloader.drop_last:
            raise CellMMError(
                "train_dataloader.drop_last: True, but draws never end, so all batches are full; leave it out"
            )
        self.runner.visualizer.dataset_meta = getattr(self.dataloader.dataset, "metainfo", None)

    @property
    def iter(self) -> int:
        return self._iter

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def draws_per_iteration(self) -> int:
        """Images of one batch of all ranks."""
        return self.dataloader.batch_size * get_world_size()

    def draws_after(self, iteration: int) -> int:
        """How many images all ranks have drawn in the first ``iteration`` iterations."""
        done, draws = self._start
        return draws + (iteration - done) * self.draws_per_iteration

    def position(self, iteration: int, epoch: int) -> dict[str, int]:
        """What ``meta`` of a checkpoint after ``iteration`` iterations and ``epoch`` epochs holds besides."""
        return dict(draws=self.draws_after(iteration))

    def go_on_after(self, iteration: int, draws: int, epoch_start: int = 0) -> None:
        """The first ``iteration`` iterations drew ``draws`` images, be it in batches of another size.

        ``epoch_start``: draws before the present epoch.
        """
        self._start, self._epoch_start = (iteration, draws), epoch_start

    def _batches(self) -> Iterator[Any]:
        """Batches without end, from the first draw that was not trained on."""
        if self.stop_training:
            print_log(f"training was stopped early, after {self._iter} iterations", logger="current")
        self.dataloader.sampler.seek(self.draws_after(self._iter))
        return iter(self.dataloader)

    def _run_iter(self, data_batch: Any, batch_idx: int) -> None:
        self.runner.model.train()
        seed_all(self.runner.seed, get_rank(), self._iter)
        self.runner.call_hook("before_train_iter", batch_idx=batch_idx, data_batch=data_batch)
        outputs = self.runner.model.train_step(data_batch, optim_wrapper=self.runner.optim_wrapper)
        self.runner.call_hook(
            "after_train_iter",
            batch_idx=batch_idx,
            data_batch=data_batch,
            outputs=_mean_over_ranks(outputs),
        )
        self._iter += 1

    def _validate_if_due(self, count: int, last: int) -> None:
        """Validate unless that was done, where ``count`` iterations or epochs, of ``last``, call for it."""
        if self.runner.val_loop is None or count < self.val_begin:
            return
        if self.runner.message_hub.runtime_info.get(VALIDATED) == self._iter:
            return
        self.val_interval = self._intervals[bisect.bisect(self._milestones, count + 1) - 1]
        if count % self.val_interval == 0 or count == last:
            self.runner.message_hub.update_info(VALIDATED, self._iter)
            self._share_buffers()
            self.runner.val_loop.run()

    def _share_buffers(self) -> None:
        """Give all ranks the running statistics of rank 0, which are those that checkpoints hold."""
        averaged = [hook.ema_model for hook in self.runner.hooks if isinstance(hook, EMAHook)]
        for model in (self.runner.model, *averaged):
            for buffer in model.buffers():
                broadcast(buffer)


@LOOPS.register_module()
class IterBasedTrainLoop(NumberedTrainLoop):
    """mmengine's loop of the same name and arguments, with exact resume.

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
        super().__init__(runner, dataloader, val_begin, val_interval, dynamic_intervals)
        self.max_iters = int(max_iters)
        self.max_epochs = 1  # the whole training

    def end_after(self, max_iters: int, val_interval: int, val_begin: int) -> None:
        """Train and validate as if these had been given."""
        self.max_iters, self.val_begin, self.val_interval = max_iters, val_begin, val_interval
        self.runner.message_hub.update_info("max_iters", max_iters)  # by which losses are annealed
        self._milestones, self._intervals = calc_dynamic_intervals(val_interval, None)

    def run(self) -> torch.nn.Module:
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        if self._iter:
            self._validate_if_due(self._iter, self.max_iters)
        batches = self._batches()
        while self._iter < self.max_iters and not (self.stop_training or self.paused):
            self._run_iter(next(batches), batch_idx=self._iter)
            if not self.paused:  # a checkpoint first; the next process makes up for the validation
                self._validate_if_due(self._iter, self.max_iters)
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        return self.runner.model


@LOOPS.register_module()
class EpochBasedTrainLoop(NumberedTrainLoop):
    """mmengine's loop of the same name and arguments, with exact resume, inside an epoch too.

    An epoch is a number of draws: it ends with the iteration that makes them as many as the images, and the
    next one begins with the draws after it. With n images, batches of b and R ranks it has ceil(n / (b R))
    iterations, all of full batches.

    Args:
        max_epochs: epochs in all.
        val_begin, val_interval: validate from this epoch on, each time it is a multiple of the interval, and
            after the last epoch.
        dynamic_intervals: [(epoch, val_interval from there on), ...].
    """

    counts_epochs = True

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader | dict,
        max_epochs: int,
        val_begin: int = 1,
        val_interval: int = 1,
        dynamic_intervals: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        super().__init__(runner, dataloader, val_begin, val_interval, dynamic_intervals)
        self.max_epochs = int(max_epochs)

    @property
    def max_iters(self) -> int:
        """Iterations in all, with the present batch size and number of ranks from now on."""
        done, draws = self._start
        left = self.max_epochs - self._epoch
        if left <= 0:
            return self._iter
        images, batch = len(self.dataloader.dataset), self.draws_per_iteration
        end = done - (draws - self._epoch_start - images) // batch  # of this epoch, rounded up
        return end + (left - 1) * -(-images // batch)

    def position(self, iteration: int, epoch: int) -> dict[str, int]:
        draws = self.draws_after(iteration)
        return dict(draws=draws, epoch_start=self._epoch_start if epoch == self._epoch else draws)

    def run(self) -> torch.nn.Module:
        self.runner.call_hook("before_train")
        if self._iter:
            self._end_epoch_if_over()
        batches = self._batches()
        while self._epoch < self.max_epochs and not self.stop_training:
            self.runner.call_hook("before_train_epoch")
            epoch = self._epoch
            while self._epoch == epoch:
                drawn = self.draws_after(self._iter) - self._epoch_start
                self._run_iter(next(batches), batch_idx=drawn // self.draws_per_iteration)
                self._end_epoch_if_over()
        self.runner.call_hook("after_train")
        return self.runner.model

    def _end_epoch_if_over(self) -> None:
        """End an epoch that has enough draws; validate after an epoch unless that was done."""
        draws = self.draws_after(self._iter)
        if draws - self._epoch_start >= len(self.dataloader.dataset):
            self.runner.call_hook("after_train_epoch")
            self._epoch, self._epoch_start = self._epoch + 1, draws
        if draws == self._epoch_start:
            self._validate_if_due(self._epoch, self.max_epochs)


def _pairs(dynamic_intervals: Sequence[tuple[int, int]] | None) -> list[tuple[int, int]] | None:
    """The intervals, checked: whole numbers from 1, the first of each pair growing."""
    if dynamic_intervals is None:
        return None
    pairs = [tuple(pair) if isinstance(pair, list | tuple) else (pair,) for pair in dynamic_intervals]
    whole = all(len(pair) == 2 and all(type(n) is int and n > 0 for n in pair) for pair in pairs)
    if not whole or any(pair[0] >= other[0] for pair, other in itertools.pairwise(pairs)):
        raise CellMMError(
            f"train_cfg.dynamic_intervals: {dynamic_intervals}; give pairs (iteration or epoch, val_interval "
            "from there on) of whole numbers from 1, the first ones growing"
        )
    return pairs


def _mean_over_ranks(outputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Scalars to log; the same names on every rank, one exchange for all of them."""
    if get_world_size() == 1:
        return outputs
    values = torch.stack([value.detach().float().reshape(()) for value in outputs.values()])
    all_reduce(values, "mean")
    return dict(zip(outputs, values, strict=True))
