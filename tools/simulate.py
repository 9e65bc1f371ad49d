"""Simulate microscope images of overlapping cells with their annotation."""

import argparse
import sys

from cellmm.errors import CellMMError
from cellmm.simulation import SCENES, make_dataset


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", help="a new folder")
    parser.add_argument("--scene", choices=sorted(SCENES), default="default")
    parser.add_argument("--splits", nargs="+", default=["train=18", "val=5", "test=5"], metavar="NAME=IMAGES")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--extra-modalities", action="store_true", help="also phase contrast, fluorescence and nuclei"
    )
    parser.add_argument("--workers", type=int, default=2, help="threads; they change the time only")
    args = parser.parse_args()
    try:
        splits = {name: int(number) for name, _, number in (text.partition("=") for text in args.splits)}
    except ValueError:
        parser.error("--splits takes NAME=IMAGES, such as train=18")
    try:
        make_dataset(
            args.out,
            splits=splits,
            scene=args.scene,
            seed=args.seed,
            extra_modalities=args.extra_modalities,
            workers=args.workers,
        )
    except CellMMError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
