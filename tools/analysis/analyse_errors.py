"""Find out what costs a model its AP: which errors, how much each costs, and on which images.

    python tools/analysis/analyse_errors.py CONFIG work_dirs/.../results.segm.json

compares COCO results, ours or a peer's, with the test images of a config. It prints AP with the masks of the
ground truth and with the best matches alone (sparseseunet table 5.11), AP points that repairing one kind of
error alone would give, and AP with outlines of which one part is mended. It writes errors.json, images.csv
and index.html, a page of the worst images. What each row is: docs/evaluation.md. A peer's results may name
images in another way: with --image-key well, the image with well "C03" is the one whose file name has C03
between its signs (_ - . or blank).
"""

import argparse
import csv
import json
import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cellmm.config.load import load_config
from cellmm.errors import CellMMError, explain
from cellmm.evaluation import ForegroundMetric
from cellmm.evaluation import functional as F
from cellmm.evaluation.metrics.image_result import image_name, read_sample, split_classes
from cellmm.evaluation.results_on_dataset import (
    coco_metric,
    load_truth,
    read_results,
    score_samples,
    with_results,
)
from cellmm.io.files import atomic_path
from cellmm.visualization.error_page import write_page

COUNTS = ("right", *F.REPAIRS[:-1])
OUTLINE_KEYS = dict(AP=slice(None), AP50=0, AP75=5, AP90=8)  # of the IoU thresholds, those that each averages


@dataclass
class Analysis:
    """``oracles``, ``outlines``: {row: {AP, ...}}; ``errors``, gains: {kind: {AP, AP at the threshold, count,
    shown}}."""

    oracles: dict[str, dict[str, float]]
    errors: dict[str, dict[str, float]]
    outlines: dict[str, dict[str, float]]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="says the images and their annotation")
    parser.add_argument("results", type=Path)
    parser.add_argument("--out", type=Path, help="folder of the output; default: errors, beside the results")
    parser.add_argument("--split", choices=["val", "test"], default="test", help="default test")
    parser.add_argument("--image-key", default="well", help="what names an image that has no image_id")
    parser.add_argument(
        "--iou", type=float, default=0.5, help="at which errors are told apart, .5 to .95; default .5"
    )
    parser.add_argument(
        "--score-thr",
        type=float,
        help="of the predictions for S, images.csv and pictures (default: that of the config's metric)",
    )
    parser.add_argument("--worst", type=int, default=12, help="how many images are drawn; default 12")
    parser.add_argument(
        "--by", choices=["S", "errors"], default="S", help="the score by which images are ranked; default S"
    )
    args = parser.parse_args(argv)
    if not np.isclose(F.IOU_THRESHOLDS, args.iou).any():
        parser.error(f"--iou is {args.iou:g}: one of 0.5, 0.55, ..., 0.95 is needed")
    if args.worst < 0:
        parser.error(f"--worst is {args.worst}: 0 or more is needed")
    args.out = args.out or args.results.with_name("errors")
    return args


def key_at(iou: float) -> str:
    return f"AP{round(100 * iou)}"


