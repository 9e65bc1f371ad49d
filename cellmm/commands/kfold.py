"""`cellmm kfold`: k trainings of a config, each tested on images that it did not see."""

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.config import DictAction

from cellmm.config.check import check_config
from cellmm.config.load import load_config
from cellmm.engine.work_dir import default_work_dir
from cellmm.errors import CellMMError
from cellmm.io.files import atomic_path
from cellmm.own_data.folds import (
    RESULTS,
    assign_folds,
    fold_config,
    group_names,
    join_results,
    table_text,
    training_images,
    write_fold,
)

CELLMM = (sys.executable, "-m", "cellmm.commands.cli")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="cellmm kfold",
        description="Train a config k times, each time without another part of its training images, and test "
        "each model on the part that it did not see. Run it again to go on where it was stopped.",
    )
    parser.add_argument("config", help="a config; the images are those of its train_dataloader")
    parser.add_argument("--folds", type=int, default=5, metavar="K", help="default: 5")
    parser.add_argument(
        "--fold",
        type=int,
        nargs="+",
        metavar="N",
        help="only these folds, from 0, as for several machines; the last to be done writes the table",
    )
    parser.add_argument(
        "--group",
        metavar="REGEX",
        help="images with the same match (of its first bracket) in their name are in the same fold; default: "
        "names that differ in the number of a field, time point, tile or the like",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the split; default: 0")
    parser.add_argument(
        "--out", type=Path, help="folder of all folds; default work_dirs/<folder>/<config>_kfold"
    )
    parser.add_argument("--dry-run", action="store_true", help="say which images are in which fold, and stop")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, metavar="KEY=VALUE", help="change values of the config"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Train and test what is not done yet; returns 1 if a fold failed."""
    args = parse_args(argv)
    out = args.out or Path(f"{default_work_dir(args.config)}_kfold")
    cfg = load_config(args.config, args.cfg_options)
    check_config(cfg)
    cfg.pop("work_dir", None)
    places, files = training_images(cfg)
    groups = group_names(files, args.group)
    if args.seed < 0:
        raise CellMMError(f"--seed {args.seed}: give a number of at least 0")
    folds = assign_folds(groups, args.folds, args.seed)
    chosen = range(args.folds) if args.fold is None else args.fold
    if wrong := [number for number in chosen if not 0 <= number < args.folds]:
        raise CellMMError(f"--fold {wrong[0]}: folds are 0 to {args.folds - 1}")
    _describe(files, groups, folds, args.folds)
    if args.dry_run:
        return 0
    failed = [number for number in chosen if not _run(out, number, fold_config(cfg, places, folds == number))]
    if failed:
        say(f"folds that failed: {', '.join(map(str, failed))}; the same command goes on")
        return 1
    counts = [len(set(places[folds == number].tolist())) for number in range(args.folds)]
    _sum_up(out, counts, args)
    return 0


def place(out: Path, number: int) -> Path:
    return out / f"fold{number}"


def _describe(files: Sequence[str], groups: Sequence[str], folds: np.ndarray, num: int) -> None:
    print(f"{len(set(files))} images in {len(set(groups))} groups")
    for number in range(num):
        held = [i for i in range(len(files)) if folds[i] == number]
        images, names = {files[i] for i in held}, {groups[i] for i in held}
        print(f"fold {number}: {len(images)} images of {len(names)} groups are held out")


def _run(out: Path, number: int, cfg) -> bool:
    """Train and test a fold, unless this was done; whether it is done now."""
    folder = place(out, number)
    config = folder / "config" / f"fold{number}.py"  # training writes a copy of its own into the work dir
    config.parent.mkdir(parents=True, exist_ok=True)
    write_fold(cfg, config)
    if (folder / "metrics.json").is_file():
        print(f"fold {number}: done before")
        return True
    if not (folder / "trained").is_file():
        if not _call("train", config, "--work-dir", folder, "--resume"):
            return False
        with atomic_path(folder / "trained") as tmp:
            tmp.write_text("")
    return _call("test", config, folder, "--work-dir", folder)


def _call(*words: object) -> bool:
    """Run a command of cellmm in a process of its own; whether it succeeded."""
    words = [str(word) for word in words]
    print(f"cellmm {shlex.join(words)}", flush=True)
    return subprocess.run([*CELLMM, *words], check=False).returncode == 0


def _sum_up(out: Path, counts: Sequence[int], args: argparse.Namespace) -> None:
    """Write the table and the results of all folds, if all are done."""
    paths = [place(out, number) / "metrics.json" for number in range(len(counts))]
    if missing := [path.parent.name for path in paths if not path.is_file()]:
        say(f"{', '.join(missing)} not done yet: the table is written when all are")
        return
    metrics = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    text = table_text(metrics, counts, title=f"{args.config}: {len(counts)} folds, seed {args.seed}")
    with atomic_path(out / "folds.md") as tmp:
        tmp.write_text(text, encoding="utf-8")
    print(text)
    print(out / "folds.md")
    results = [path.with_name(RESULTS) for path in paths]
    if all(path.is_file() for path in results):
        number = join_results(results, out / RESULTS)
        print(f"{out / RESULTS}: {number} cells, each found by the model that did not see its image")
    else:
        say("the config has no CellCocoMetric, so no results of cells are written")


def say(line: str) -> None:
    sys.stderr.write(f"cellmm kfold: {line}\n")
