"""Draw maps that models predict in red over the truth in white, a column per model, a row per image.

    python tools/analysis/draw_maps.py CONFIG [MODEL ...] [--target overlap] [--index 0 1] [--out maps.png]

CONFIG says the images and their annotation. MODEL is the work dir of a training, a checkpoint in one, or a
model that comes with cellmm; if it gives only cells, the map is made from them. Without
MODEL the truth alone is drawn, in red over the image. Red is full from the threshold of SemanticMetric on, .3
for overlap: light red is found, white is missed, dark red is found where there is nothing. Source:
sparseseunet, figures 5.1, 5.3, 5.4 (CONFIG with pasted images) and 5.5 (MODELs of several training sets).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from cellmm.apis.trained_model import TrainedModel, load_trained
from cellmm.config.load import load_config
from cellmm.errors import CellMMError
from cellmm.evaluation.metrics.image_result import image_name, read_map
from cellmm.evaluation.metrics.semantic_metric import DEFAULT_THRESHOLD, OVERLAP_THRESHOLD
from cellmm.io.images import read_image
from cellmm.registry import DATASETS
from cellmm.structures import SEMANTIC_NAMES, CellSample, LabelLayers, semantic_maps
from cellmm.visualization import caption, fit, grid, save_picture, to_display
from cellmm.zoo import resolve_model

SIDE = 420  # px of a panel's longer side, at most
RED = (255, 0, 0)
SHARE = 0.7  # of red where it is full


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="says the images and their annotation")
    parser.add_argument("models", nargs="*", metavar="MODEL", help="work dirs or checkpoints of trainings")
    parser.add_argument("--target", choices=SEMANTIC_NAMES, default="overlap", help="default overlap")
    parser.add_argument("--split", choices=["val", "test"], default="test", help="default test")
    parser.add_argument("--index", type=int, nargs="+", default=[0], help="which images, from 0")
    parser.add_argument("--score-thr", type=float, default=0.5, help="of cells that count; default 0.5")
    parser.add_argument("--out", type=Path, default=Path("maps.png"), help="the picture")
    return parser.parse_args(argv)


def redden(picture: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Red over an RGB picture (H, W, 3), where ``share`` (H, W) is above 0; at 1 it covers SHARE of it."""
    share = SHARE * share[..., None]
    return (picture * (1 - share) + np.array(RED) * share).round().astype(np.uint8)


def over_truth(image: np.ndarray, truth: np.ndarray, probs: np.ndarray, full: float) -> np.ndarray:
    """The image (H, W, C), dimmed, the true map in white, the predicted one in red, full from ``full`` on."""
    picture = to_display(image) // 2
    picture[truth > 0] = 255
    return redden(picture, np.clip(probs / full, 0, 1))


def true_map(sample: CellSample, target: str) -> np.ndarray:
    """uint8 (H, W) of 0 and 1, of the annotated cells that are not crowd regions."""
    shape, cells = sample.ori_shape[:2], sample.eval_instances
    masks = [mask for mask, crowd in zip(cells.masks, cells.ignore, strict=True) if not crowd]
    nuclei = LabelLayers.from_rles(sample.eval_nuclei.masks, shape) if "eval_nuclei" in sample else None
    return semantic_maps(LabelLayers.from_rles(masks, shape), nuclei, [target])[target]


@torch.inference_mode()
def predict(trained: TrainedModel, item: dict) -> CellSample:
    """What the model finds in an image, ``item`` of ``get_data_info``, which comes to it by its own steps."""
    for step in trained.steps:
        item = step(item)
    return trained.model.test_step({key: [value] for key, value in item.items()})[0]


def predicted_map(sample: CellSample, target: str, score_thr: float) -> np.ndarray:
    """Probabilities (H, W) of a model's map, or of 0 and 1 by its cells."""
    if target in sample.get("pred_semantic", {}) or "pred_instances" not in sample:
        return read_map(sample.to_dict(), target, image_name(sample.to_dict()))
    found = sample.pred_instances
    masks = found[found.scores >= score_thr].masks
    return semantic_maps(LabelLayers.from_rles(masks, sample.ori_shape[:2]), None, [target])[target]


def rows(args: argparse.Namespace) -> list[np.ndarray]:
    """The panels of all images: each image, then the truth alone or a panel per model.

    Raises:
        CellMMError: no such image, or a model that gives neither the map nor cells.
    """
    loader = f"{args.split}_dataloader"
    dataset = load_config(args.config)[loader].dataset
    truth = DATASETS.build(dataset)
    if wrong := [i for i in args.index if not 0 <= i < len(truth)]:
        raise CellMMError(f"--index {wrong[0]}: {loader} has images 0 to {len(truth) - 1}")
    models = [(Path(name).name, load_trained(*resolve_model(name), "cpu")) for name in args.models]
    full = OVERLAP_THRESHOLD if args.target == "overlap" else DEFAULT_THRESHOLD
    page = []
    for index in args.index:
        sample = truth[index]["data_samples"]
        image = read_image(sample.img_path, sample.get("read_options"))[..., :1]
        real = true_map(sample, args.target)
        page.append(caption(fit(to_display(image), SIDE), image_name(sample.to_dict())))
        if not models:
            picture = redden(to_display(image), real.astype(float))
            page.append(caption(fit(picture, SIDE), f"{args.target}, annotated"))
        for name, model in models:
            made = predict(model, truth.get_data_info(index))
            probs = predicted_map(made, args.target, args.score_thr)
            page.append(caption(fit(over_truth(image, real, probs, full), SIDE), name))
    return page


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        save_picture(args.out, grid(rows(args), columns=1 + max(len(args.models), 1)))
    except (CellMMError, ValueError, OSError) as error:
        print(f"draw_maps: {error}", file=sys.stderr)
        return 1
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
