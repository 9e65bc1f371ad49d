"""Time the average precision of images with many cells: cellmm, pycocotools and faster-coco-eval.

    python tools/benchmarks/evaluation.py [--images 20] [--cells 1000] [--size 1000] [--seed 0]

The scenes are overlapping discs with jittered, missing and false predictions. Times are CPU seconds from
masks as RLE to the numbers, and so hold on a busy machine too; cellmm's include S, F1 and PQ. ObjectMetric
(AJI, boundary IoU and so on) is timed apart. Exits with 1 where AP differs by 1e-6 or more, where cellmm is
less than 10 times as fast as pycocotools, or where ObjectMetric needs a second or more per 500 cells.
"""

import argparse
import contextlib
import importlib.util
import io
import sys
import time
from collections.abc import Callable

import numpy as np
from mmengine.logging import print_log
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from cellmm.evaluation import CellCocoMetric, ObjectMetric


def disc(y: float, x: float, radius: float, size: int) -> dict:
    """COCO RLE of a disc in a size x size image, from its columns: no mask is drawn."""
    columns = np.arange(max(np.ceil(x - radius), 0), min(np.floor(x + radius), size - 1) + 1)
    half = np.sqrt(np.maximum(radius**2 - (columns - x) ** 2, 0))
    top, bottom = np.maximum(np.ceil(y - half), 0), np.minimum(np.floor(y + half), size - 1)
    runs = (columns * size + np.stack([top, np.maximum(bottom + 1, top)])).T.astype(np.int64).ravel()
    counts = np.diff(runs, prepend=0, append=size * size)
    rle = mask_utils.frPyObjects(dict(size=[size, size], counts=counts.tolist()), size, size)
    return dict(size=[size, size], counts=rle["counts"].decode())


def make_image(img_id: int, *, cells: int, size: int, rng: np.random.Generator) -> dict:
    """A sample as the metric gets it. 5 % of the cells are missed, 10 % of the predictions are false."""
    centres, radii = rng.uniform(0, size, (cells, 2)), rng.uniform(8, 20, cells)
    gt = [disc(y, x, radius, size) for (y, x), radius in zip(centres, radii, strict=True)]
    pred, scores = [], []
    for (y, x), radius in zip(centres, radii, strict=True):
        if rng.random() < 0.05:
            continue
        error = rng.normal(0, 0.08 * radius, 3)
        pred.append(disc(y + error[0], x + error[1], radius + error[2], size))
        scores.append(np.exp(-np.abs(error).sum() / radius) * rng.uniform(0.8, 1))
    for _ in range(cells // 10):
        pred.append(disc(*rng.uniform(0, size, 2), rng.uniform(8, 20), size))
        scores.append(rng.uniform(0, 0.8))
    return dict(
        img_id=img_id,
        ori_shape=(size, size),
        eval_instances=dict(
            masks=gt,
            labels=np.zeros(len(gt), np.int64),
            ignore=np.zeros(len(gt), bool),
            areas=np.full(len(gt), np.nan),
        ),
        pred_instances=dict(masks=pred, labels=np.zeros(len(pred), np.int64), scores=np.array(scores)),
    )


def to_coco(samples: list[dict]) -> tuple[dict, list[dict]]:
    """Ground truth and results as COCO dictionaries; annotation ids start at 1."""
    annotations, results = [], []
    for sample in samples:
        masks = sample["eval_instances"]["masks"]
        for mask in masks:
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=sample["img_id"],
                    category_id=1,
                    segmentation=mask,
                    area=int(mask_utils.area(mask)),
                    bbox=mask_utils.toBbox(mask).tolist(),
                    iscrowd=0,
                )
            )
        predicted = sample["pred_instances"]
        results += [
            dict(image_id=sample["img_id"], category_id=1, segmentation=mask, score=float(score))
            for mask, score in zip(predicted["masks"], predicted["scores"], strict=True)
        ]
    images = [
        dict(id=sample["img_id"], height=sample["ori_shape"][0], width=sample["ori_shape"][1])
        for sample in samples
    ]
    truth = dict(info={}, images=images, categories=[dict(id=1, name="cell")], annotations=annotations)
    return truth, results


