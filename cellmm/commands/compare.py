"""`cellmm compare`: results of any programs on the same annotated images, side by side."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import print_log

from cellmm.comparison import compare, read_result_set, read_truth, write_comparison
from cellmm.comparison.numbers import markdown
from cellmm.errors import CellMMError
from cellmm.io.files import check_writable


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="cellmm compare",
        description="Score the results of several programs on the same annotated images: a table with "
        "intervals, a row per image, and a page with the worst images.",
    )
    parser.add_argument(
        "results",
        nargs="+",
        metavar="NAME=RESULTS",
        help="a name for the table, and a model (weights, CONFIG.py:WEIGHTS, the folder of a training, a "
        "package), COCO results, a label image, or a folder of label images, _seg.npy of Cellpose, YOLO txt, "
        "ROI zips and so on; the first is what the others are compared with",
    )
    parser.add_argument(
        "--truth",
        required=True,
        help="a COCO json, or a config: CONFIG, CONFIG:val; default of a config: test",
    )
    parser.add_argument("--images", type=Path, help="folder of the images of a COCO json; default: beside it")
    parser.add_argument("--out", type=Path, default=Path("comparison"), help="folder; default %(default)s")
    parser.add_argument(
        "--score-thr",
        nargs="+",
        default=[],
        metavar="NAME=SCORE",
        help="from which score on S, F1, PQ and the counts take a prediction; a number alone: for all. "
        "Default: that of the config's metric, else 0.3; all of results without scores",
    )
    parser.add_argument(
        "--layout",
        nargs="+",
        default=[],
        metavar="NAME=KIND",
        help='which files of a folder, where it holds several kinds, such as "Cellpose _seg.npy"',
    )
    parser.add_argument(
        "--image-key", default="well", help="what names the image of COCO results without image_id"
    )
    parser.add_argument("--class-agnostic", action="store_true", help="do not tell classes apart")
    parser.add_argument(
        "--resamples",
        type=int,
        default=2000,
        help="of the images, for intervals; 0: none; default %(default)s",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the resamples; default %(default)s")
    parser.add_argument("--worst", type=int, default=6, help="images on the page; default %(default)s")
    parser.add_argument(
        "--by",
        choices=["mean", "first", "gap"],
        default="mean",
        help="which images are worst: by S on average, S of the first result, or how far the first is behind "
        "the best; default %(default)s",
    )
    args = parser.parse_args(argv)
    for option in ("resamples", "worst", "seed"):
        if getattr(args, option) < 0:
            parser.error(f"--{option} is {getattr(args, option)}: 0 or more is needed")
    return args


def split_name(text: str) -> tuple[str, str]:
    """NAME and RESULTS; results without a name have that of their file or folder.

    Examples:
        >>> split_name("Cellpose 3=out/a=b"), split_name("out/stardist")
        (('Cellpose 3', 'out/a=b'), ('stardist', 'out/stardist'))
    """
    name, sign, source = text.partition("=")
    if not sign or Path(text).exists():
        return Path(text).stem, text
    if not name.strip() or not source:
        raise CellMMError(f"{text}: give NAME=RESULTS, such as cellpose=results/cellpose")
    return name.strip(), source


def thresholds(texts: Sequence[str], names: Sequence[str]) -> dict[str, float]:
    """{name: score} of NAME=SCORE, or of a number for all."""
    found: dict[str, float] = {}
    for text in sorted(texts, key=lambda text: "=" in text):  # numbers for all come first
        name, sign, value = text.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if number != number:
            raise CellMMError(f"--score-thr {text}: give a number, or NAME=NUMBER")
        found |= {name: number} if sign else dict.fromkeys(names, number)
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Compare, write and print. Raises CellMMError for errors that the user can correct."""
    args = parse_args(argv)
    given = [split_name(text) for text in args.results]
    names = [name for name, _ in given]
    layouts = dict(text.partition("=")[::2] for text in args.layout)
    if unknown := [name for name in layouts if name not in names]:
        raise CellMMError(f"--layout {unknown[0]}: no such results; there are {', '.join(names)}")
    score_thr = thresholds(args.score_thr, names)
    check_writable(args.out / "index.html")
    truth = read_truth(args.truth, images=args.images, class_agnostic=args.class_agnostic)
    sets = []
    for name, source in given:
        sets.append(read_result_set(name, source, truth, layout=layouts.get(name), image_key=args.image_key))
        print_log(f"{name}: {len(sets[-1].results)} predictions from {source}", logger="current")
    found = compare(truth, sets, score_thr=score_thr, resamples=args.resamples, seed=args.seed)
    write_comparison(found, args.out, worst=args.worst, by=args.by)
    lines = [f"{len(truth.samples)} images, {found.num_cells} cells of {truth.name}", "", markdown(found), ""]
    lines += [f"{entry.name}: {note}" for entry in found.entries for note in entry.notes]
    sys.stdout.write("\n".join([*lines, f"{args.out / 'index.html'}: the page"]) + "\n")
