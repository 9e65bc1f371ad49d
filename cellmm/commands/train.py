"""`cellmm train`: run a config's training."""

import argparse
import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config, DictAction

from cellmm.config.check import check_config
from cellmm.config.load import load_config
from cellmm.config.lookup import has_weights
from cellmm.engine.part_optimizers import part_configs
from cellmm.engine.ranks import end_distributed
from cellmm.engine.runner import build_runner
from cellmm.engine.training_report import write_training_report
from cellmm.engine.work_dir import default_work_dir
from cellmm.errors import CellMMError
from cellmm.models.classical import refuse_training
from cellmm.own_data import find_prepared, in_no_split, prepare, start_model, starts_from
from cellmm.zoo import shipped_models, weights_of


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cellmm train", description="Train a model from a config.")
    parser.add_argument(
        "config",
        nargs="?",
        help="a config, e.g. diskmask/bbbc010_cpu, or a folder of annotated images, as `cellmm init` takes",
    )
    parser.add_argument("--work-dir", help="checkpoints and logs; default work_dirs/<folder>/<config>")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CKPT",
        help="go on from CKPT, or from the newest checkpoint in the work dir",
    )
    parser.add_argument(
        "--from",
        dest="start",
        metavar="MODEL",
        help="start from the weights of a model: a name of `cellmm models`, a work dir or a checkpoint",
    )
    parser.add_argument(
        "--freeze",
        nargs="+",
        metavar="PART",
        help="parts of the model that stay as they are, e.g. encoder",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="M",
        help="end after M minutes: the first iterations say how many fit, and the schedules are scaled to "
        "them; with --resume, M are those of the whole training",
    )
    parser.add_argument(
        "--pause-after",
        type=float,
        metavar="M",
        help="write a checkpoint and end after M minutes, in the middle of the schedules: the same command "
        "with --resume goes on",
    )
    parser.add_argument("--amp", action="store_true", help="mixed precision (bfloat16) on the CPU or the GPU")
    parser.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="multiply the learning rate by batch size x processes / auto_scale_lr.base_batch_size",
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="change values of the config, e.g. train_dataloader.batch_size=2",
    )
    parser.add_argument(
        "--launcher", choices=["none", "pytorch"], default="none", help="pytorch: started by torchrun"
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="WORK_DIR",
        help="train nothing: write report.html anew, from what a training left in its work dir",
    )
    args = parser.parse_args(argv)
    if (args.config is None) == (args.report is None):
        parser.error("give a config or a folder of annotated images, or --report WORK_DIR instead")
    return args


def config_of(args: argparse.Namespace) -> str:
    """The config to train: for a folder of images, that of `cellmm init`, which is made if there is none yet.

    One that was not written for ``--from`` is written anew, and the old one is kept.

    Raises:
        CellMMError: none can be made, or several processes would make it.
    """
    if not Path(args.config).is_dir():
        return args.config
    found = find_prepared(args.config)
    if found is not None:
        if args.start and not args.resume and not starts_from(found, start_model(args.start)):
            return _for_another_start(args, found)
        sys.stdout.write(f"{args.config}: trains with {found}; `cellmm init` writes a new config\n")
        return str(found)
    if args.launcher != "none":
        raise CellMMError(f"{args.config}: there is no config yet; run `cellmm init {args.config}` first")
    sys.stdout.write(f"{args.config}: there is no config yet; `cellmm init` makes one\n")
    return str(prepare(args.config, start=args.start))


def _for_another_start(args: argparse.Namespace, found: Path) -> str:
    """The config of a folder of images, written anew for ``--from``, of the same layout.

    Raises:
        CellMMError: several processes would write it.
    """
    line = f"{found}: was not written to start from {args.start}; "
    if args.launcher != "none":
        raise CellMMError(
            f"{line}`cellmm init {shlex.quote(args.config)} --from {shlex.quote(args.start)}` writes it anew "
            "and keeps the old one"
        )
    sys.stdout.write(f"{line}it is written anew, and the old one is kept\n")
    dataset = (load_config(found).get("train_dataloader") or {}).get("dataset") or {}
    return str(prepare(args.config, start=args.start, layout=dataset.get("layout")))


def prepare_config(args: argparse.Namespace) -> Config:
    """The config with the options of the command line."""
    args.config = config_of(args)
    cfg = load_config(args.config, args.cfg_options)
    if args.freeze:
        cfg.merge_from_dict({"model.frozen": args.freeze})
    check_config(cfg)
    if not has_weights(cfg.model):
        refuse_training(cfg.model.type)
    if cfg.get("train_dataloader") is None:
        raise CellMMError(f"{args.config}: has no train_dataloader; it can be tested, not trained")
    if new := in_no_split(cfg, Path(args.config)):
        sys.stdout.write(f"{new}\n")
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get("work_dir") or default_work_dir(args.config)
    if args.amp:
        for wrapper in part_configs(cfg.optim_wrapper).values() or [cfg.optim_wrapper]:
            wrapper.type = "AmpOptimWrapper"
            if wrapper.get("dtype", "auto") == "auto":
                wrapper.dtype = "bfloat16"
    if args.auto_scale_lr:
        cfg.auto_scale_lr = dict(cfg.get("auto_scale_lr") or {}, enable=True)
    scale = cfg.get("auto_scale_lr") or {}
    if scale.get("enable") and not scale.get("base_batch_size"):
        raise CellMMError(
            f"{args.config}: auto_scale_lr.base_batch_size is missing; set it to the batch size that the "
            "learning rate was chosen for: auto_scale_lr=dict(base_batch_size=16)"
        )
    if args.start:
        cfg.load_from = _start_weights(args, Path(cfg.work_dir))
    elif cfg.get("load_from") in shipped_models() or Path(cfg.get("load_from") or "-").is_dir():
        cfg.load_from = str(weights_of(cfg.load_from))
    for option, minutes, key, hook in (
        ("--minutes", args.minutes, "param_scheduler", "TimeBudgetHook"),
        ("--pause-after", args.pause_after, "pause", "PauseHook"),
    ):
        if minutes is not None:
            if not 0 < minutes < math.inf:
                raise CellMMError(f"{option} {minutes:g}: give a number above 0")
            added = {key: dict(type=hook, minutes=minutes)}
            cfg.default_hooks = dict(cfg.get("default_hooks") or {}) | added
    if args.resume:
        cfg.resume = args.resume
    return cfg


def _start_weights(args: argparse.Namespace, work_dir: Path) -> str:
    """The checkpoint that ``--from`` means."""
    if args.resume not in (None, "auto"):
        raise CellMMError("--from and --resume CHECKPOINT: each says what to begin with; give one of them")
    weights = weights_of(args.start)
    if not args.resume and weights.resolve().parent == work_dir.resolve():
        raise CellMMError(
            f"--from {args.start}: {weights} would be overwritten by the new training; give another "
            "--work-dir, or --resume to go on with the old one"
        )
    return str(weights)


def main(argv: Sequence[str] | None = None) -> None:
    """Train, or write the report of a training. Raises CellMMError for errors that the user can correct."""
    args = parse_args(argv)
    if args.report is not None:
        sys.stdout.write(f"{write_training_report(args.report)}\n")
        return
    build_runner(prepare_config(args)).train()
    end_distributed()
