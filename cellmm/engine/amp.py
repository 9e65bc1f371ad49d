"""Automatic mixed precision on the CPU and the GPU alike."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from cellmm.registry import OPTIM_WRAPPERS


def has_native_bfloat16(device: str) -> bool:
    """Whether ``device`` ('cpu', 'cuda', ...) multiplies bfloat16 in hardware."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device == "cpu" and torch.cpu._is_avx512_bf16_supported()


@OPTIM_WRAPPERS.register_module()
class CellAmpOptimWrapper(OptimWrapper):
    """OptimWrapper with torch.autocast around the forward pass; mmengine's own asks for a GPU.

    Args:
        dtype: ``'bfloat16'``, ``'float16'`` (which scales the loss), or ``'auto'``: bfloat16 where
            the processor multiplies it natively, float32 elsewhere (software bfloat16 is slower than that).
    """

    def __init__(self, dtype: str = "bfloat16", **kwargs) -> None:
        super().__init__(**kwargs)
        if dtype not in ("auto", "bfloat16", "float16"):
            raise ValueError(f"dtype must be 'auto', 'bfloat16' or 'float16', got {dtype!r}")
        self.device = get_device()
        self.enabled = dtype != "auto" or has_native_bfloat16(self.device)
        self.cast_dtype = torch.float16 if dtype == "float16" else torch.bfloat16
        self.scaler = torch.amp.GradScaler(self.device, enabled=dtype == "float16")

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        autocast = torch.autocast(self.device, dtype=self.cast_dtype, enabled=self.enabled)
        with super().optim_context(model), autocast:
            yield

    def backward(self, loss: Tensor, **kwargs) -> None:
        self.scaler.scale(loss).backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs) -> None:
        if self.clip_grad_kwargs:
            self.scaler.unscale_(self.optimizer)
            self._clip_grad()
        self.scaler.step(self.optimizer, **kwargs)
        self.scaler.update()

    def state_dict(self) -> dict:
        return dict(super().state_dict(), loss_scaler=self.scaler.state_dict())

    def load_state_dict(self, state_dict: dict) -> None:
        state_dict = dict(state_dict)
        self.scaler.load_state_dict(state_dict.pop("loss_scaler", {}) or self.scaler.state_dict())
        super().load_state_dict(state_dict)
