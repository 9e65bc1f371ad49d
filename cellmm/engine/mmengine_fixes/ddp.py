"""Distributed data parallel training, also without a GPU."""

from collections.abc import Sequence
from typing import Any

from mmengine.model import MMDistributedDataParallel
from torch import nn

from cellmm.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class CellDistributedDataParallel(MMDistributedDataParallel):
    """mmengine's wrapper, without device ids for a model on the CPU, where torch refuses them."""

    def __init__(self, module: nn.Module, device_ids: Sequence[int] | None = None, **kwargs) -> None:
        on_cpu = next(module.parameters()).device.type == "cpu"
        super().__init__(module, device_ids=None if on_cpu else device_ids, **kwargs)


@MODEL_WRAPPERS.register_module()
class PartsDistributedDataParallel(nn.Module):
    """Each part of a model in a CellDistributedDataParallel of its own, for parts that alternate.

    One wrapper around the whole model would wait for gradients of the part that does not learn. The model's
    ``train_step(data, optim_wrapper, parts)`` calls ``parts[name]`` in place of the part, once per step.
    Unlike mmengine's MMSeparateDistributedDataParallel it leaves the names of the weights as they are, so
    that checkpoints are those of one process.

    Args:
        module: the model.
        names: its parts, those with an optimizer of their own by PartsOptimWrapperConstructor.
        device_ids, kwargs: of CellDistributedDataParallel.
    """

    def __init__(
        self,
        module: nn.Module,
        names: Sequence[str],
        device_ids: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.module = module
        self.parts = {
            name: CellDistributedDataParallel(getattr(module, name), device_ids, **kwargs) for name in names
        }  # a dict, since the model holds the weights already

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def train_step(self, data: Any, optim_wrapper: Any) -> dict:
        return self.module.train_step(data, optim_wrapper, parts=self.parts)

    def val_step(self, data: Any) -> list:
        return self.module.val_step(data)

    def test_step(self, data: Any) -> list:
        return self.module.test_step(data)
