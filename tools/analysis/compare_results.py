"""Score several results on the test images of a config in one run, and compare them image by image.

    python tools/analysis/compare_results.py CONFIG results.segm.json peer.json --score-thr 0.3 0

Results are COCO results (a list of dict(image_id, category_id, segmentation, score), as cellmm test writes
them, or such a list under "results"). A peer's may name its images in another way: with --image-key well, the
image with well "C03" is the one whose file name has C03 between its signs (_ - . or blank).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cellmm.config.load import load_config
from cellmm.errors import CellMMError
from cellmm.evaluation.results_on_dataset import (
    coco_metric,
    load_truth,
    read_results,
    score_samples,
    with_results,
)

KEYS = ("AP", "AP50", "AP75", "AP90", "S", "S50", "S90")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="says the test images and their annotation")
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument(
        "--score-thr",
        nargs="+",
        type=float,
        default=[None],
        help="for S: one for all, or one per file (default: that of the config's metric)",
    )
    parser.add_argument("--image-key", default="well", help="what names an image that has no image_id")
    args = parser.parse_args(argv)
    if len(args.score_thr) not in (1, len(args.results)):
        parser.error(f"--score-thr: give 1 or {len(args.results)} numbers, one per file")
    args.score_thr *= len(args.results) // len(args.score_thr)
    return args


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        cfg = load_config(args.config)
        samples, meta = load_truth(cfg)
        rows = []
        for path, score_thr in zip(args.results, args.score_thr, strict=True):
            filled = with_results(
                samples, read_results(path), meta=meta, image_key=args.image_key, source=path
            )
            metric = coco_metric(cfg.get("test_evaluator"), classes=meta["classes"], score_thr=score_thr)
            rows.append(score_samples(filled, metric))
    except CellMMError as error:
        print(f"compare_results: {error}", file=sys.stderr)
        return 1
    keys = [key for key in KEYS if key in rows[0][0]]  # no S50 where the metric has no threshold of .5
    width = max(len(str(path)) for path in args.results)
    print(f"{len(samples)} images".ljust(width), *(key.rjust(6) for key in keys))
    for path, (numbers, _) in zip(args.results, rows, strict=True):
        print(str(path).ljust(width), *(f"{numbers[key]:6.4f}" for key in keys))
    for path, (_, of_images) in zip(args.results[1:], rows[1:], strict=True):
        gain = rows[0][1] - of_images
        error = gain.std(ddof=1) / len(gain) ** 0.5 if len(gain) > 1 else float("nan")
        print(
            f"{args.results[0]} against {path}, S image by image: {gain.mean():+.4f} (standard error "
            f"{error:.4f}), better on {(gain > 0).sum()}, worse on {(gain < 0).sum()} of {len(gain)}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
