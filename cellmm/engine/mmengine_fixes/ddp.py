"""Distributed data parallel training, also without a GPU."""

from collections.abc import Sequence

from mmengine.model import MMDistributedDataParallel
from torch import nn

from cellmm.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class CellDistributedDataParallel(MMDistributedDataParallel):
    """mmengine's wrapper, without device ids for a model on the CPU, where torch refuses them."""

    def __init__(self, module: nn.Module, device_ids: Sequence[int] | None = None, **kwargs) -> None:
        on_cpu = next(module.parameters()).device.type == "cpu"
        super().__init__(module, device_ids=None if on_cpu else device_ids, **kwargs)
