"""What differs where a training is resumed with another config than that of its checkpoint.

A checkpoint holds the config that made it as JSON under ``trained_with``. It is compared, never run.
"""

import inspect
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mmengine.config import Config
from mmengine.dist import get_world_size

from cellmm.errors import CellMMError

# top-level keys that define a training; other variables of a config are only used by these
_TRAINING = (
    "model",
    "data_preprocessor",
    "train_dataloader",
    "train_cfg",
    "optim_wrapper",
    "param_scheduler",
    "auto_scale_lr",
    "default_hooks",
    "custom_hooks",
    "randomness",
    "compile",
    "find_unused_parameters",
    "efficient_conv_bn_eval",
)
_AROUND = (
    *("val_dataloader", "val_evaluator", "val_cfg", "test_dataloader", "test_evaluator", "test_cfg"),
    *("work_dir", "visualizer", "log_processor", "log_level", "env_cfg"),
)
_READING = "num_workers|persistent_workers|prefetch_factor|pin_memory|timeout|multiprocessing_context"
# differences that do not reach the weights, unless training watches validation
_IDLE = re.compile(
    rf"({'|'.join(_AROUND)}|default_hooks\.(timer|logger|visualization|training_report|pause)|train_dataloader\.({_READING}))(\..*)?"
)
# keys of validation that change its numbers
_VALIDATION = re.compile(rf"val_(dataloader(?!\.({_READING})\b)|evaluator|cfg)(\..*)?")
# keys of the model that weigh or limit training or prediction, and leave the meaning of the weights
_TUNING = re.compile(
    r"model\.(.*\.)?(loss|loss_\w+|\w+_loss|\w+_weight|\w+_thr|\w+_nms|\w+_samples|weight|anneal|matcher|criterion|in_score|max_\w+|"
    r"activation_checkpointing|channels_last|frozen|init_cfg|train_cfg|test_cfg)(\..*)?|"
    r"model\.(tile|tile_overlap|tta|ensemble|postprocess|refine|calibration)(\..*)?|model\.heads\.[^.]+\.(finder|sampler|windows)(\..*)?"
)
# keys that cannot change in the middle of a training, and why
_REFUSED = {
    r"(model|data_preprocessor)(\..*)?": "its weights would mean something else",
    r"optim_wrapper\.(\w+\.)?optimizer\.type": "the state of an optimizer is of use to its own kind only",
    r"optim_wrapper\.(\w+\.)?(constructor|paramwise_cfg)": "the optimizer's state has other groups",
    r"randomness\.(seed|diff_rank_seed)": "all that was drawn so far belongs to the old one",
    r"train_cfg\.type": "another loop counts in its own way",
    r"train_dataloader\.dataset\.(.*\.)?metainfo(\..*)?": "its weights know the old classes",
}
_RATES = re.compile(
    r"(optim_wrapper\.(\w+\.)?(optimizer|constructor|paramwise_cfg)|param_scheduler|auto_scale_lr)"
    r"\b.*"
)
# of a training with a time budget, see TimeBudgetHook
_BUDGET = re.compile(r"default_hooks\.param_scheduler(\.(type|minutes))?|train_cfg\.max_iters")
_LENGTH = re.compile(r"(ranks|train_dataloader\.(batch_size|dataset)\b.*)")
_ABSENT = object()


@dataclass(frozen=True)
class Changes:
    """How the present config differs from that of a checkpoint, as far as the difference is not refused.

    Attributes:
        lines: ``key: old -> new`` for each change that is used from now on.
        idle: keys whose change does not reach the weights.
        rates: whether learning rates and other options of the optimizer must be computed anew.
        unknown: whether the checkpoint lacks its config.
    """

    lines: list[str] = field(default_factory=list)
    idle: list[str] = field(default_factory=list)
    rates: bool = False
    unknown: bool = False


def config_json(cfg: Config) -> str:
    """A config as JSON: tuples become lists, and objects that JSON does not know become their names."""
    return json.dumps(cfg.to_dict(), default=_name, skipkeys=True)


def compare(checkpoint: dict, cfg: Config, filename: str) -> Changes:
    """What ``cfg`` changes in the training that wrote ``checkpoint``.

    Raises:
        CellMMError: a change that is impossible on resume; the line names the key.
    """
    made = checkpoint.get("trained_with", {})
    if "config" not in made:
        return Changes(unknown=True)
    try:
        old = json.loads(made["config"])
    except (ValueError, RecursionError) as error:
        raise CellMMError(
            f"{filename}: the config in it cannot be read; use an earlier checkpoint"
        ) from error
    if not isinstance(old, dict):
        raise CellMMError(f"{filename}: its config is not a dict; use an earlier checkpoint")
    new = json.loads(config_json(cfg))
    found = []
    for key in (*_TRAINING, *_AROUND):
        parts = [cfg_dict.get(key) or _ABSENT for cfg_dict in (old, new)]  # None, {} and [] count as absent
        found += _differences(*parts, key)
    ranks = made.get("ranks", 1)
    if ranks != get_world_size():
        found.append(("ranks", ranks, get_world_size()))
    watched = _watches_validation(new)
    idle = [
        path for path, *_ in found if _IDLE.fullmatch(path) and not (watched and _VALIDATION.fullmatch(path))
    ]
    used = [difference for difference in found if difference[0] not in idle]
    _refuse(used, new, checkpoint["meta"].get("iter", 0), filename)
    schedules = json.dumps(new.get("param_scheduler")) + json.dumps(new.get("auto_scale_lr"))
    count = '"convert_to_iter_based": true' in schedules or '"enable": true' in schedules
    budget = "TimeBudgetHook" in json.dumps([cfg_dict.get("default_hooks") for cfg_dict in (old, new)])
    patterns = [_RATES, *[_LENGTH] * count, *[_BUDGET] * budget]
    rates = any(pattern.fullmatch(path) for pattern in patterns for path, *_ in used)
    return Changes([_line(*difference) for difference in used], idle, rates)


