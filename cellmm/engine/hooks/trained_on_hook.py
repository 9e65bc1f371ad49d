"""The size and scale of the training images go into checkpoints."""

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import Tensor

from cellmm.engine.cell_size import median_diameter
from cellmm.engine.trained_on import TrainedOn, scales_of
from cellmm.registry import HOOKS

MEASURED = 16


@HOOKS.register_module()
class TrainedOnHook(Hook):
    """Write ``meta.trained_on`` of checkpoints, see TrainedOn: the extremes of all ranks, kept on resume.

    The size of the first validation image counts too: a network that is trained on crops and chosen by its
    score on whole images is meant for whole images. The diameter of cells is that of ``MEASURED`` training
    samples, spread over the set.
    """

    def __init__(self) -> None:
        self._pixel_size: tuple[float, float] | None = None
        self._diameter: float | None = None
        self._extremes: Tensor | None = None  # maxima of shorter side, longer side, scale, -scale

    def before_train(self, runner: Runner) -> None:
        if self._extremes is None and runner.val_loop is not None:
            sample = runner.val_loop.dataloader.dataset[0]
            self._add(runner, [[*sorted(sample["inputs"].shape[-2:]), -math.inf, -math.inf]])

        dataset = runner.train_loop.dataloader.dataset
        picked = np.unique(np.linspace(0, len(dataset) - 1, MEASURED).round().astype(int))
        samples = [dataset[int(index)]["data_samples"] for index in picked]
        self._diameter = median_diameter(samples)
        self._pixel_size = samples[0].get("model_pixel_size")

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        rows = []
        for image, sample in zip(data_batch["inputs"], data_batch["data_samples"], strict=True):
            scales = scales_of(sample)
            rows.append([*sorted(image.shape[-2:]), max(scales), -min(scales)])
        self._add(runner, rows)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if self._extremes is not None and self._extremes.isfinite().all():
            short, long, most, minus_least = self._extremes.tolist()
            seen = TrainedOn((int(short), int(long)), (-minus_least, most), self._pixel_size, self._diameter)
            checkpoint["meta"]["trained_on"] = seen.to_meta()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        seen = TrainedOn.from_meta(checkpoint["meta"], runner._load_from) if runner._resume else None
        if seen is not None:
            self._extremes = self._tensor(runner, [*seen.size, seen.scale[1], -seen.scale[0]])

    def _add(self, runner: Runner, rows: Sequence[Sequence[float]]) -> None:
        new = self._tensor(runner, [max(column) for column in zip(*rows, strict=True)])
        self._extremes = new if self._extremes is None else torch.maximum(self._extremes, new)
        all_reduce(self._extremes, "max")

    @staticmethod
    def _tensor(runner: Runner, values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=next(runner.model.parameters()).device)


class CompareWithTrainingHook(Hook):
    """In a test: refuse images of another scale than in training, and count images that are larger.

    A model that finds how large cells are (``cell_size``) scales each image itself, by any factor.
    """

    def __init__(self, seen: TrainedOn) -> None:
        self.seen, self.counts = seen, torch.zeros(2)  # larger images, all images

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        model = getattr(runner.model, "module", runner.model)
        for image, sample in zip(data_batch["inputs"], data_batch["data_samples"], strict=True):
            shape = image.shape[-2:]
            if getattr(model, "cell_size", None) is None:
                self.seen.check_scale(sample, shape)
            self.counts += torch.tensor([self.seen.is_exceeded_by(shape), 1])

    def after_test_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        all_reduce(self.counts, "sum")
        larger, total = map(int, self.counts.tolist())
        model = getattr(runner.model, "module", runner.model)
        if larger and getattr(model, "tile", 0) is None:
            tile, overlap = self.seen.tile_for(model)
            print_log(
                f"{larger} of {total} images are clearly larger than those of training "
                f"({'x'.join(map(str, self.seen.size))} px) and were tested whole; to test in tiles, as "
                f"`cellmm predict` does: --cfg-options model.tile={tile} model.tile_overlap={overlap}",
                logger="current",
                level=logging.WARNING,
            )
