"""`cellmm tune`: search for the values of a config with which it trains best."""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import DictAction

from cellmm.config.check import check_config
from cellmm.config.load import load_config
from cellmm.engine.work_dir import default_work_dir
from cellmm.errors import CellMMError
from cellmm.tuning.report import HISTORY, PARAMETERS, TABLE
from cellmm.tuning.search import BEST, PRUNERS, SAMPLERS, Plan, Search
from cellmm.tuning.space import FORMS, KEY, Parameter, read_space, read_space_file
from cellmm.tuning.trial_config import TrialSettings, check_space, metric_of


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="cellmm tune",
        description="Search for the best values of a config, in many short trainings. The same command again "
        "goes on with a search; started several times, the processes share it.",
    )
    parser.add_argument("config")
    parser.add_argument(
        "--space",
        metavar="FILE",
        help=f"YAML: dotted keys of the config with {FORMS}; default: the config's own {KEY}",
    )
    parser.add_argument(
        "--metric", help="number of validation to improve; default: what the config's save_best names"
    )
    parser.add_argument("--minimize", action="store_true", help="the metric is better if it is lower")
    parser.add_argument("--sampler", choices=SAMPLERS, default="random", help="tpe: learns from the trials")
    parser.add_argument(
        "--pruner", choices=PRUNERS, default="none", help="give up trials that are behind in validation"
    )
    parser.add_argument("--trials", type=int, default=50, metavar="N", help="of a round; default 50")
    parser.add_argument(
        "--rounds",
        type=int,
        metavar="N",
        help="each but the first in a space narrowed around the best; default 2, with --sampler tpe 1",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=int, metavar="N", help="of a trial; default: those of the config")
    length.add_argument("--iters", type=int, metavar="N", help="iterations of a trial, in place of epochs")
    length.add_argument(
        "--trial-minutes", type=float, metavar="M", help="of a trial; its schedules are scaled to them"
    )
    parser.add_argument("--minutes", type=float, metavar="M", help="end after M minutes, to go on later")
    parser.add_argument("--seed", type=int, default=0, help="of the values that are drawn; default 0")
    parser.add_argument("--work-dir", help="of the search; default work_dirs/<folder>/<config>_tune")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, metavar="KEY=VALUE", help="change values of the config"
    )
    return parser.parse_args(argv)


def prepare(args: argparse.Namespace) -> tuple[Path, TrialSettings, list[Parameter], Plan]:
    """The folder, what all trials share, the space and the plan, checked.

    Raises:
        CellMMError: an option, the config or the space cannot be used.
    """
    for name in ("trials", "rounds", "epochs", "iters", "trial_minutes", "minutes"):
        value = getattr(args, name)
        if value is not None and not 0 < value < math.inf:
            raise CellMMError(f"--{name.replace('_', '-')} {value:g}: give a number above 0")
    if args.seed < 0:
        raise CellMMError(f"--seed {args.seed}: give a number of at least 0")
    if args.sampler == "tpe" and args.rounds not in (None, 1):
        raise CellMMError("--rounds: --sampler tpe narrows the space by itself; give more --trials instead")
    cfg = load_config(args.config, args.cfg_options)
    check_config(cfg)
    if args.space:
        where, space = args.space, read_space_file(args.space)
    else:
        where = f"{args.config}: {KEY}"
        if cfg.get(KEY) is None:
            raise CellMMError(f"{where}: missing; write one into the config, or give --space FILE")
        space = read_space(cfg.to_dict()[KEY], where)
    by_epoch = "max_epochs" in (cfg.get("train_cfg") or {})
    if (args.epochs and not by_epoch) or (args.iters and by_epoch):
        right, wrong = ("--epochs", "--iters") if by_epoch else ("--iters", "--epochs")
        raise CellMMError(f"{wrong}: train_cfg of {args.config} does not count them; give {right}")
    settings = TrialSettings(
        config=args.config,
        options=args.cfg_options or {},
        metric=metric_of(cfg, args.metric),
        minimize=args.minimize,
        length=args.epochs or args.iters,
        minutes=args.trial_minutes,
    )
    check_space(settings, space, where)
    plan = Plan(
        trials=args.trials,
        rounds=args.rounds or (1 if args.sampler == "tpe" else 2),
        sampler=args.sampler,
        pruner=args.pruner,
        seed=args.seed,
    )
    return Path(args.work_dir or f"{default_work_dir(args.config)}_tune"), settings, space, plan


def main(argv: Sequence[str] | None = None) -> None:
    """Search, and say what was found. Raises CellMMError for errors that the user can correct."""
    args = parse_args(argv)
    folder, settings, space, plan = prepare(args)
    search = Search(folder, settings, space, plan, _say)
    search.check()
    search.run(args.minutes or math.inf)
    search.write()
    best = search.best()
    if best is None:
        raise CellMMError(f"{folder}: no trial is complete so far; {folder / TABLE} says what became of them")
    for key, value in search.values(best).items():
        _say(f"{key} = {value!r}")
    _say(f"{settings.metric} {best.value:.4g} of trial {best.number}; {folder / BEST} trains with its values")
    _say(f"all trials: {folder / TABLE}, {folder / HISTORY}, {folder / PARAMETERS}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