def analyse(
    images: Sequence[dict[int, F.ClassInImage]],
    errors: Sequence[dict[int, F.Errors]],
    *,
    area_ranges: Sequence[tuple[float, float]],
    iou: float,
) -> Analysis:
    """The tables of all ``images`` ({label: class} each), with ``errors`` as found at ``iou``.

    ``area_ranges``: all, small, medium and large, as of CellCocoMetric.
    """
    at = int(np.argmin(np.abs(F.IOU_THRESHOLDS - iou)))
    top = 1 + max((found.scores.max(initial=0) for image in images for found in image.values()), default=0)

    def changed(change, **options) -> list[dict[int, F.ClassInImage]]:
        return [
            {label: change(found, of_image[label], **options) for label, found in image.items()}
            for image, of_image in zip(images, errors, strict=True)
        ]

    rows = {"baseline": images} | {what: changed(F.oracle, what=what) for what in F.ORACLES}
    scored = {row: F.average_precision(cells, area_ranges=area_ranges) for row, cells in rows.items()}
    base = scored["baseline"][0]
    oracles = {}
    for row, ap in scored.items():
        values = (ap[0].mean(), ap[0, 0], ap[0, 5], *ap[1:].mean(axis=1))
        oracles[row] = dict(zip(F.AP_KEYS, map(float, values), strict=True))
    number = total_counts(errors) | {"ranking": F.confident_errors(images, errors)}
    table = {}
    for what in F.REPAIRS:
        gain = F.average_precision(changed(F.repair, what=what, top_score=top))[0] - base
        table[what] = {"AP": float(gain.mean()), key_at(iou): float(gain[at]), "count": number[what]}
    outlines = {"baseline": base}
    for what in F.OUTLINE_ROWS:
        mended = [F.outline_oracle(*pair, what) for pair in zip(images, errors, strict=True)]
        outlines[what] = F.average_precision(mended)[0]
    outlines = {
        row: {key: float(ap[which].mean()) for key, which in OUTLINE_KEYS.items()}
        for row, ap in outlines.items()
    }
    return Analysis(oracles, table, outlines)


def total_counts(errors: Sequence[dict[int, F.Errors]]) -> Counter:
    """The counts of all images and classes together."""
    total = Counter(dict.fromkeys(("right", "ignored", *F.REPAIRS), 0))
    for of_image in errors:
        for found in of_image.values():
            total.update(found.counts())
    return total


def points(value: float) -> str:
    """In per cent; - where it is not defined."""
    return "-" if math.isnan(value) else f"{100 * value:.1f}"


def tables(analysis: Analysis, score_thr: float) -> list[list[list[str]]]:
    """The three tables as rows of text, their first row the head."""
    oracles = [["", *F.AP_KEYS]]
    oracles += [
        [F.ORACLE_ROWS[row], *map(points, values.values())] for row, values in analysis.oracles.items()
    ]
    _, at, *_ = next(iter(analysis.errors.values()))
    errors = [["repaired", "AP points", f"{at} points", "number", f"with score >= {score_thr:g}"]]
    for what, numbers in analysis.errors.items():
        shown = str(numbers["shown"]) if "shown" in numbers else "-"
        errors.append([what, points(numbers["AP"]), points(numbers[at]), str(numbers["count"]), shown])
    outlines = [["outlines", *OUTLINE_KEYS]]
    for row, values in analysis.outlines.items():
        outlines.append([F.OUTLINE_ROWS.get(row, row), *map(points, values.values())])
    return [oracles, errors, outlines]


def foreground_of(samples: Sequence[dict], score_thr: float) -> dict[str, float]:
    """The numbers of ForegroundMetric without their prefix."""
    metric = ForegroundMetric(score_thr=score_thr)
    metric.process(None, samples)
    return {key.removeprefix("foreground/"): v for key, v in metric.evaluate(len(samples)).items()}


def markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def write_json(path: Path, content: dict) -> None:
    """nan becomes null."""

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(part) for key, part in value.items()}
        return None if isinstance(value, float) and math.isnan(value) else value

    with atomic_path(path) as tmp:
        tmp.write_text(json.dumps(plain(content), indent=2) + "\n", encoding="utf-8")


def write_csv(path: Path, rows: Sequence[dict]) -> None:
    with atomic_path(path) as tmp, open(tmp, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=[*rows[0]])
        writer.writeheader()
        for row in rows:
            writer.writerow(row | {"S": "" if math.isnan(row["S"]) else f"{row['S']:.6f}"})


