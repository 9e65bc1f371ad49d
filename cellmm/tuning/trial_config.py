"""The configs of a search: of each trial, and the one that it ends with."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from cellmm.config.check import check_config
from cellmm.config.load import load_config
from cellmm.config.lookup import component_of
from cellmm.config.names import PREFIX, configs_folder, find_config
from cellmm.config.schema import TOP_LEVEL_KEYS
from cellmm.errors import CellMMError
from cellmm.io.checkpoint_files import checkpoint_files
from cellmm.io.files import atomic_path
from cellmm.tuning.space import Parameter

# hooks that write pictures and pages, of which a search would have too many
OFF = dict.fromkeys(("contact_sheet", "validation_pictures", "training_report"))


@dataclass(frozen=True)
class TrialSettings:
    """What all trials of a search share.

    ``config``: the file or name; ``options``: of ``--cfg-options``; ``metric``: the number of validation to
    improve, ``minimize``: to lower; ``length``: epochs or iterations, None: those of the config;
    ``minutes``: of each training, None: no limit.
    """

    config: str
    options: Mapping[str, Any]
    metric: str
    minimize: bool = False
    length: int | None = None
    minutes: float | None = None

    def load(self, values: Mapping[str, Any]) -> Config:
        """The config with ``values`` by dotted key, as it would be trained without a search."""
        return load_config(self.config, {**self.options, **values})


def metric_of(config: Config, given: str | None) -> str:
    """The number that a search improves: ``given``, or what the config keeps its best checkpoint by.

    Raises:
        CellMMError: neither names it.
    """
    checkpoint = (config.get("default_hooks") or {}).get("checkpoint") or {}
    metric = given or checkpoint.get("save_best")
    if not isinstance(metric, str) or metric == "auto":
        raise CellMMError(
            f"{config.filename}: default_hooks.checkpoint.save_best names no number of validation; "
            "say which to improve: --metric AP"
        )
    return metric


def trial_config(settings: TrialSettings, values: Mapping[str, Any], work_dir: Path) -> Config:
    """The config of a trial: short, with validation, its best and its last checkpoint alone.

    Raises:
        CellMMError: it cannot be trained, or not in this length.
    """
    cfg = settings.load(values)
    check_config(cfg)
    for key in ("train_dataloader", "val_dataloader"):
        if cfg.get(key) is None:
            raise CellMMError(f"{settings.config}: has no {key}; a search trains and validates")
    loop = component_of(cfg.train_cfg, "LOOPS")
    by_epoch = bool(getattr(loop, "counts_epochs", False))
    if settings.length is not None:
        cfg.train_cfg["max_epochs" if by_epoch else "max_iters"] = settings.length
        interval = cfg.train_cfg.get("val_interval", 1 if by_epoch else 1000)
        cfg.train_cfg.val_interval = min(interval, settings.length)
    hooks = dict(cfg.get("default_hooks") or {}) | OFF
    if settings.minutes is not None:
        if by_epoch:
            raise CellMMError(
                f"{settings.config}: train_cfg counts epochs, and --trial-minutes needs a training that "
                "counts iterations; take --epochs instead"
            )
        hooks["param_scheduler"] = dict(type="TimeBudgetHook", minutes=settings.minutes)
    given = hooks.get("checkpoint") or dict(type="CheckpointHook", by_epoch=by_epoch)
    interval = min(given.get("interval", math.inf), cfg.train_cfg.get("val_interval", 1))
    counts = 1 if by_epoch else (cfg.optim_wrapper or {}).get("accumulative_counts", 1)
    hooks["checkpoint"] = dict(
        given,
        interval=-(-interval // counts) * counts,
        max_keep_ckpts=1,
        save_best=settings.metric,
        rule="less" if settings.minimize else "greater",
    )
    cfg.default_hooks = hooks
    cfg.work_dir, cfg.launcher = str(work_dir), "none"
    cfg.resume = "auto" if checkpoint_files(work_dir) else False
    return cfg


def validations(cfg: Config) -> int:
    """How often a training validates, if nothing ends it before."""
    loop = cfg.train_cfg
    return -(-(loop.get("max_epochs") or loop.get("max_iters") or 1) // loop.get("val_interval", 1))


def check_space(settings: TrialSettings, space: Sequence[Parameter], where: str) -> None:
    """Check that the config takes every key of ``space``, with both ends and each choice of its values.

    Raises:
        CellMMError: one line; ``where``: the file that has the space.
    """
    for parameter in space:
        first = parameter.key.split(".")[0]
        if first not in TOP_LEVEL_KEYS:
            raise CellMMError(
                f"{where}: {parameter.key}: {first} is no key of a config but a variable at most; tune "
                "the keys with its value, as optim_wrapper.optimizer.lr; `cellmm config` prints all of them"
            )
        for value in parameter.extremes():
            try:
                check_config(settings.load({parameter.key: value}))
            except CellMMError as error:
                raise CellMMError(f"{where}: {parameter.key} = {value!r}: {error}") from error


def write_best_config(path: Path, settings: TrialSettings, values: Mapping[str, Any], note: str) -> None:
    """Write a config that inherits the original and changes what the search found; ``note``: its comment.

    A list of the config cannot be changed in part: it is written whole.

    Raises:
        CellMMError: the file does not read as the original with ``values``, because of a value that cannot be
            written.
    """
    wanted = settings.load(values).to_dict()
    tree: dict = {}
    for key in {**settings.options, **values}:
        _put(tree, wanted, key.split("."))
    source = find_config(settings.config).resolve()
    if source.is_relative_to(configs_folder().resolve()):
        base = PREFIX + source.relative_to(configs_folder().resolve()).with_suffix("").as_posix()
    else:
        base = source.as_posix()
    lines = [f"# {note}", f"_base_ = [{base!r}]"]
    lines += [f"{key} = {_written(value)}" for key, value in tree.items()]
    with atomic_path(path) as tmp:
        tmp.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if load_config(path).to_dict() != wanted:
        raise CellMMError(
            f"{path}: does not read as the config of the best trial; its values are in trials.csv"
        )


def _put(tree: dict, wanted: Any, keys: Sequence[str]) -> None:
    """Put what ``wanted`` has at ``keys`` at the same place of ``tree``, or the list around it."""
    first, *rest = keys
    if rest and isinstance(wanted[first], dict):
        _put(tree.setdefault(first, {}), wanted[first], rest)
    else:
        tree[first] = wanted[first]


def _written(value: Any) -> str:
    if isinstance(value, dict) and all(isinstance(key, str) and key.isidentifier() for key in value):
        return f"dict({', '.join(f'{key}={_written(part)}' for key, part in value.items())})"
    return repr(value)
