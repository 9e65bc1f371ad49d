"""S at IoU .5 of results, for all images of a config and for each kind of image apart.

    python tools/analysis/scores_by.py CONFIG results.segm.json --key modality

The kind is what the image records of the annotation file have under --key. S = TP/(TP+FP+FN) is computed for
each image and averaged, and once from the sums over the images (pooled). --iou takes other thresholds.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from cellmm.config.load import load_config
from cellmm.errors import CellMMError
from cellmm.evaluation.metrics.result_files import threshold_key
from cellmm.evaluation.results_on_dataset import (
    coco_metric,
    load_truth,
    read_results,
    score_samples,
    with_results,
)
from cellmm.io.json_file import read_json


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="says the images and their annotation")
    parser.add_argument("results", type=Path, nargs="+", help="COCO results, one row each and kind")
    parser.add_argument("--key", required=True, help="of the image records in the annotation file")
    parser.add_argument("--split", choices=["val", "test"], default="test", help="default test")
    parser.add_argument("--iou", type=float, nargs="+", default=[0.5], help="default .5")
    parser.add_argument(
        "--score-thr", type=float, help="of the predictions that count (default: that of the metric)"
    )
    return parser.parse_args(argv)


def kinds_of(cfg: Config, split: str, key: str) -> dict[int, str]:
    """{img_id: kind} of the images of a split.

    Raises:
        CellMMError: the dataset has no annotation file, or an image record has no ``key``.
    """
    dataset = cfg[f"{split}_dataloader"].dataset
    if "ann_file" not in dataset:
        raise CellMMError(f"{cfg.filename}: its {split}_dataloader has no ann_file whose images have a kind")
    path = Path(dataset.get("data_root", ""), dataset.ann_file)
    records = read_json(path)["images"]
    if lacking := [record["file_name"] for record in records if key not in record]:
        raise CellMMError(
            f"{path}: {len(lacking)} of {len(records)} images have no {key!r}, {lacking[0]} for one; choose "
            f"--key among {', '.join(sorted(records[0]))}"
        )
    return {record["id"]: str(record[key]) for record in records}


def run(args: argparse.Namespace) -> list[list[str]]:
    """The rows of the table, its head first."""
    cfg = load_config(args.config)
    samples, meta = load_truth(cfg, args.split)
    kinds = kinds_of(cfg, args.split, args.key)
    names = [threshold_key("S", iou) for iou in args.iou]
    rows = [["results", args.key, "images", "cells", *names, *(f"{name} pooled" for name in names)]]
    for path in args.results:
        filled = with_results(samples, read_results(path), meta=meta, source=path)
        groups = {"all": filled}
        for sample in filled:
            groups.setdefault(kinds[sample["img_id"]], []).append(sample)
        for kind, group in groups.items():
            metric = coco_metric(
                dict(type="CellCocoMetric", iou_thresholds=tuple(args.iou)),
                classes=meta["classes"],
                score_thr=args.score_thr,
            )
            numbers, _ = score_samples(group, metric)
            cells = sum(len(sample["eval_instances"]["masks"]) for sample in group)
            values = [numbers[f"{name}{suffix}"] for suffix in ("", "_pooled") for name in names]
            rows.append([path.name, kind, str(len(group)), str(cells), *(f"{value:.3f}" for value in values)])
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    try:
        rows = run(parse_args(argv))
    except CellMMError as error:
        print(f"scores_by: {error}", file=sys.stderr)
        return 1
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