def run(args: argparse.Namespace) -> None:
    """Analyse, write, print."""
    cfg = load_config(args.config)
    results = read_results(args.results)
    samples, meta = load_truth(cfg, args.split)
    if not samples:
        raise CellMMError(f"{args.config}: its {args.split}_dataloader has no images")
    samples = with_results(samples, results, meta=meta, image_key=args.image_key, source=args.results)
    metric = coco_metric(
        cfg.get(f"{args.split}_evaluator"), classes=meta["classes"], score_thr=args.score_thr
    )
    numbers, of_images = score_samples(samples, metric)

    def find(score_thr: float | None) -> tuple[list[dict], list[dict]]:
        images = [
            split_classes(*read_sample(sample)[:2], max_dets=metric.max_dets, score_thr=score_thr)
            for sample in samples
        ]
        errors = [
            {label: F.find_errors(found, threshold=args.iou) for label, found in image.items()}
            for image in images
        ]
        return images, errors

    analysis = analyse(*find(None), area_ranges=metric.area_ranges, iou=args.iou)
    images, errors = find(metric.score_thr)
    shown = total_counts(errors)
    for what in F.REPAIRS[:-1]:
        analysis.errors[what]["shown"] = shown[what]
    rows = []
    for sample, of_image, score in zip(samples, errors, of_images.tolist(), strict=True):
        counts = total_counts([of_image])
        rows.append(
            dict(
                img_id=sample["img_id"],
                image=image_name(sample),
                cells=int(np.count_nonzero(~np.asarray(sample["eval_instances"]["ignore"], bool))),
                predictions=sum(len(found.kind) for found in of_image.values()),
                S=score,
                errors=sum(counts[what] for what in F.REPAIRS),
                **{what: counts[what] for what in COUNTS},
            )
        )
    about = dict(
        config=args.config,
        results=str(args.results),
        split=args.split,
        images=len(samples),
        cells=sum(row["cells"] for row in rows),
        predictions=len(results),
        iou=args.iou,
        score_thr=metric.score_thr,
        area_bounds=list(metric.area_ranges[2]),
        S=numbers["S"],
        foreground=foreground_of(samples, metric.score_thr),
    )
    write_json(args.out / "errors.json", about | vars(analysis))
    write_csv(args.out / "images.csv", rows)
    every = tables(analysis, metric.score_thr)
    worst = sorted(range(len(rows)), key=lambda i: _badness(rows[i], args.by))[: args.worst]
    below = (
        "In per cent. w/ gt mask: every prediction has the mask of the cell that it fits best; gt matched: "
        "each cell keeps its best prediction alone.",
        "AP points that repairing this kind alone gives. Number: among all predictions, which AP counts; "
        f"last column: decided anew among those with a score of at least {metric.score_thr:g}, as in the "
        "pictures, so it can be the higher one. S: share of right ones among cells and predictions, 0 to 1.",
        "In per cent, with masks that one part of the truth corrects: how much there is to gain where cells "
        "end and background begins, where cells meet, and from the scores.",
    )
    write_page(
        args.out / "index.html",
        title=f"{args.results.name} on {len(samples)} images of {Path(args.config).name}",
        tables=list(zip(every, below, strict=True)),
        images=[
            ((samples[i]["img_path"], samples[i].get("read_options")), images[i], errors[i], rows[i])
            for i in worst
        ],
    )
    print(f"{about['images']} images, {about['cells']} cells, {about['predictions']} predictions\n")
    print(*map(markdown, every), sep="\n\n")
    near = about["foreground"]
    print(
        f"\nforeground, pixels within {ForegroundMetric().reach:g} px of a cell: IoU {points(near['IoU'])}, "
        f"predicted / true area {points(near['area_ratio'])} (sd over images {points(near['area_ratio_sd'])})"
    )
    print(f"\n{args.out / 'index.html'}: the {len(worst)} worst images by {args.by}")


def _badness(row: dict, by: str) -> tuple:
    """Sorts the worst image first; by S those without S (neither cells nor predictions) come last."""
    if by == "errors":
        return -row["errors"], row["img_id"]
    return math.isnan(row["S"]), row["S"], -row["errors"], row["img_id"]


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        run(args)
    except CellMMError as error:
        print(f"analyse_errors: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"analyse_errors: {explain(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
