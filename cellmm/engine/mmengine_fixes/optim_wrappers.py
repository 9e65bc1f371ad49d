"""mmengine's optimizer wrappers: they refuse a step that would destroy the weights; AMP works on any device.

In a config of cellmm the names ``OptimWrapper`` and ``AmpOptimWrapper`` mean these.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import mmengine.optim
import torch
from mmengine.device import get_device
from mmengine.dist import all_reduce
from torch import Tensor, nn

from cellmm.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class OptimWrapper(mmengine.optim.OptimWrapper):
    """mmengine's wrapper; if a loss or gradient is not finite on any rank, no rank takes the step.

    Attributes:
        refused: whether the last update was refused for that reason; read by NonFiniteHook.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        for name in ("max_norm", "clip_value"):
            limit = (self.clip_grad_kwargs or {}).get(name, 1)
            if not (isinstance(limit, int | float) and limit > 0):
                raise ValueError(f"clip_grad.{name} must be above 0, got {limit}")
        self.refused = False
        self._loss_is_bad = False

    def update_params(
        self, loss: Tensor, step_kwargs: dict | None = None, zero_kwargs: dict | None = None
    ) -> None:
        self.refused = False
        self._loss_is_bad |= not bool(torch.isfinite(loss))
        super().update_params(loss, step_kwargs, zero_kwargs)

    def step(self, **kwargs) -> None:
        self._before_step()
        bad = self._loss_is_bad or not self._gradient_is_usable()
        self._loss_is_bad = False
        flag = torch.tensor(float(bad), device=self._device())
        all_reduce(flag, "max")  # does nothing on a single rank
        self.refused = bool(flag)
        if self.refused:
            self._after_refusal()
        else:
            self._take_step(**kwargs)

    def drop_gradients(self) -> None:
        """Forget the gradients summed since the last step, and whether one of their losses was not finite."""
        self.zero_grad()
        self._loss_is_bad = False

    def _gradient_is_usable(self) -> bool:
        """Whether the norm over all gradients is finite; if so, they are clipped as configured."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        parameters = [p for p in parameters if p.grad is not None]
        options = dict(self.clip_grad_kwargs or {})
        by_norm = "max_norm" in options
        max_norm = options.pop("max_norm", None)
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters], **(options if by_norm else {}))
        if not bool(torch.isfinite(norm)):
            return False
        if by_norm:
            torch.nn.utils.clip_grads_with_norm_(parameters, max_norm, norm)
            self.message_hub.update_scalar("train/grad_norm", float(norm))
        elif self.clip_grad_kwargs:
            self._clip_grad()
        return True

    def _device(self) -> torch.device:
        return self.optimizer.param_groups[0]["params"][0].device

    def _before_step(self) -> None:
        """Hook for gradients that are scaled."""

    def _after_refusal(self) -> None:
        """Hook for a scale that has to change."""

    def _take_step(self, **kwargs) -> None:
        self.optimizer.step(**kwargs)


def has_native_bfloat16(device: str) -> bool:
    """Whether ``device`` ('cpu', 'cuda', ...) multiplies bfloat16 in hardware."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device == "cpu" and torch.cpu._is_avx512_bf16_supported()


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(OptimWrapper):
    """Automatic mixed precision: torch.autocast around the forward pass, on the CPU too.

    Args:
        dtype: ``'bfloat16'``, ``'float16'`` (which scales the loss), or ``'auto'``: bfloat16 where
            the processor multiplies it natively, float32 elsewhere (software bfloat16 is slower than that).
        min_loss_scale: with float16, gradients that overflow halve the scale of the loss and skip the step.
            That is normal; below this scale it counts as a loss that is not finite.
    """

    def __init__(self, dtype: str = "bfloat16", min_loss_scale: float = 1.0, **kwargs) -> None:
        super().__init__(**kwargs)
        if dtype not in ("auto", "bfloat16", "float16"):
            raise ValueError(f"dtype must be 'auto', 'bfloat16' or 'float16', got {dtype!r}")
        self.device = get_device()
        self.enabled = dtype != "auto" or has_native_bfloat16(self.device)
        self.cast_dtype = torch.float16 if dtype == "float16" else torch.bfloat16
        self.min_loss_scale = min_loss_scale
        self.scaler = torch.amp.GradScaler(self.device, enabled=dtype == "float16")

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        autocast = torch.autocast(self.device, dtype=self.cast_dtype, enabled=self.enabled)
        with super().optim_context(model), autocast:
            yield

    def backward(self, loss: Tensor, **kwargs) -> None:
        self.scaler.scale(loss).backward(**kwargs)
        self._inner_count += 1

    def _before_step(self) -> None:
        self.scaler.unscale_(self.optimizer)

    def _after_refusal(self) -> None:
        if self.scaler.is_enabled():
            self.scaler.update()  # lowers the scale where a gradient overflowed
            self.refused = self.scaler.get_scale() < self.min_loss_scale

    def _take_step(self, **kwargs) -> None:
        self.scaler.step(self.optimizer, **kwargs)
        self.scaler.update()

    def state_dict(self) -> dict:
        return dict(super().state_dict(), loss_scaler=self.scaler.state_dict())

    def load_state_dict(self, state_dict: dict) -> None:
        state_dict = dict(state_dict)
        self.scaler.load_state_dict(state_dict.pop("loss_scaler", {}) or self.scaler.state_dict())
        super().load_state_dict(state_dict)
