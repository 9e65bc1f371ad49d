"""`cellmm test`: evaluate a checkpoint on a config's test set."""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.dist import is_main_process
from mmengine.hooks import EarlyStoppingHook, EMAHook

from cellmm.apis.ensemble import add_members, load_members
from cellmm.commands.predict_options import add_tta, tta_options
from cellmm.config.check import check_config
from cellmm.config.load import load_config
from cellmm.config.lookup import component_of
from cellmm.engine.checkpoints import check_finite, load_checkpoint, load_fitting
from cellmm.engine.class_order import follow_classes
from cellmm.engine.hooks import CompareWithTrainingHook, PauseHook, TimeBudgetHook
from cellmm.engine.ranks import end_distributed
from cellmm.engine.runner import CellRunner, build_runner
from cellmm.engine.trained_on import TrainedOn
from cellmm.engine.work_dir import default_work_dir
from cellmm.errors import CellMMError
from cellmm.evaluation import CellCocoMetric, ForegroundMetric, GlandMetric
from cellmm.io.checkpoint_files import best_checkpoint
from cellmm.io.files import atomic_path
from cellmm.zoo import check_weights


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cellmm test", description="Evaluate a checkpoint.")
    parser.add_argument("config")
    parser.add_argument(
        "checkpoint",
        nargs="*",
        help="a .pth file that training wrote, or its folder: the best in it, else the last; several: an "
        "ensemble of them; none for a model without weights",
    )
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        help="a further model for an ensemble: a folder of a training, a checkpoint in it, or a name; may be "
        "given several times",
    )
    parser.add_argument("--work-dir", help="where metrics.json goes; default work_dirs/<folder>/<config>")
    parser.add_argument(
        "--split", choices=["test", "val"], default="test", help="val: score the validation images"
    )
    add_tta(parser)
    parser.add_argument("--show-dir", help="write overlays of ground truth and prediction here")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, metavar="KEY=VALUE", help="change values of the config"
    )
    parser.add_argument(
        "--launcher", choices=["none", "pytorch"], default="none", help="pytorch: started by torchrun"
    )
    return parser.parse_intermixed_args(argv)  # options may stand between the config and the checkpoints


def prepare_config(args: argparse.Namespace) -> Config:
    """The config with the options of the command line, without what only training needs.

    Raises:
        CellMMError: the config cannot be used, or has no test set.
    """
    cfg = load_config(args.config, args.cfg_options)
    cfg.merge_from_dict(tta_options(args))
    check_config(cfg)
    if cfg.get(f"{args.split}_dataloader") is None:
        raise CellMMError(
            f"{args.split}_dataloader: missing; say on which images to test, with {args.split}_cfg and "
            f"{args.split}_evaluator too"
        )
    if args.split == "val":
        cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
        cfg.test_cfg = dict(type="TestLoop")
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get("work_dir") or default_work_dir(args.config)
    cfg.load_from, cfg.resume = None, False  # loaded by main, which insists that every tensor fits
    for key in list(cfg):
        if key.startswith(("train_", "val_")) or key in ("optim_wrapper", "param_scheduler", "auto_scale_lr"):
            cfg.pop(key)
    cfg.custom_hooks = [hook for hook in cfg.get("custom_hooks") or [] if not _only_trains(hook)]
    for name, hook in list((cfg.get("default_hooks") or {}).items()):
        if _only_trains(hook):
            cfg.default_hooks.pop(name)
    for metric in _metrics(cfg.test_evaluator):
        if component_of(metric, "METRICS") in (CellCocoMetric, ForegroundMetric, GlandMetric):
            metric.setdefault("outfile_prefix", str(Path(cfg.work_dir) / named("results", args.split)))
    if args.show_dir:
        cfg.custom_hooks.append(dict(type="OverlayHook", out_dir=args.show_dir))
    return cfg


def named(name: str, split: str) -> str:
    """``name`` of the test set's file, ``name_val`` of the validation images'."""
    return name if split == "test" else f"{name}_{split}"


def _only_trains(hook: Any) -> bool:
    """Whether a hook averages weights, stops early, pauses or keeps to a time, as only a training does."""
    cls = component_of(hook if isinstance(hook, dict) else type(hook), "HOOKS")
    return isinstance(cls, type) and issubclass(cls, (EMAHook, EarlyStoppingHook, PauseHook, TimeBudgetHook))


def _metrics(evaluator: Any) -> Iterator[dict]:
    """The configs of the metrics: of one, of a list, or of an evaluator with ``metrics``."""
    if isinstance(evaluator, (list, tuple)):
        for metric in evaluator:
            yield from _metrics(metric)
    elif isinstance(evaluator, dict):
        if "metrics" in evaluator:
            yield from _metrics(evaluator["metrics"])
        else:
            yield evaluator


def write_metrics(path: Path, metrics: dict, **about: str) -> None:
    """``metrics.json``: the numbers by name (null where a number is not defined), and what was run."""
    numbers = {key: None if math.isnan(value) else float(value) for key, value in metrics.items()}
    with atomic_path(path) as tmp:
        tmp.write_text(json.dumps(dict(numbers, **about), indent=2) + "\n")


def main(argv: Sequence[str] | None = None) -> dict:
    """Test and return the metrics. Raises CellMMError for errors that the user can correct."""
    args = parse_args(argv)
    checkpoints = [str(best_checkpoint(name)) for name in args.checkpoint]
    members = [*((args.config, name) for name in checkpoints[1:]), *((name, None) for name in args.model)]
    cfg = prepare_config(args)
    first = next(iter(checkpoints), None)
    check_weights(cfg.model, args.config, first, give="give a checkpoint after it")
    if first is not None:
        runner, checkpoints = _runner_with_weights(cfg, first, members)
    elif members:
        raise CellMMError(f"{args.config}: its model has no weights, and an ensemble averages networks")
    else:
        runner = build_runner(cfg)
    metrics = runner.test()
    if is_main_process():
        write_metrics(
            Path(cfg.work_dir) / f"{named('metrics', args.split)}.json",
            metrics,
            config=args.config,
            **({"checkpoint": _named(checkpoints)} if checkpoints else {}),
            **({"tta": args.tta} if args.tta else {}),
        )
    end_distributed()
    return metrics


def _named(checkpoints: Sequence[str]) -> str:
    return ", ".join(checkpoints) + (" (ensemble)" if len(checkpoints) > 1 else "")


def _runner_with_weights(
    cfg: Config, path: str, members: Sequence[tuple[str, str | None]]
) -> tuple[CellRunner, list[str]]:
    """Also the files of the weights: ``path`` and those of the other ``members`` of an ensemble."""
    checkpoint = load_checkpoint(path)  # first, since every test image is opened next
    weights = checkpoint.pop("state_dict")
    check_finite(weights, path)
    meta, seen = checkpoint["meta"], TrainedOn.from_meta(checkpoint["meta"], path)
    others = add_members(cfg, members) if members else []
    runner = build_runner(cfg)
    model, trained = getattr(runner.model, "module", runner.model), meta.get("dataset_meta") or {}
    if others:
        load_members(model, path, weights, others, trained.get("classes"))
    else:
        load_fitting(model, path, weights)
    follow_classes(runner.test_loop, meta.get("dataset_meta"), path)
    if seen is not None:
        runner.register_hook(CompareWithTrainingHook(seen))
    return runner, [path, *(str(file) for file, _ in others)]
