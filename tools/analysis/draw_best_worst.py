"""Draw the best, an average and the worst image of a model by a score, beside the truth.

    python tools/analysis/draw_best_worst.py CONFIG work_dirs/.../results.segm.json [MORE.segm.json ...]
        [--by S] [--split test] [--out best_worst.png]

compares COCO results, of one model or several, ours or a peer's, with the images of a config. For each model
three rows: the image, its annotated cells, the cells found; the average image is the one whose score is
nearest to the mean. Figure 4 of glas-report. Images without the score (no cell and none found) do not count.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cellmm.config.load import load_config
from cellmm.errors import CellMMError, explain
from cellmm.evaluation import functional as F
from cellmm.evaluation.metrics import GlandMetric
from cellmm.evaluation.metrics.image_result import image_name
from cellmm.evaluation.results_on_dataset import (
    coco_metric,
    load_truth,
    read_results,
    score_samples,
    with_results,
)
from cellmm.io.images import read_image
from cellmm.messages import name_some
from cellmm.visualization import caption, draw_instances, fit, grid, save_picture, to_display

GLAND_NAMES = tuple(GlandMetric().names)
LOWER_IS_BETTER = ("object_hausdorff", "BCE_binary")
SIZE = 420  # pixels of the longer side of a panel, at most


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="says the images and their annotation")
    parser.add_argument("results", type=Path, nargs="+", help="COCO results, one file per model")
    parser.add_argument(
        "--by",
        choices=["S", *GLAND_NAMES],
        default="S",
        help="the score; S: mean over IoU thresholds, the others as in GlandMetric; default S",
    )
    parser.add_argument("--split", choices=["val", "test"], default="test", help="default test")
    parser.add_argument("--score-thr", type=float, default=0.5, help="of the cells that count; default 0.5")
    parser.add_argument("--image-key", default="well", help="what names an image that has no image_id")
    parser.add_argument("--out", type=Path, default=Path("best_worst.png"), help="the picture")
    return parser.parse_args(argv)


def scores_of(samples: Sequence[dict], classes: Sequence[str], by: str, score_thr: float) -> np.ndarray:
    """The score of each image, float64 (B,); nan where it is not defined."""
    if by == "S":
        metric = coco_metric(dict(type="CellCocoMetric"), classes=classes, score_thr=score_thr)
        return score_samples(samples, metric)[1]
    glands = GlandMetric(score_thr=score_thr)
    glands.process(None, samples)
    return np.array([glands.image_scores(result)[by] for result in glands.results])


def choose(scores: np.ndarray, by: str) -> dict[str, int]:
    """The images that are drawn: {'best', 'average', 'worst': index}, the first of equals.

    Raises:
        CellMMError: no image has the score.
    """
    if np.isnan(scores).all():
        raise CellMMError(f"--by {by}: no image has this score, as none has a cell or a prediction")
    low, high = int(np.nanargmin(scores)), int(np.nanargmax(scores))
    best, worst = (low, high) if by in LOWER_IS_BETTER else (high, low)
    mean = F.mean_of_defined(scores)
    return dict(best=best, average=int(np.nanargmin(np.abs(scores - mean))), worst=worst)


def panels(sample: dict, text: str, score_thr: float) -> list[np.ndarray]:
    """The image, its annotated cells and the cells found, captioned."""
    image = read_image(sample["img_path"], sample.get("read_options"))
    predicted, truth = sample["pred_instances"], sample["eval_instances"]["masks"]
    found = [m for m, s in zip(predicted["masks"], predicted["scores"], strict=True) if s >= score_thr]
    return [
        caption(fit(picture, SIZE), line)
        for picture, line in (
            (to_display(image), text),
            (draw_instances(image, truth, scale=1), f"{len(truth)} annotated"),
            (draw_instances(image, found, scale=1), f"{len(found)} found"),
        )
    ]


def run(args: argparse.Namespace) -> None:
    """Score, choose, draw, print."""
    cfg = load_config(args.config)
    truth, meta = load_truth(cfg, args.split)
    if not truth:
        raise CellMMError(f"{args.config}: its {args.split}_dataloader has no images")
    page = []
    for path in args.results:
        samples = with_results(truth, read_results(path), meta=meta, image_key=args.image_key, source=path)
        scores = scores_of(samples, meta["classes"], args.by, args.score_thr)
        for kind, index in choose(scores, args.by).items():
            name = image_name(samples[index])
            line = f"{kind} {args.by} {scores[index]:.3f}"
            print(f"{path}: {line}, {name}")
            page += panels(samples[index], f"{path.parent.name}, {line}, {name}", args.score_thr)
        if left_out := [image_name(samples[i]) for i in np.flatnonzero(np.isnan(scores))]:
            print(f"{path}: {args.by} is not defined for {name_some(left_out)}: left out", file=sys.stderr)
    save_picture(args.out, grid(page, columns=3))
    print(args.out)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        run(args)
    except (CellMMError, ValueError) as error:
        print(f"draw_best_worst: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"draw_best_worst: {explain(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
