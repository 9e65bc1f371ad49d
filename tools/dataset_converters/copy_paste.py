"""Synthetic images with annotated overlap: cells of annotated phase-contrast images, pasted together.

    python tools/dataset_converters/copy_paste.py data/train.json data/phase data/synthetic/train --number 100
        --test data/test.json data/phase

writes images/, layers/, annotations.json (COCO) and, with --nuclei-dir, nuclei/ into a new folder. Each
annotation says in "source" which image and annotation it comes from, how the cell was warped and where it was
pasted. The same seed gives the same files. Source: sparseseunet 4.4.1, whose sets have 100 and 1000 images.
"""

import argparse
import sys
from collections.abc import Sequence

from cellmm.datasets.transforms.pasting import MODES
from cellmm.errors import CellMMError
from cellmm.simulation.dataset import new_set
from cellmm.synthesis import Counts, SetFolder, open_sources
from cellmm.synthesis.make_set import make_set
from cellmm.synthesis.options import add_options, field_options


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, number=100, size=512)
    parser.add_argument(
        "--mode", choices=MODES, default="add", help="replace, onto images: the thesis's brightfield baseline"
    )
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> Counts:
    """Write the whole set into ``args.out``, or nothing."""
    options = field_options(args)
    sources = open_sources(args.ann_file, args.img_dir, args.nuclei_dir, args.test, args.first)
    with new_set(args.out) as path:
        folder = SetFolder(path)
        folder.begin({key: str(value) for key, value in sorted(vars(args).items()) if key != "out"})
        counts = make_set(folder, sources, options, args.number)
        folder.journal.unlink()
    return counts


def main() -> None:
    args = parse_args()
    try:
        counts = run(args)
    except CellMMError as error:
        raise SystemExit(f"error: {error}") from error
    sys.stdout.write(f"{args.out}: {counts}\n")


if __name__ == "__main__":
    main()
