"""Do scores say how probable it is that a cell is right? A diagram, and the calibration that makes them.

    cellmm test CONFIG CHECKPOINT --split val --work-dir work_dirs/val
    python tools/analysis/reliability.py CONFIG work_dirs/val/results_val.segm.json

Draws the share of predictions that are right (IoU of .5, as AP50 counts them) and their mean IoU against
their score, prints the table with the expected calibration error, and fits a calibration. The error with
calibration is measured on images that it was not fitted to: each half of the images by the other half.
The last line is what to write into the config, or to give to test and predict. Use validation images, never
those that you report, and the same --tta and models as later on. tools/analysis/calibrate.py is another
thing: it chooses thresholds of scores.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from mmengine.config import DictAction

from cellmm.config.load import load_config
from cellmm.errors import CellMMError, explain
from cellmm.evaluation import functional as F
from cellmm.evaluation.metrics.image_result import read_sample, split_classes
from cellmm.evaluation.results_on_dataset import load_truth, read_results, with_results
from cellmm.io.files import atomic_path
from cellmm.models.postprocess.score_calibration import ScoreCalibration


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="says the images and their annotation")
    parser.add_argument("results", type=Path, help="COCO results, as `cellmm test` writes them")
    parser.add_argument("--split", choices=["val", "test"], default="val", help="default val")
    parser.add_argument("--bins", type=int, default=10, help="of the diagram; default 10")
    parser.add_argument(
        "--out", type=Path, help="PNG, PDF or SVG; default reliability.png beside the results"
    )
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, metavar="KEY=VALUE", help="those that `test` was given"
    )
    args = parser.parse_args(argv)
    if args.bins < 2:
        parser.error(f"--bins is {args.bins}: 2 or more are needed")
    args.out = args.out or args.results.with_name("reliability.png")
    return args


def judged_images(samples: Sequence[dict]) -> tuple[list[F.Judged], int]:
    """The predictions of each image, and the number of cells."""
    images, cells = [], 0
    for sample in samples:
        classes = split_classes(*read_sample(sample)[:2]).values()
        images.append(F.Judged.join([F.judge(found) for found in classes]))
        cells += sum(int(np.count_nonzero(~found.gt_crowd)) for found in classes)
    return images, cells


def calibrated(judged: F.Judged, knots: Sequence[tuple[float, float]]) -> F.Judged:
    return F.Judged(ScoreCalibration(knots).map(judged.scores), judged.right, judged.iou)


def halves(images: Sequence[F.Judged]) -> list[F.Judged]:
    """The predictions of every other image, and those of the rest."""
    return [F.Judged.join(images[start::2]) for start in (0, 1)]


def cross_fitted(images: Sequence[F.Judged]) -> F.Judged:
    """All predictions, those of every other image with scores as the rest of the images calibrates them."""
    first, second = halves(images)
    return F.Judged.join([calibrated(first, F.fit_knots(second)), calibrated(second, F.fit_knots(first))])


def draw(path: Path, before: F.Judged, after: F.Judged | None, bins: int) -> None:
    """The diagram of the scores, and beside it that of the calibrated ones; counts below."""
    panels = {"scores": before} | ({} if after is None else {"calibrated, on other images": after})
    figure = Figure(figsize=(4.5 * len(panels), 5.5))
    rows = figure.subplots(2, len(panels), squeeze=False, sharex=True, gridspec_kw=dict(height_ratios=[3, 1]))
    middle = (np.arange(bins) + 0.5) / bins
    for top, bottom, (title, judged) in zip(*rows, panels.items(), strict=True):
        table = F.reliability(judged, bins)
        top.bar(middle, table["right"], 0.9 / bins, color="0.8", label="share that is right")
        top.plot(table["score"], table["right"], "o-", color="C0", label="the same at the mean score")
        top.plot(table["score"], table["iou"], "s--", color="C1", label="mean IoU")
        top.plot([0, 1], [0, 1], ":", color="0.3")
        top.set(xlim=(0, 1), ylim=(0, 1))
        top.set_title(f"{title}: error {F.expected_calibration_error(judged, bins):.3f}")
        bottom.bar(middle, table["count"], 0.9 / bins, color="0.5")
        bottom.set(xlabel="score", ylabel="predictions", yscale="log", ylim=(0.5, None))
    rows[0, -1].legend(loc="upper left", fontsize="small")
    figure.tight_layout()
    with atomic_path(path) as tmp:
        figure.savefig(tmp, dpi=120)


def run(args: argparse.Namespace) -> None:
    """Judge, draw, print."""
    cfg = load_config(args.config, args.cfg_options)
    samples, meta = load_truth(cfg, args.split)
    samples = with_results(samples, read_results(args.results), meta=meta, source=args.results)
    images, cells = judged_images(samples)
    judged = F.Judged.join(images)
    if not len(judged.scores):
        raise CellMMError(f"{args.results}: no prediction on the {len(samples)} images; test the model first")
    if not ((judged.scores >= 0) & (judged.scores <= 1)).all():
        raise CellMMError(
            f"{args.results}: scores from {judged.scores.min():g} to {judged.scores.max():g}; those of "
            "probabilities are in [0, 1]"
        )
    table = F.reliability(judged, args.bins)
    print(f"{len(samples)} images, {cells} cells, {len(judged.scores)} predictions\n")
    print("| score | predictions | mean score | right | mean IoU |\n|---|---|---|---|---|")
    for i, count in enumerate(table["count"]):
        means = (
            "-" if math.isnan(table[key][i]) else f"{table[key][i]:.3f}" for key in ("score", "right", "iou")
        )
        print(f"| {i / args.bins:.2f} to {(i + 1) / args.bins:.2f} | {count} | {' | '.join(means)} |")
    print(f"\nexpected calibration error: {F.expected_calibration_error(judged, args.bins):.3f}")
    if cfg.model.get("calibration"):
        draw(args.out, judged, None, args.bins)
        print(f"{args.out}: of scores that model.calibration has calibrated. To fit it anew, give to test")
        print("and to this tool")
        print("--cfg-options model.calibration=None")
        return
    if not all(len(part.scores) for part in halves(images)):
        raise CellMMError(
            f"{args.results}: {sum(len(image.scores) > 0 for image in images)} image(s) with predictions; a "
            "calibration is fitted to some images and measured on others, so more images are needed"
        )
    after, knots = cross_fitted(images), F.fit_knots(judged)
    error = F.expected_calibration_error(after, args.bins)
    draw(args.out, judged, after, args.bins)
    threshold, f1 = F.best_threshold(calibrated(judged, knots), cells)
    print(f"with calibration, on images that it was not fitted to: {error:.3f}")
    print(
        f"highest F1 at IoU .5, {f1:.3f}: calibrated scores from {math.floor(1000 * threshold) / 1000:g} on"
    )
    print(args.out)
    pairs = ",".join(f"({score:g},{prob:g})" for score, prob in knots)
    print(f"--cfg-options 'model.calibration=[{pairs}]'")


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        run(args)
    except CellMMError as error:
        print(f"reliability: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"reliability: {explain(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
