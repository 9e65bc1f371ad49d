"""`cellmm init`: a config for a folder of annotated images."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmengine.registry import init_default_scope

from cellmm.own_data import MODELS, prepare
from cellmm.registry import SCOPE


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="cellmm init",
        description="Look at a folder of annotated images, say what is in it, split it into images to train, "
        "validate and test, and write a config for it.",
    )
    parser.add_argument("folder", type=Path, help="images and annotations, as they are")
    parser.add_argument(
        "--out", type=Path, help="where config and splits go; default: FOLDER_cellmm beside the folder"
    )
    parser.add_argument("--model", choices=MODELS, default=MODELS[0], help="default: %(default)s")
    parser.add_argument(
        "--from",
        dest="start",
        metavar="NAME",
        help="start from the weights of a model (`cellmm models`) or of the folder of a training",
    )
    parser.add_argument(
        "--layout",
        metavar="FORMAT",
        help="which annotations to take, where there are several kinds, such as 'COCO json'",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the split; default: %(default)s")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the config. Raises CellMMError for errors that the user can correct."""
    args = parse_args(argv)
    init_default_scope(SCOPE)
    options = dict(model=args.model, start=args.start, layout=args.layout, seed=args.seed)
    prepare(args.folder, args.out, **options)
