"""`cellmm test`: evaluate a checkpoint on a config's test set."""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.dist import is_main_process

from cellmm.engine.checkpoint import load_fitting
from cellmm.engine.config_check import check_config
from cellmm.engine.runner import build_runner, load_config
from cellmm.utils import atomic_path


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cellmm test", description="Evaluate a checkpoint.")
    parser.add_argument("config")
    parser.add_argument("checkpoint", help="a .pth file that training wrote")
    parser.add_argument("--work-dir", help="where metrics.json goes; default work_dirs/<name of the config>")
    parser.add_argument("--show-dir", help="write overlays of ground truth and prediction here")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, metavar="KEY=VALUE", help="change values of the config"
    )
    parser.add_argument(
        "--launcher", choices=["none", "pytorch"], default="none", help="pytorch: started by torchrun"
    )
    return parser.parse_args(argv)


def prepare_config(args: argparse.Namespace) -> Config:
    """The config with what the command line says put into it; training parts are left out."""
    cfg = load_config(args.config, args.cfg_options)
    check_config(cfg)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get("work_dir") or str(Path("work_dirs") / Path(args.config).stem)
    cfg.load_from = None  # loaded by main, which insists that every tensor fits
    for key in list(cfg):
        if key.startswith(("train_", "val_")) or key in ("optim_wrapper", "param_scheduler", "auto_scale_lr"):
            cfg.pop(key)
    cfg.custom_hooks = [hook for hook in cfg.get("custom_hooks", []) if hook["type"] != "EMAHook"]
    for evaluator in [cfg.test_evaluator] if isinstance(cfg.test_evaluator, dict) else cfg.test_evaluator:
        if evaluator["type"] == "CellCocoMetric":
            evaluator.setdefault("outfile_prefix", str(Path(cfg.work_dir) / "results"))
    if args.show_dir:
        cfg.custom_hooks.append(dict(type="ShowHook", out_dir=args.show_dir))
    return cfg


def write_metrics(path: Path, metrics: dict, **about: str) -> None:
    """``metrics.json``: the numbers by name (null where a number is not defined), and what was run."""
    numbers = {key: None if math.isnan(value) else float(value) for key, value in metrics.items()}
    with atomic_path(path) as tmp:
        tmp.write_text(json.dumps(dict(numbers, **about), indent=2) + "\n")


def main(argv: Sequence[str] | None = None) -> dict:
    """Test; returns the metrics. Raises CellMMError for what the user can mend."""
    args = parse_args(argv)
    cfg = prepare_config(args)
    runner = build_runner(cfg)
    load_fitting(getattr(runner.model, "module", runner.model), args.checkpoint)
    metrics = runner.test()
    if is_main_process():
        write_metrics(
            Path(cfg.work_dir) / "metrics.json", metrics, config=args.config, checkpoint=args.checkpoint
        )
    return metrics
