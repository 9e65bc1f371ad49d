"""The form a checkpoint must have before anything uses it."""

import re
from pathlib import Path
from typing import Any

import torch

from cellmm.errors import CellMMError

NUMBER = (int, float)
# the type of each part, if the checkpoint has it; * stands for every value of a dict or a list
_FORM = {
    "state_dict": dict,
    "meta": dict,
    "meta.iter": int,
    "meta.epoch": int,
    "meta.draws": int,
    "meta.epoch_start": int,
    "meta.seed": (int, type(None)),
    "meta.dataset_meta": (dict, type(None)),
    "meta.dataset_meta.classes": (list, tuple),
    "meta.dataset_meta.category_ids": (list, tuple),
    "meta.dataset_meta.category_ids.*": int,
    "meta.trained_on": (dict, type(None)),
    "ema_state_dict": dict,
    "optimizer": dict,
    "optimizer.param_groups": list,
    "optimizer.param_groups.*": dict,
    "optimizer.param_groups.*.params": list,
    "optimizer.param_groups.*.params.*": int,
    "optimizer.param_groups.*.lr": NUMBER,
    "optimizer.state": dict,
    "optimizer.state.*": dict,
    "optimizer.base_param_settings": (dict, type(None)),
    "optimizer.base_param_settings.lr": NUMBER,
    "optimizer.loss_scaler": dict,
    "optimizer.loss_scaler.*": NUMBER,
    "param_schedulers": (list, dict),
    "param_schedulers.*": (list, dict),
    "early_stopping": dict,
    "early_stopping.*": dict,
    "early_stopping.*.wait_count": int,
    "early_stopping.*.best_score": NUMBER,
    "early_stopping.*.stop_training": bool,
    "early_stopping.*.patience": NUMBER,
    "num_skips": int,
    "trained_with": dict,
    "trained_with.config": str,
    "trained_with.ranks": int,
    "trained_seconds": NUMBER,
    "time_budget": dict,
    "time_budget.minutes": NUMBER,
    "time_budget.used": NUMBER,
    "time_budget.whole": int,
    "time_budget.steps": int,
    "time_budget.plan": (dict, type(None)),
    "message_hub": dict,
    "message_hub.log_scalars": dict,
    "message_hub.runtime_info": dict,
    "message_hub.runtime_info.last_validation": int,
    "message_hub.resumed_keys": dict,
}
# the same of each optimizer where parts of the model have their own
_FORM |= {
    path.replace("optimizer.", "optimizer.*.", 1): types
    for path, types in _FORM.items()
    if path.startswith("optimizer.")
}
SCALER_PARTS = {"scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker"}
_HUB_PARTS = ("log_scalars", "runtime_info", "resumed_keys")


def check_form(checkpoint: dict, filename: str) -> None:
    """Raise CellMMError if a part is not of its type."""
    for path, types in _FORM.items():
        for value in _values_at(checkpoint, path.split(".")):
            if not isinstance(value, types):
                raise unusable(filename, f"its {path} is a {type(value).__name__}")
    for name, state in checkpoint.get("early_stopping", {}).items():
        if not state.keys() >= {"wait_count", "best_score", "stop_training"}:
            raise unusable(filename, f"its early_stopping of {name!r} is not whole")
    for part in ("state_dict", "ema_state_dict"):
        for name, value in checkpoint.get(part, {}).items():
            if not isinstance(name, str) or not isinstance(value, torch.Tensor):
                raise unusable(filename, f"{name!r} in it is a {type(value).__name__}, not a tensor")
    if not checkpoint["state_dict"]:
        raise unusable(filename, "it is empty")
    hub = checkpoint.get("message_hub", dict.fromkeys(_HUB_PARTS, {}))
    if absent := [part for part in _HUB_PARTS if part not in hub]:
        raise unusable(filename, f"its message_hub has no {' and no '.join(absent)}")
    for key, value in hub["runtime_info"].items():
        if str(key).startswith("best_score") and not isinstance(value, NUMBER):
            raise unusable(filename, f"its {key} is a {type(value).__name__}")
    for name, pair in hub["log_scalars"].items():
        parts = pair if isinstance(pair, (list, tuple)) else ()
        if [part.ndim for part in parts if isinstance(part, torch.Tensor)] != [1, 1]:
            raise unusable(filename, f"its log of {name!r} is not two rows of numbers")


def _values_at(value: Any, keys: list[str]) -> list:
    """The values that the path of keys leads to."""
    values = [value]
    for key in keys:
        if key == "*":
            containers = (part.values() if isinstance(part, dict) else part for part in values)
            values = [value for container in containers for value in container]
        else:
            values = [part[key] for part in values if isinstance(part, dict) and key in part]
    return values


def unusable(filename: str, why: str) -> CellMMError:
    """The error for a file that cannot be used, with the reason."""
    return CellMMError(f"{filename}: holds no weights that can be used, {why}; give a file that cellmm wrote")


def keep_paths_here(runtime_info: dict, filename: str) -> None:
    """Of the files that a checkpoint names for removal, accept only ``best_*.pth`` in its own folder."""
    for key in [key for key in runtime_info if str(key).startswith("best_ckpt")]:
        name = Path(runtime_info[key]).name if isinstance(runtime_info[key], str) else ""
        if re.fullmatch(r"best_.+\.pth", name):
            runtime_info[key] = str(Path(filename).parent / name)
        else:
            del runtime_info[key]
    for key in ("keep_ckpt_ids", "outdated_ckpt_ids"):
        steps = runtime_info.get(key, [])
        if not isinstance(steps, list) or not all(type(step) is int for step in steps):
            del runtime_info[key]
