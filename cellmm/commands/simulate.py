"""`cellmm simulate`: a folder of simulated images with annotation, to try cellmm on."""

import argparse
import sys
from collections.abc import Sequence

from cellmm.own_data.stand_ins import KINDS, simulate_folder


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="cellmm simulate",
        description="Make a folder of simulated microscope images with the cells outlined as another program "
        "does it, to try `cellmm init` and `cellmm train` without images of your own.",
    )
    parser.add_argument("folder", help="a new folder")
    parser.add_argument(
        "--kind",
        choices=KINDS,
        default=KINDS[0],
        help="fiji: phase contrast, 16 bit, with Fiji ROIs; qupath: stained sections with GeoJSON; aperio: "
        "the same with XML; worms: as BBBC010; film: a time series with labels; classes: stained cells of "
        "four types, a folder per image with a label image per type; default: %(default)s",
    )
    parser.add_argument("--images", type=int, default=8, help="or frames of the film; default: %(default)s")
    parser.add_argument("--size", type=int, default=256, help="pixels per side; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the scenes; default: %(default)s")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Make the folder. Raises CellMMError for errors that the user can correct."""
    args = parse_args(argv)
    simulate_folder(args.folder, args.kind, images=args.images, size=args.size, seed=args.seed)
    unit = "frames" if args.kind == "film" else "images"
    sys.stdout.write(f"{args.folder}: {args.images} simulated {unit} of {args.size}x{args.size} px\n")
