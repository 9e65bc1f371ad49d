"""The grid file of an ablation, and the config of each run, with an equal budget."""

import difflib
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import EarlyStoppingHook, EMAHook

from cellmm.config.check import check_config
from cellmm.config.load import load_config
from cellmm.config.lookup import component_of
from cellmm.config.schema import TOP_LEVEL_KEYS
from cellmm.errors import CellMMError
from cellmm.evaluation.functional import AP_KEYS, ORACLE_ROWS, REPAIRS
from cellmm.io.files import atomic_path

GRID_KEYS = ("runs", "iters", "seeds", "tables")
RUN_KEYS = ("config", "options", "weights_of", "error_analysis")
TABLE_KEYS = ("title", "number", "header", "rows", "columns", "scale", "mark")
ERROR_TABLE_KEYS = ("title", "number", "errors_of")
# arguments of schedulers that count iterations
COUNTS = ("begin", "end", "milestones", "T_max", "step_size", "total_steps", "periods")
SCALABLE = ("ConstantLR", "CosineAnnealingLR", "CosineRestartLR", "LinearLR", "MultiStepLR", "OneCycleLR")
SCALABLE = (*SCALABLE, "PolyLR", "StepLR")
ENDLESS = 10**9  # mmengine's end of a scheduler that has none
CHECKPOINTS = 10  # in a run: what a stop costs at most is a tenth of it
NOT_KEPT = ("work_dir", "resume", "launcher", "val_dataloader", "val_cfg", "val_evaluator")


@dataclass(frozen=True)
class Run:
    """The model of a row: a config with options. ``weights_of``: test that run's weights, train nothing."""

    name: str
    config: str
    options: Mapping[str, Any] = field(default_factory=dict)
    weights_of: str | None = None
    error_analysis: bool = False


@dataclass(frozen=True)
class Row:
    """Numbers of a run: its metrics, or with ``errors`` those of that row of its error analysis."""

    run: str
    errors: str | None = None


@dataclass(frozen=True)
class Table:
    """``rows``: label -> Row; ``columns``: label -> metric key; ``mark``: best bold, second underlined."""

    title: str
    rows: Mapping[str, Row]
    columns: Mapping[str, str]
    number: str | None = None
    header: str = "Model"
    scale: int = 1
    mark: bool = True


@dataclass(frozen=True)
class Grid:
    """Runs by name, those that are trained before those that test their weights."""

    path: Path
    runs: Mapping[str, Run]
    tables: Sequence[Table]
    iters: int
    seeds: Sequence[int]


def load_grid(path: str | Path) -> Grid:
    """Read and check a grid file. It is a Python config, and so a program: only read those you trust.

    Names that start with an underscore are the file's own variables.

    Raises:
        CellMMError: the file or a key of it cannot be used; names the key and the nearest valid one.
    """
    grid = {key: value for key, value in load_config(path).to_dict().items() if not str(key).startswith("_")}
    _check_keys(grid, GRID_KEYS, f"{path}: ")
    for key in GRID_KEYS:
        if key not in grid:
            raise CellMMError(f"{path}: {key}: missing")
    if not isinstance(grid["runs"], dict) or not grid["runs"]:
        raise CellMMError(f"{path}: runs: a dict of one or more runs is needed")
    if not isinstance(grid["tables"], list):
        raise CellMMError(f"{path}: tables: a list of dicts is needed")
    runs = _read_runs(grid["runs"], f"{path}: runs")
    places = [(table, runs, f"{path}: tables.{i}") for i, table in enumerate(grid["tables"])]
    tables = [table for place in places for table in _read_tables(*place)]
    check_budget(grid["iters"], grid["seeds"], f"{path}: ")
    return Grid(Path(path), runs, tables, grid["iters"], tuple(grid["seeds"]))


def check_budget(iters: Any, seeds: Any, where: str) -> None:
    """Raise CellMMError unless these are a number of iterations and a list of different seeds."""
    if type(iters) is not int or iters < 1:
        raise CellMMError(f"{where}iters: a whole number of at least 1 is needed, got {iters!r}")
    whole = isinstance(seeds, (list, tuple)) and all(type(seed) is int and seed >= 0 for seed in seeds)
    if not whole or not seeds or len(set(seeds)) < len(seeds):
        raise CellMMError(f"{where}seeds: different whole numbers of at least 0 are needed, got {seeds!r}")


def _check_keys(given: Any, valid: Sequence[str], where: str) -> None:
    if not isinstance(given, dict):
        raise CellMMError(f"{where.rstrip('.: ')}: a dict is needed, got {given!r}")
    for key in given:
        if key not in valid:
            raise CellMMError(f"{where}{key}: unknown; {did_you_mean(key, valid)}")