def run_cellmm(samples: list[dict], metric: CellCocoMetric | ObjectMetric) -> tuple[float, dict[str, float]]:
    start = time.process_time()
    metric.dataset_meta = dict(classes=("cell",))
    for sample in samples:
        metric.process(None, [sample])
    numbers = metric.evaluate(len(samples))
    return time.process_time() - start, numbers


def run_coco(
    samples: list[dict], coco: Callable, coco_eval: Callable, max_dets: int
) -> tuple[float, float, dict[str, float]]:
    """CPU seconds, the first number of the summary, and the numbers from the precision array."""
    truth, results = to_coco(samples)
    with contextlib.redirect_stdout(io.StringIO()):
        start = time.process_time()
        annotated = coco()
        annotated.dataset = truth
        annotated.createIndex()
        evaluation = coco_eval(annotated, annotated.loadRes(results), "segm")
        evaluation.params.maxDets = [1, 100, max_dets]
        evaluation.evaluate()
        evaluation.accumulate()
        seconds = time.process_time() - start
        evaluation.summarize()
    precision = evaluation.eval["precision"][:, :, 0, 0, -1]
    numbers = dict(AP=precision.mean(), AP50=precision[0].mean())
    numbers.update(AP75=precision[5].mean(), AP90=precision[8].mean())
    return seconds, float(evaluation.stats[0]), numbers


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--size", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    rng = np.random.default_rng(args.seed)
    samples = [
        make_image(img_id + 1, cells=args.cells, size=args.size, rng=rng) for img_id in range(args.images)
    ]
    max_dets = max(len(sample["pred_instances"]["masks"]) for sample in samples)
    rows = {"cellmm": (*run_cellmm(samples, CellCocoMetric()), None)}
    if importlib.util.find_spec("faster_coco_eval"):
        from faster_coco_eval import COCO as FastCOCO
        from faster_coco_eval import COCOeval_faster

        seconds, first, numbers = run_coco(samples, FastCOCO, COCOeval_faster, max_dets)
        rows["faster-coco-eval"] = seconds, numbers, first
    seconds, first, numbers = run_coco(samples, COCO, COCOeval, max_dets)
    rows["pycocotools"] = seconds, numbers, first

    ours, theirs = rows["cellmm"], rows["pycocotools"]
    keys = ("AP", "AP50", "AP75", "AP90")
    lines = [
        f"{args.images} images of {args.cells} cells, {args.size} x {args.size} px, "
        f"at most {max_dets} predictions per image, seed {args.seed}",
        "",
        "|                  |  CPU s | times faster | "
        + " | ".join(f"{key:8}" for key in keys)
        + " | stats[0] |",
        "|------------------|--------|--------------|" + "----------|" * (len(keys) + 1),
    ]
    for name, (seconds, numbers, first) in rows.items():
        values = " | ".join(f"{numbers[key]:.6f}" for key in keys)
        shown = "-" if first is None else f"{first:.6f}"
        lines.append(f"| {name:16} | {seconds:6.2f} | {theirs[0] / seconds:12.1f} | {values} | {shown:8} |")
    object_seconds = {
        width: run_cellmm(samples, ObjectMetric(boundary_width=width))[0] for width in (2, None)
    }
    per_500 = {width: 500 * value / (args.images * args.cells) for width, value in object_seconds.items()}
    difference = max(abs(ours[1][key] - theirs[1][key]) for key in keys)
    lines += [
        "",
        f"ObjectMetric, CPU s per 500 cells: {per_500[2]:.3f} with boundary_width=2, "
        f"{per_500[None]:.3f} with the published width",
        f"largest difference from pycocotools' precision array: {difference:.1e}",
        f"stats[0], the first line of the summary, is AP at 100 detections per image: "
        f"{theirs[2]:.6f}, right is {theirs[1]['AP']:.6f}",
    ]
    print_log("\n".join(lines))
    return int(difference >= 1e-6 or theirs[0] < 10 * ours[0] or max(per_500.values()) >= 1)


if __name__ == "__main__":
    sys.exit(main())
