"""Draw what models make of images: a row per image with the inputs, each model's output and the real image.

    python tools/analysis/draw_translations.py MODEL [MODEL ...] [--index 0 1 2] [--side 160] [--out x.png]

MODEL is the work dir of a training with a config of configs/pix2pix, or a checkpoint in one; all of them are
drawn with the images of their own configs, which have to be the same. Inputs that differ, such as phase
contrast and masks, have a column each. The outputs of a row have the contrast of the real image, and of
several planes the first is shown. Source: sparseseunet, figures 5.6 to 5.8.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from cellmm.apis.trained_model import TrainedModel, load_trained
from cellmm.checks import check_whole
from cellmm.errors import CellMMError
from cellmm.models.translation import Pix2Pix
from cellmm.registry import DATASETS
from cellmm.visualization import caption, grid, save_picture, to_display
from cellmm.visualization.translations import in_contrast_of_first
from cellmm.zoo import resolve_model


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", metavar="MODEL", help="work dirs or checkpoints of trainings")
    parser.add_argument("--split", choices=["val", "test"], default="val", help="default val")
    parser.add_argument("--index", type=int, nargs="+", default=[0, 1, 2], help="which images, from 0")
    parser.add_argument("--side", type=int, help="px of the middle that is drawn; without: all of the image")
    parser.add_argument("--scale", type=int, default=1, help="picture pixels per image pixel; default 1")
    parser.add_argument("--out", type=Path, default=Path("translations.png"), help="the picture")
    return parser.parse_args(argv)


def load(name: str) -> TrainedModel:
    """CellMMError where the model does not translate images."""
    trained = load_trained(*resolve_model(name), "cpu")
    if not isinstance(trained.model, Pix2Pix):
        raise CellMMError(
            f"{name}: its model does not translate images; give one that a config of configs/pix2pix trained"
        )
    return trained


@torch.inference_mode()
def translated(model: TrainedModel, item: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first plane of the input, of the output and of the real image, (H, W) each."""
    (sample,) = model.model.test_step({key: [value] for key, value in item.items()})
    planes = item["inputs"], sample.pred_image, sample.gt_image
    return tuple(plane[0].cpu().numpy() for plane in planes)


def columns(parts: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    """The pictures of one image by their captions; ``parts``: what ``translated`` gives, by model."""
    inputs: list[np.ndarray] = []
    for given, _, _ in parts.values():
        if not any(np.array_equal(given, other) for other in inputs):
            inputs.append(given)
    real = next(iter(parts.values()))[2]
    shown = in_contrast_of_first([real, *(made for _, made, _ in parts.values())])
    pictures = {f"input {i}" if len(inputs) > 1 else "input": to_display(x) for i, x in enumerate(inputs, 1)}
    return pictures | dict(zip(parts, shown[1:], strict=True)) | {"real": shown[0]}


def middle(picture: np.ndarray, side: int | None, scale: int) -> np.ndarray:
    """The middle ``side`` pixels (None: all) of a picture (H, W, 3), enlarged."""
    height, width = picture.shape[:2]
    tall, wide = (height, width) if side is None else (min(side, height), min(side, width))
    y, x = (height - tall) // 2, (width - wide) // 2
    return picture[y : y + tall, x : x + wide].repeat(scale, 0).repeat(scale, 1)


def rows(args: argparse.Namespace) -> list[list[np.ndarray]]:
    """The panels of each image.

    Raises:
        CellMMError, ValueError: models that do not fit together, no such image, or a size below 1.
    """
    check_whole(1, side=args.side, scale=args.scale)
    loader = f"{args.split}_dataloader"
    models = {Path(name).name: load(name) for name in args.models}
    if len(models) < len(args.models):
        raise CellMMError(f"{' '.join(args.models)}: two have the same name; rename one")
    sets = {name: DATASETS.build(model.cfg[loader].dataset) for name, model in models.items()}
    page = []
    for index in args.index:
        for name, dataset in sets.items():
            if not 0 <= index < len(dataset):
                raise CellMMError(f"--index {index}: {loader} of {name} has images 0 to {len(dataset) - 1}")
        parts = {name: translated(models[name], dataset[index]) for name, dataset in sets.items()}
        first, *others = (real for _, _, real in parts.values())
        if not all(np.array_equal(first, real) for real in others):
            raise CellMMError(
                f"--index {index}: the {args.split} images of {', '.join(parts)} differ; give models whose "
                "configs have the same images"
            )
        pictures = columns(parts)
        page.append([caption(middle(x, args.side, args.scale), text) for text, x in pictures.items()])
    return page


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        page = rows(args)
        save_picture(args.out, grid([panel for row in page for panel in row], columns=len(page[0])))
    except (CellMMError, ValueError, OSError) as error:
        print(f"draw_translations: {error}", file=sys.stderr)
        return 1
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