def did_you_mean(name: Any, valid: Iterable[str]) -> str:
    """The nearest of the valid names, as a question."""
    near = difflib.get_close_matches(str(name), list(valid), 1, 0.0)
    return f"did you mean {near[0]}?" if near else "no run is defined"


def _read_runs(given: dict, where: str) -> dict[str, Run]:
    for name, run in given.items():
        if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]*", name):
            raise CellMMError(f"{where}.{name}: its name becomes a folder's; take letters, digits, _ and -")
        _check_keys(run, RUN_KEYS, f"{where}.{name}.")
        if not isinstance(run.get("error_analysis", False), bool):
            raise CellMMError(f"{where}.{name}.error_analysis: True or False is needed")
        if not isinstance(run.get("options", {}), dict):
            raise CellMMError(f"{where}.{name}.options: a dict of dotted keys is needed, as of --cfg-options")
    runs = {name: _read_run(name, given, where) for name in given}
    return dict(sorted(runs.items(), key=lambda item: item[1].weights_of is not None))


def _read_run(name: str, given: dict, where: str) -> Run:
    run = dict(given[name])
    other = run.get("weights_of")
    if other is not None:
        trained = [key for key, value in given.items() if "weights_of" not in value]
        if other not in trained:
            raise CellMMError(
                f"{where}.{name}.weights_of: no run {other!r} is trained; {did_you_mean(other, trained)}"
            )
        if "config" not in run:  # the same model, tested in another way
            run["config"] = given[other].get("config")
            run["options"] = {**given[other].get("options", {}), **run.get("options", {})}
    if not isinstance(run.get("config"), str):
        raise CellMMError(f"{where}.{name}.config: name a config file, as configs/seunet/four_heads.py")
    return Run(name=name, **run)


def _read_tables(given: Any, runs: Mapping[str, Run], where: str) -> list[Table]:
    if isinstance(given, dict) and "errors_of" in given:
        return _error_tables(given, runs, where)
    _check_keys(given, TABLE_KEYS, f"{where}.")
    for key in ("title", "rows", "columns"):
        if not given.get(key):
            raise CellMMError(f"{where}.{key}: missing")
    if given.get("scale", 1) not in (1, 100):
        raise CellMMError(f"{where}.scale: 1 or 100 is needed, got {given['scale']!r}")
    for key in ("rows", "columns"):
        if not isinstance(given[key], dict):
            raise CellMMError(f"{where}.{key}: a dict is needed, label by label")
    for label, name in given["rows"].items():
        _check_run(name, runs, f"{where}.rows.{label}")
    table = Table(**given | dict(rows={label: Row(name) for label, name in given["rows"].items()}))
    for label in table.rows:
        if label.count("|") != table.header.count("|"):
            raise CellMMError(f"{where}.rows: {label!r} has not as many parts, by '|', as {table.header!r}")
    return [table]


def _check_run(name: Any, runs: Mapping[str, Run], where: str) -> None:
    if not isinstance(name, str) or name not in runs:
        raise CellMMError(f"{where}: no run is called {name!r}; {did_you_mean(name, runs)}")


def _error_tables(given: dict, runs: Mapping[str, Run], where: str) -> list[Table]:
    """Of a run: AP with masks and matches of the ground truth, and the AP that each kind of error costs."""
    _check_keys(given, ERROR_TABLE_KEYS, f"{where}.")
    name = given["errors_of"]
    _check_run(name, runs, f"{where}.errors_of")
    if not runs[name].error_analysis:
        raise CellMMError(f"{where}.errors_of: runs.{name} has no error analysis; set error_analysis=True")
    if not given.get("title"):
        raise CellMMError(f"{where}.title: missing")
    oracles = {label: Row(name, None if row == "baseline" else row) for row, label in ORACLE_ROWS.items()}
    costs = {kind: Row(name, kind) for kind in REPAIRS}
    shared = dict(number=given.get("number"), scale=100, mark=False)
    return [
        Table(given["title"], oracles, {size: size for size in AP_KEYS}, header="", **shared),
        Table(
            f"{given['title']}: AP points that repairing one kind alone gives",
            costs,
            {size: size for size in AP_KEYS[:2]},
            header="Error",
            **shared,
        ),
    ]


