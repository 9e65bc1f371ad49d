"""Score several results on the test images of a config in one run, and compare them image by image.

    python tools/analysis/compare_results.py CONFIG results.segm.json peer.json --score-thr 0.3 0

Results are COCO results (a list of dict(image_id, category_id, segmentation, score), as cellmm test writes
them, or such a list under "results"). A peer's may name its images in another way: with --image-key well, the
image with well "C03" is the one whose file name has C03 between its signs (_ - . or blank).
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cellmm.engine.runner import load_config
from cellmm.errors import CellMMError
from cellmm.evaluation import CellCocoMetric
from cellmm.evaluation.functional import segmentation_scores
from cellmm.registry import DATASETS
from cellmm.structures import CellSample

KEYS = ("AP", "AP50", "AP75", "AP90", "S", "S50", "S90")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="says the test images and their annotation")
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument(
        "--score-thr", nargs="+", type=float, default=[0.3], help="for S: one for all, or one a file"
    )
    parser.add_argument("--image-key", default="well", help="what names an image that has no image_id")
    args = parser.parse_args(argv)
    if len(args.score_thr) not in (1, len(args.results)):
        parser.error(f"--score-thr: give 1 or {len(args.results)} numbers, one a file")
    args.score_thr *= len(args.results) // len(args.score_thr)
    return args


def read_results(path: Path) -> list[dict]:
    """COCO results of a file.

    Raises:
        CellMMError: no such file, no json, or entries without what results need.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CellMMError(f"{path}: no json that can be read ({error})") from error
    results = content.get("results") if isinstance(content, dict) else content
    if not isinstance(results, list) or not all(
        isinstance(one, dict) and {"category_id", "segmentation", "score"} <= set(one) for one in results
    ):
        raise CellMMError(f"{path}: no list of COCO results (category_id, segmentation, score)")
    return results


def score(
    samples: Sequence[CellSample], results: Sequence[dict], score_thr: float, image_key: str
) -> tuple[dict[str, float], np.ndarray]:
    """The metric's numbers, and S of each image averaged over its thresholds, float (B,).

    Raises:
        CellMMError: a result of an image that is none of the samples.
    """
    by_id = {sample.img_id: [] for sample in samples}
    by_name = {
        token: sample.img_id
        for sample in samples
        for token in re.split(r"[_\-. ]", Path(sample.img_path).stem)
    }
    for one in results:
        img_id = one["image_id"] if "image_id" in one else by_name.get(one.get(image_key))
        if img_id not in by_id:
            raise CellMMError(f"a result of image {one.get('image_id', one.get(image_key))!r}, no test image")
        by_id[img_id].append(one)
    metric = CellCocoMetric(score_thr=score_thr)
    for sample in samples:
        found = by_id[sample.img_id]
        predicted = dict(
            masks=[one["segmentation"] for one in found],
            scores=np.array([one["score"] for one in found], float),
            labels=np.array([one["category_id"] - 1 for one in found], np.int64),
        )
        metric.process(None, [dict(sample.to_dict(), pred_instances=predicted)])
    num = len(metric.iou_thresholds)
    counts = np.array([result.total_counts(num) for result in metric.results])
    return metric.evaluate(len(samples)), segmentation_scores(counts)["S"].mean(-1)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        cfg = load_config(args.config)
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
        samples = [dataset[i]["data_samples"] for i in range(len(dataset))]
        rows = []
        for path, score_thr in zip(args.results, args.score_thr, strict=True):
            rows.append(score(samples, read_results(path), score_thr, args.image_key))
    except CellMMError as error:
        print(f"compare_results: {error}", file=sys.stderr)
        return 1
    width = max(len(str(path)) for path in args.results)
    print(f"{len(samples)} images".ljust(width), *(key.rjust(6) for key in KEYS))
    for path, (numbers, _) in zip(args.results, rows, strict=True):
        print(str(path).ljust(width), *(f"{numbers[key]:6.4f}" for key in KEYS))
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
