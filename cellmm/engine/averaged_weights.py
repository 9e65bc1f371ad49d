"""Averages of a model's weights over the training."""

import mmengine.model
from torch import Tensor, nn

from cellmm.registry import MODELS


@MODELS.register_module()
class ExponentialMovingAverage(mmengine.model.ExponentialMovingAverage):
    """mmengine's average of the same name and arguments, warmed up to be right after any number of steps.

    Update n moves the average by max(momentum, warmup / (warmup + n)) of the distance to the new weights.
    Early in a training the average then spans about the last 1 / ``warmup`` of the steps so far. Without a
    warm-up it keeps a share of (1 - momentum)^n of the weights after the first step: 13 % after 200 steps
    with momentum 0.01.

    Args:
        model: the model whose weights are averaged.
        momentum: share of the new weights once warmed up, between 0 and 1.
        warmup: above 0. The warm-up lasts for warmup / momentum updates.
        kwargs: mmengine's ``interval``, ``device`` and ``update_buffers``. The latter averages running means
            too; otherwise they are those of the plain weights.

    Raises:
        ValueError: ``momentum`` or ``warmup`` out of range.
    """

    def __init__(
        self,
        model: nn.Module,
        momentum: float = 0.0002,
        warmup: float = 10.0,
        **kwargs,
    ) -> None:
        if not 0 < momentum < 1:
            raise ValueError(f"momentum must be between 0 and 1, got {momentum}")
        if not warmup > 0:
            raise ValueError(f"warmup must be above 0, got {warmup}")
        super().__init__(model, momentum, **kwargs)
        self.warmup, self._share = warmup, 1.0

    def update_parameters(self, model: nn.Module) -> None:
        updates = int(self.steps) // self.interval
        self._share = max(self.momentum, self.warmup / (self.warmup + updates))
        super().update_parameters(model)

    def avg_func(self, averaged_param: Tensor, source_param: Tensor, steps: int) -> None:
        averaged_param.lerp_(source_param, self._share)