def effective_config(run: Run, seed: int, iters: int) -> Config:
    """The config of a run as it is trained: with its options, ``iters`` iterations, the seed, no validation.

    Raises:
        CellMMError: the config or an option is wrong, or the schedule cannot be brought to ``iters``.
    """
    cfg = load_config(run.config, dict(run.options))
    check_config(cfg)
    if cfg.get("test_dataloader") is None or cfg.get("train_dataloader") is None:
        raise CellMMError(f"{run.config}: it needs a train_dataloader and a test_dataloader to be compared")
    keys = [key for key in cfg if key in TOP_LEVEL_KEYS and key not in NOT_KEPT]
    kept = {key: value for key, value in cfg.to_dict().items() if key in keys}
    try:
        _set_budget(kept, iters)
    except CellMMError as error:
        raise CellMMError(f"{run.config}: {error}") from error
    kept["randomness"] = dict(kept.get("randomness") or {}, seed=seed)
    return Config(kept)


def _set_budget(cfg: dict, iters: int) -> None:
    """Train ``iters`` iterations: what the config counts in iterations is scaled by iters / its max_iters."""
    old = cfg["train_cfg"].get("max_iters")
    if type(old) is not int:
        raise CellMMError("train_cfg.max_iters: missing, so its schedule cannot be scaled")
    cfg["train_cfg"] = dict(type="IterBasedTrainLoop", max_iters=iters)
    if cfg.get("param_scheduler"):
        cfg["param_scheduler"] = _scale_schedule(cfg["param_scheduler"], iters, old, "param_scheduler")
    hooks = []
    for hook in cfg.get("custom_hooks") or []:
        kind = component_of(hook, "HOOKS")
        if isinstance(kind, type) and issubclass(kind, EarlyStoppingHook):
            continue  # the budgets are equal
        if isinstance(kind, type) and issubclass(kind, EMAHook) and hook.get("begin_iter"):
            hook["begin_iter"] = round(hook["begin_iter"] * iters / old)
        hooks.append(hook)
    cfg["custom_hooks"] = hooks
    counts = (cfg.get("optim_wrapper") or {}).get("accumulative_counts", 1)
    interval = max(1, iters // CHECKPOINTS)
    cfg["default_hooks"] = dict(
        cfg.get("default_hooks") or {},
        checkpoint=dict(
            type="CheckpointHook",
            by_epoch=False,
            interval=interval + -interval % counts,
            max_keep_ckpts=2,
        ),
    )


def _scale_schedule(schedule: Any, iters: int, old: int, path: str) -> Any:
    """A scheduler, a list of them, or a dict of them by optimizer, with its iterations times iters / old."""
    if isinstance(schedule, (list, tuple)):
        return [_scale_schedule(part, iters, old, f"{path}.{i}") for i, part in enumerate(schedule)]
    if not isinstance(schedule, dict):
        raise CellMMError(f"{path}: a dict is needed, got {schedule!r}")
    if "type" not in schedule:
        return {key: _scale_schedule(part, iters, old, f"{path}.{key}") for key, part in schedule.items()}
    if iters == old:
        return schedule
    kind = schedule["type"] if isinstance(schedule["type"], str) else schedule["type"].__name__
    if re.sub("(ParamScheduler|Momentum)$", "LR", kind) not in SCALABLE:
        raise CellMMError(
            f"{path}.type: {kind} cannot be scaled from {old} to {iters} iterations; "
            f"take one of {', '.join(SCALABLE)}, or --iters {old}"
        )

    def scale(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [scale(number) for number in value]
        return value if value is None or value >= ENDLESS else round(value * iters / old)

    new = {key: scale(value) if key in COUNTS else value for key, value in schedule.items()}
    begin, end = new.get("begin", 0), new.get("end", ENDLESS)
    steps = [*new.get("milestones", ()), *new.get("periods", ())]
    lengths = [new[key] for key in ("T_max", "step_size", "total_steps") if new.get(key) is not None]
    if (
        begin >= end
        or 0 in (*lengths, *steps)
        or len(set(new.get("milestones", ()))) < len(new.get("milestones", ()))
    ):
        raise CellMMError(
            f"{path}: nothing is left of {kind} in {iters} iterations instead of {old}; give more --iters"
        )
    return new


def digest(cfg: Config, *more: str) -> str:
    """Hexadecimal digits that change with any value of the config, whatever the order of its keys."""
    text = repr((_canonical(cfg.to_dict()), more))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((str(key), _canonical(part)) for key, part in value.items())
    if isinstance(value, (list, tuple)):
        return [_canonical(part) for part in value]
    return repr(value)


def write_config(cfg: Config, path: Path) -> None:
    """Write a config that reads as the same again.

    Raises:
        CellMMError: it holds objects that cannot be written.
    """
    with atomic_path(path) as tmp:
        tmp.write_text(cfg.pretty_text, encoding="utf-8")
    if digest(load_config(path)) != digest(cfg):
        raise CellMMError(f"{path}: the config holds objects that cannot be written; name them by their type")
