"""Choose numbers of a trained model, such as the mask threshold, by their score on the validation images.

    python tools/analysis/calibrate.py CONFIG CHECKPOINT --try test_cfg.mask_thr 0.35 0.4 0.45 0.5 0.55

scores each value on the validation images of the config and prints what to give to test and predict. Several
--try are settled one after the other, each with the best values of those before it. Where a config validates
on the images that it tests, as configs/sparseseunet/bbbc010_cpu.py, choose on others:

    --cfg-options val_dataloader.dataset.split=train
"""

import argparse
import inspect
import math
import sys
from collections.abc import Sequence

from mmengine.runner import Runner
from torch import nn

from cellmm.commands import test
from cellmm.config.load import load_config
from cellmm.engine.checkpoints import load_fitting
from cellmm.engine.runner import build_runner
from cellmm.errors import CellMMError

REFINE = "refine."


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config")
    parser.add_argument("checkpoint")
    parser.add_argument(
        "--try",
        dest="tries",
        nargs="+",
        action="append",
        metavar="NAME VALUE VALUE ...",
        required=True,
        help="a number of the head that gives the instances, by its key in the head, or refine.threshold and "
        "so on of the model's refine, and the values to try",
    )
    parser.add_argument("--metric", default="AP", help="what to raise; default AP")
    parser.add_argument("--work-dir", help="where logs go; default work_dirs/<folder>/<config>")
    parser.add_argument("--cfg-options", nargs="+", metavar="KEY=VALUE", help="change values of the config")
    args = parser.parse_args(argv)
    args.tries = [(name, [_number(name, text) for text in values]) for name, *values in args.tries]
    if empty := [name for name, values in args.tries if not values]:
        raise CellMMError(f"--try {empty[0]}: no value to try; give some, as --try test_cfg.mask_thr 0.4 0.5")
    return args


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise CellMMError(f"--try {name}: {text!r} is not a number") from error


def validation_runner(args: argparse.Namespace) -> Runner:
    """A Runner whose ``test`` scores the validation images with the checkpoint's weights."""
    runner = build_runner(test.prepare_config(_test_args(args)))
    load_fitting(runner.model, args.checkpoint)
    return runner


def _test_args(args: argparse.Namespace) -> argparse.Namespace:
    options = ["--split", "val", *(["--work-dir", args.work_dir] if args.work_dir else [])]
    options += ["--cfg-options", *args.cfg_options] if args.cfg_options else []
    return test.parse_args([args.config, args.checkpoint, *options])


def scores_test_images(args: argparse.Namespace) -> bool:
    """Whether the validation images are the test images: numbers chosen on them tell nothing about them."""
    cfg = load_config(args.config, _test_args(args).cfg_options)
    chosen, tested = (
        ((cfg.get(f"{split}_dataloader") or {}).get("dataset") or {}) for split in ("val", "test")
    )
    return bool(chosen) and {**chosen, "pipeline": None} == {**tested, "pipeline": None}


def calibrate(
    runner: Runner, tries: Sequence[tuple[str, Sequence[float]]], metric: str
) -> tuple[list[dict], dict]:
    """Rows of dict(name, value, metric's score), and the best value of each name.

    Of equal scores the value nearest to the config's is taken.

    Raises:
        CellMMError: the head has no such number, or the metric gives no such score.
    """
    model = runner.model
    head: nn.Module = model.heads[model.instance_head]
    rows, best = [], {}
    for name, values in tries:
        owners = numbers_of(head)
        if getattr(model, "refine", None) is not None:
            owners |= {f"{REFINE}{key}": owner for key, owner in numbers_of(model.refine).items()}
        if name not in owners:
            raise CellMMError(f"--try {name}: {type(head).__name__} has no such number, but {sorted(owners)}")
        owner, attribute = owners[name], name.rpartition(".")[2]
        before, scores = getattr(owner, attribute), []
        for value in values:
            setattr(owner, attribute, value)
            metrics = runner.test()
            if metric not in metrics:
                raise CellMMError(f"--metric {metric}: none of {sorted(metrics)}")
            scores.append(metrics[metric])
            rows.append({"name": name, "value": value, metric: metrics[metric]})
        ranked = [
            (-math.inf if math.isnan(score) else score, -abs(value - before), value)
            for score, value in zip(scores, values, strict=True)
        ]
        best[name] = max(ranked)[2]
        setattr(owner, attribute, best[name])
    return rows, best


def numbers_of(part: object) -> dict[str, object]:
    """{key: the object that has it} of the fractions of a head and of its parts that are not layers."""
    found: dict[str, object] = {}
    for name, value in vars(part).items():
        if type(value) is float:
            found[name] = part
        elif hasattr(value, "__dict__") and not name.startswith("_") and not inspect.isroutine(value):
            found.update({f"{name}.{key}": owner for key, owner in numbers_of(value).items()})
    return found


def main(argv: Sequence[str] | None = None) -> int:
    try:
        args = parse_args(argv)
        if scores_test_images(args):
            print(
                "calibrate: these are the test images: scores on them say nothing about new images",
                file=sys.stderr,
            )
        runner = validation_runner(args)
        rows, best = calibrate(runner, args.tries, args.metric)
    except CellMMError as error:
        print(f"calibrate: {error}", file=sys.stderr)
        return 1
    for row in rows:
        print(f"{row['name']} {row['value']:g}  {args.metric} {row[args.metric]:.4f}")
    head = f"heads.{runner.model.instance_head}."
    keys = {name: name if name.startswith(REFINE) else head + name for name in best}
    print("--cfg-options " + " ".join(f"model.{keys[name]}={value:g}" for name, value in best.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
