"""Warnings for a training that learns nothing."""

import logging
import statistics
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import mmengine.hooks
import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from cellmm.models.heads.base import HeadContract
from cellmm.registry import HOOKS
from cellmm.structures import CellSample
from cellmm.structures import rle as rle_ops

WINDOW = 100  # losses whose median is taken
FLAT = 0.95  # a loss above this share of the first losses is no progress
STEPS = 50  # of the optimizer, after which weights must have moved
STILL = 1e-6  # of their size: weights that moved less are as they were
WHOLE = 0.9  # a prediction above this share of the image is not a cell
SAMPLED = 8  # tensors of weights that are compared
LOOK = "look at contact_sheet.png in the work dir, which shows what the model sees"


@HOOKS.register_module()
class LearningAlarmHook(Hook):
    """Warn if nothing is learned, and say what to try. Each warning is given once.

    - No cell in ``patience`` successive batches, or in the whole training.
    - The weights have hardly moved in the first 50 steps of the optimizer, as with a learning rate of 0.
    - The loss of a training from scratch has hardly fallen after ``settle`` iterations (or a fifth of all
      iterations, if that is more), or at the end.
    - Validation finds no cell in any image, or takes each image for one cell; a map is empty or full. The
      warning comes at the first such validation and at the last, which is that of the last iteration or the
      one after which training was stopped early. The last also warns if no prediction matches a cell.

    The hook changes nothing, and keeps nothing in checkpoints: in a training in pieces (PauseHook), only the
    first piece looks at the loss.
    """

    priority = "LOW"

    def __init__(self, patience: int = 50, settle: int = 1000) -> None:
        if patience < 1 or settle < 2 * WINDOW:
            raise ValueError(f"patience from 1 and settle from {2 * WINDOW}, got {patience} and {settle}")
        self.patience, self.settle = patience, settle
        self._told: set[str] = set()
        self._without, self._cells_seen = 0, False
        self._first: list[float] = []
        self._last: deque[float] = deque(maxlen=WINDOW)
        self._from_scratch = False
        self._weights: list[tuple[Tensor, Tensor]] = []  # some that can be trained, and how they began
        self._look_at = 0  # iteration after which they are compared
        self._found = torch.zeros(4, dtype=torch.long)
        self._latest: dict[str, str] = {}  # what is wrong with the latest validation

    def before_train(self, runner: Runner) -> None:
        self._from_scratch = runner.iter == 0 and not runner._load_from
        trained = [weights for weights in runner.model.parameters() if weights.requires_grad]
        some = trained[:: max(len(trained) // SAMPLED, 1)]
        self._weights = [(weights, weights.detach().clone()) for weights in some]
        self._look_at = runner.iter + STEPS * getattr(runner.optim_wrapper, "_accumulative_counts", 1)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        samples = (data_batch or {}).get("data_samples") or ()
        counts = [len(sample.gt_instances) for sample in samples if "gt_instances" in sample]
        if len(counts) == len(samples):
            self._without = 0 if any(counts) else self._without + 1
            self._cells_seen |= any(counts)
        if self._without == self.patience:
            self._warn_of_no_cells(self._without)
        if runner.iter + 1 == self._look_at:
            self._check_weights(runner)
        if not self._from_scratch or "loss" not in (outputs or {}):
            return
        if len(self._first) < WINDOW:
            self._first.append(float(outputs["loss"].detach()))
        else:
            self._last.append(float(outputs["loss"].detach()))
        if runner.iter + 1 == max(self.settle, runner.max_iters // 5):
            self._check_loss(runner, runner.iter + 1)

    def after_train(self, runner: Runner) -> None:
        if self._without and not self._cells_seen:
            self._warn_of_no_cells(self._without)
        if getattr(runner._train_loop, "paused", False):
            return  # it goes on
        self._check_loss(runner, runner.iter)
        if getattr(runner._train_loop, "stop_training", False):
            self._tell(runner, self._latest, last=True)

    def _warn_of_no_cells(self, number: int) -> None:
        text = f"no cell in {number} batches one after another: nothing can be learned from them; {LOOK}"
        self._warn("cells", text)

    def _check_weights(self, runner: Runner) -> None:
        """Those that moved by less than rounding would show in half precision did not learn."""
        moved = sum(float((now.detach() - before).square().sum()) for now, before in self._weights)
        size = sum(float(before.square().sum()) for _, before in self._weights)
        self._weights = []
        if size and moved <= STILL**2 * size:
            self._warn(
                "still",
                f"the weights are as they were {STEPS} steps ago: nothing is learned; the learning rate is "
                f"{_rate(runner):.2g}, take one that this optimizer needs, such as 1e-3 with AdamW",
            )

    def _check_loss(self, runner: Runner, number: int) -> None:
        if len(self._first) < WINDOW or len(self._last) < WINDOW:
            return
        first, last = statistics.median(self._first), statistics.median(self._last)
        if last > FLAT * first:
            self._warn(
                "loss",
                f"the loss is {last:.4g} after {number} iterations and was {first:.4g} in the first "
                f"{WINDOW}: nothing is learned; try a learning rate ten times higher or lower (now "
                f"{_rate(runner):.2g}), and {LOOK}",
            )

    def before_val_epoch(self, runner: Runner) -> None:
        self._found = torch.zeros(4, dtype=torch.long)  # images, cells, predictions, images taken for a cell

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence | None = None
    ) -> None:
        for sample in outputs or ():
            if isinstance(sample, CellSample) and "pred_instances" in sample and "eval_instances" in sample:
                self._found += torch.tensor(_counts(sample))

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        all_reduce(self._found)
        images, cells, predictions, whole = self._found.tolist()
        trains = runner._train_loop is not None and not isinstance(runner._train_loop, dict)
        last = trains and runner.iter >= runner.max_iters
        texts = dict(_of_maps(metrics or {}))
        if cells and not predictions:
            texts["nothing"] = f"no cell was found in any of {images} images, which have {cells}"
        elif images and whole == images:
            texts["everything"] = f"each of {images} images was taken for one cell"
        elif cells and (metrics or {}).get("AP") == 0:
            texts["AP"] = f"none of {predictions} predictions matches one of the {cells} cells (AP 0)"
        start = f"validation after {runner.iter if trains else 0} iterations"
        self._latest = {key: f"{start}: {text}" for key, text in texts.items()}
        self._tell(runner, self._latest, last)

    def _tell(self, runner: Runner, texts: dict[str, str], last: bool) -> None:
        for key, text in texts.items():
            cures = "; ".join(_cures(runner))
            if last:
                self._warn(f"{key} at the end", f"{text}; try: {cures}")
            elif key != "AP":  # common early in a training
                self._warn(key, f"{text}; usual early in a training; if it stays so, try: {cures}")

    def _warn(self, key: str, text: str) -> None:
        if key not in self._told:
            self._told.add(key)
            print_log(text, logger="current", level=logging.WARNING)


def _counts(sample: CellSample) -> list[int]:
    """[1, cells, predictions, 1 if the best prediction is nearly the whole image and no cell is]."""
    truth, found = sample.eval_instances, sample.pred_instances
    cells = [mask for mask, ignore in zip(truth.masks, truth.ignore, strict=True) if not ignore]
    pixels = sample.ori_shape[0] * sample.ori_shape[1]
    best = list(found.masks)[:1]
    whole = bool(best) and rle_ops.area(best)[0] > WHOLE * pixels
    whole = whole and not (rle_ops.area(cells) > WHOLE * pixels).any()
    return [1, len(cells), len(found.masks), int(whole)]


def _of_maps(metrics: dict) -> Iterator[tuple[str, str]]:
    """Maps of which nothing was found, or that were found everywhere, from the scores of SemanticMetric."""
    for key in metrics:
        name, slash, score = key.rpartition("/")
        if not slash or score != "Rec" or not {f"{name}/Acc", f"{name}/Prec"} <= metrics.keys():
            continue
        recall, accuracy, precision = (metrics[f"{name}/{key}"] for key in ("Rec", "Acc", "Prec"))
        if recall == 0:
            yield f"empty {name}", f"nothing of the map {name!r} was found in any image"
        elif recall == 1 and accuracy == precision < 1:
            yield f"full {name}", f"the map {name!r} is all over every image"


def _cures(runner: Runner) -> Iterator[str]:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    by_epoch = getattr(runner._train_loop, "counts_epochs", False)
    yield f"a longer training (train_cfg.{'max_epochs' if by_epoch else 'max_iters'})"
    yield f"another learning rate (now {_rate(runner):.2g})"
    for name, head in getattr(model, "heads", {}).items():
        for key, value in HeadContract.of(head).score_thrs.items():
            if value > 0:
                yield f"a lower model.heads.{name}.{key} (now {value:g})"
    if any(isinstance(hook, mmengine.hooks.EMAHook) for hook in runner.hooks):
        yield "no averaged weights (EMAHook), which lag behind in a short training"
    yield LOOK


def _rate(runner: Runner) -> float:
    """The highest learning rate in the optimizer; nan without an optimizer."""
    rates = (
        [rate for values in runner.optim_wrapper.get_lr().values() for rate in values]
        if hasattr(runner.optim_wrapper, "get_lr")
        else []
    )
    return max(rates, default=float("nan"))