def _watches_validation(cfg: dict) -> bool:
    """Whether a schedule, early stopping or the choice of the best checkpoint depends on validation."""
    hooks = [*(cfg.get("default_hooks") or {}).values(), *(cfg.get("custom_hooks") or [])]
    watches = any(isinstance(hook, dict) and (hook.get("monitor") or hook.get("save_best")) for hook in hooks)
    return watches or "OnPlateau" in json.dumps(cfg.get("param_scheduler"))


def _refuse(used: list[tuple[str, Any, Any]], new: dict, iteration: int, filename: str) -> None:
    paths = {path for path, *_ in used}
    counts = new.get("optim_wrapper", {}).get("accumulative_counts", 1)
    partly = {"optim_wrapper.accumulative_counts", "train_cfg.max_iters", "train_cfg.max_epochs"} & paths
    if partly and isinstance(counts, int) and counts > 0 and iteration % counts:
        raise CellMMError(
            f"{filename}: {sorted(partly)[0]} differs from the config that made it, and its iteration "
            f"{iteration} is not a multiple of optim_wrapper.accumulative_counts, {counts}: a step would be "
            "taken with part of its gradients; resume from a checkpoint that is, or take the old value"
        )
    refused = [
        (difference, why)
        for difference in used
        for pattern, why in _REFUSED.items()
        if re.fullmatch(pattern, difference[0]) and not _TUNING.fullmatch(difference[0])
    ]
    if refused:
        (difference, why), more = refused[0], len(refused) - 1
        raise CellMMError(
            f"{filename}: made with another config: {_line(*difference)}"
            f"{f' (and {more} more)' if more else ''}: "
            f"{why}; take the old value, or leave out --resume and start a new training from its weights: "
            f"--cfg-options load_from={filename}"
        )


def _differences(old: Any, new: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """(key, old, new) for the smallest parts that differ."""
    if path.startswith("optim_wrapper."):  # where None means absent
        old, new = (_ABSENT if value is None else value for value in (old, new))
    if old == new:
        return
    if isinstance(old, list) and isinstance(new, list):
        parts = _by_place(old, new) or _by_type(old, new)
    elif isinstance(old, dict) and isinstance(new, dict):
        parts = (old, new)
    else:
        parts = None
    if parts is None:
        yield path, old, new
        return
    for key in [*parts[0], *(key for key in parts[1] if key not in parts[0])]:
        yield from _differences(*(part.get(key, _ABSENT) for part in parts), f"{path}.{_plain(key)}")


def _by_place(old: list, new: list) -> tuple[dict, dict] | None:
    """Lists of components of the same types in the same order."""
    if _types(old) == _types(new) and any(_types(old)):
        return dict(enumerate(old)), dict(enumerate(new))
    return None


def _by_type(old: list, new: list) -> tuple[dict, dict] | None:
    """Lists of components where some were added or removed, none occurs twice and the order is the same."""
    kinds = _types(old), _types(new)
    if any(None in types or len(set(types)) < len(types) for types in kinds):
        return None
    both = set(kinds[0]) & set(kinds[1])
    if [kind for kind in kinds[0] if kind in both] != [kind for kind in kinds[1] if kind in both]:
        return None
    return dict(zip(kinds[0], old, strict=True)), dict(zip(kinds[1], new, strict=True))


def _types(parts: list) -> list[str | None]:
    return [str(part["type"]) if isinstance(part, dict) and "type" in part else None for part in parts]


def _line(path: str, old: Any, new: Any) -> str:
    texts = ["absent" if value is _ABSENT else repr(value) for value in (old, new)]
    same = len(os.path.commonprefix(texts))
    return f"{path}: {' -> '.join(_cut(text, same) for text in texts)}"


def _cut(text: str, same: int, width: int = 120) -> str:
    """At most ``width`` characters; of a longer text, those around position ``same``, where it differs."""
    if len(text) <= width:
        return text
    start = max(0, min(same - width // 4, len(text) - width))
    end = start + width
    return f"{'...' if start else ''}{text[start:end]}{'...' if end < len(text) else ''}"


def _plain(key: Any) -> str:
    text = str(key)
    return text if text.isprintable() else repr(text)


def _name(value: Any) -> Any:
    """What stands for an object in JSON, the same in each process."""
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    if inspect.isclass(value) or inspect.isroutine(value):
        return f"{value.__module__}.{value.__qualname__}"
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
