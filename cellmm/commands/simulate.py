"""`cellmm simulate`: a folder of simulated images with annotation, to try cellmm on, or to train on first."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.registry import init_default_scope

from cellmm.errors import CellMMError
from cellmm.own_data.alike_set import simulate_alike
from cellmm.own_data.stand_ins import KINDS, simulate_folder
from cellmm.registry import SCOPE

ALIKE = 100  # images, so that a model can learn from them
STAND_INS = 8
SIZE = 256


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="cellmm simulate",
        description="Make a folder of simulated microscope images with the cells outlined as another program "
        "does it, to try `cellmm init` and `cellmm train` without images of your own; or, with --like, "
        "images like your own, to train on before them.",
    )
    parser.add_argument("folder", help="a new folder")
    parser.add_argument(
        "--kind",
        choices=KINDS,
        help="fiji: phase contrast, 16 bit, with Fiji ROIs; qupath: stained sections with GeoJSON; aperio: "
        "the same with XML; worms: as BBBC010; film: a time series with labels; classes: stained cells of "
        f"four types, a folder per image with a label image per type; default: {KINDS[0]}",
    )
    parser.add_argument(
        "--like",
        nargs="+",
        metavar=("FOLDER", "IMAGES"),
        help="measure a folder of annotated images, or a COCO json and the folder of its images (five images "
        "are enough), and simulate images like them; or the json that an earlier --like wrote",
    )
    parser.add_argument(
        "--layout",
        metavar="FORMAT",
        help="of --like: which annotations to take, where there are several kinds, such as 'COCO json'",
    )
    parser.add_argument(
        "--images", type=int, help=f"or frames of the film; default: {STAND_INS}, and {ALIKE} with --like"
    )
    parser.add_argument("--size", type=int, help=f"pixels per side; default: {SIZE}; with --like as measured")
    parser.add_argument("--seed", type=int, default=0, help="of the scenes; default: %(default)s")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Make the folder. Raises CellMMError for errors that the user can correct."""
    args = parse_args(argv)
    if args.like:
        _simulate_like(args)
        return
    if args.layout:
        raise CellMMError("--layout is of --like; leave it out")
    kind = args.kind or KINDS[0]
    images = STAND_INS if args.images is None else args.images
    size = SIZE if args.size is None else args.size
    simulate_folder(args.folder, kind, images=images, size=size, seed=args.seed)
    unit = "frames" if kind == "film" else "images"
    sys.stdout.write(f"{args.folder}: {images} simulated {unit} of {size}x{size} px\n")


def _simulate_like(args: argparse.Namespace) -> None:
    if args.kind or args.size is not None:
        raise CellMMError("--like measures what --kind and --size say; leave them out")
    if len(args.like) > 2:
        raise CellMMError(f"--like takes a folder, or a json and a folder, got {len(args.like)} names")
    if args.layout and not Path(args.like[0]).is_dir():
        raise CellMMError("--layout says which annotations of a folder to take; leave it out with a json")
    init_default_scope(SCOPE)
    number = ALIKE if args.images is None else args.images
    simulate_alike(args.folder, args.like, number=number, layout=args.layout, seed=args.seed)
