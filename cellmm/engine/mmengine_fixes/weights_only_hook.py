"""Training state that can be read with ``weights_only=True``."""

from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.runner import Runner

from cellmm.errors import CellMMError
from cellmm.registry import HOOKS

_PLAIN = (str, int, float, bool, type(None), torch.Tensor)


@HOOKS.register_module()
class WeightsOnlyHook(Hook):
    """Write the message hub as tensors and plain values, and read it back.

    mmengine stores HistoryBuffer and numpy objects, which ``weights_only=True`` refuses. Each buffer is also
    cut to its last ``max_history`` values: appending takes time linear in its length, and every checkpoint
    holds all of it.
    """

    priority = "VERY_LOW"

    def __init__(self, max_history: int = 1_000) -> None:
        self.max_history = max_history

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        for buffer in runner.message_hub.log_scalars.values():
            if len(buffer.data[0]) > 2 * self.max_history:
                _set_history(buffer, *(part[-self.max_history :] for part in buffer.data))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        hub = checkpoint["message_hub"]
        checkpoint["message_hub"] = dict(
            log_scalars={
                key: [torch.as_tensor(np.asarray(part, dtype=np.float64)) for part in buffer.data]
                for key, buffer in hub["log_scalars"].items()
            },
            runtime_info=_plain_items(hub["runtime_info"]),
            resumed_keys=dict(hub["resumed_keys"]),
        )
        checkpoint["meta"] = _plain_items(checkpoint["meta"])
        schedulers = _plain(checkpoint.get("param_schedulers"))
        if schedulers is _DROP:
            raise CellMMError("param_scheduler: its state holds objects, which no checkpoint may hold")
        if schedulers is not None:
            checkpoint["param_schedulers"] = schedulers

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        hub = checkpoint.get("message_hub")
        if hub is None:
            return
        scalars = {}
        for key, (values, counts) in hub["log_scalars"].items():
            scalars[key] = HistoryBuffer()
            _set_history(scalars[key], values.numpy(), counts.numpy())
        hub["log_scalars"] = scalars


_DROP = object()


def is_plain(value: Any) -> bool:
    """Whether a checkpoint may hold ``value``: tensors, numbers, text and containers of them."""
    return _plain(value) is not _DROP


def _plain_items(values: dict) -> dict:
    return {key: plain for key, value in values.items() if (plain := _plain(value)) is not _DROP}


def _plain(value: Any) -> Any:
    """Tensors, numbers, text and containers of them; ``_DROP`` for anything else."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, dict):
        items = {key: _plain(v) for key, v in value.items()}
        return _DROP if any(v is _DROP for v in items.values()) else items
    if isinstance(value, (list, tuple)):
        parts = [_plain(v) for v in value]
        return _DROP if any(part is _DROP for part in parts) else type(value)(parts)
    return _DROP


def _set_history(buffer: HistoryBuffer, values: np.ndarray, counts: np.ndarray) -> None:
    buffer._log_history, buffer._count_history = np.array(values), np.array(counts)
