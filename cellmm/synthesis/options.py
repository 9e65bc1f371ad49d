"""The options that the makers of synthetic sets share."""

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from cellmm.errors import CellMMError
from cellmm.synthesis.fields import BACKGROUNDS, BLANK, IMAGES, FieldOptions

DEFAULTS = FieldOptions()


def add_options(parser: argparse.ArgumentParser, *, number: int, size: int) -> None:
    """Add what says which cells are copied and how; ``number`` and ``size`` are defaults."""
    parser.add_argument("ann_file", type=Path, metavar="JSON", help="COCO json of annotated images")
    parser.add_argument("img_dir", type=Path, metavar="IMG_DIR", help="their folder")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make")
    parser.add_argument(
        "--test", type=Path, nargs=2, metavar=("JSON", "IMG_DIR"), help="images that are never used"
    )
    parser.add_argument(
        "--first", type=int, metavar="N", help="only copy cells of the first N images; default: of all"
    )
    parser.add_argument(
        "--nuclei-dir", type=Path, metavar="DIR", help="nuclei of the images, numbered as their cells"
    )
    parser.add_argument(
        "--number", type=int, default=number, metavar="N", help="of images; default: %(default)s"
    )
    for name, kind, metavar, text in (
        ("size", int, ("H", "W"), f"of a blank field, px; default: {size} {size}"),
        ("cells", int, ("LEAST", "MOST"), "that are pasted into an image; default: {} {}"),
        ("overlap", float, ("LEAST", "MOST"), "share of a pasted cell on others; default: {:g} {:g}"),
        ("rotate", float, ("LOWEST", "HIGHEST"), "degrees; default: {:g} {:g}"),
        ("scale", float, ("LOWEST", "HIGHEST"), "of pasted cells; default: {:g} {:g}"),
    ):
        default = (size, size) if name == "size" else getattr(DEFAULTS, name)
        text = text.format(*default)
        parser.add_argument(f"--{name}", type=kind, nargs=2, default=default, metavar=metavar, help=text)
    parser.add_argument(
        "--blur", type=float, default=DEFAULTS.blur, metavar="PX", help="of the edges; default: %(default)g"
    )
    parser.add_argument(
        "--background",
        type=float,
        metavar="LEVEL",
        help="level without cells; default: the median outside of the cells of each image",
    )
    parser.add_argument(
        "--elastic-magnitude",
        type=float,
        default=DEFAULTS.elastic_magnitude,
        metavar="PX",
        help="how far cells are bent; default: %(default)g",
    )
    parser.add_argument(
        "--onto",
        choices=(BLANK, IMAGES, BACKGROUNDS),
        default=BLANK,
        help="blank fields, the annotated images, or these with their cells taken away",
    )
    parser.add_argument("--seed", type=int, default=0, help="of all draws; default: %(default)s")


def field_options(args: argparse.Namespace) -> FieldOptions:
    """What the parsed options say of fields.

    Raises:
        CellMMError: a number out of range.
    """
    if args.number < 1:
        raise CellMMError(f"number must be 1 or more, got {args.number}")
    given = {item.name: getattr(args, item.name) for item in fields(FieldOptions) if item.name in args}
    try:
        return FieldOptions(**given)
    except ValueError as error:
        raise CellMMError(str(error)) from error


def settings_of_fields(args: argparse.Namespace) -> dict[str, str]:
    """The options by which fields are made, as a user gives them; not those that name files."""
    return {
        f"--{item.name.replace('_', '-')}": _text(getattr(args, item.name))
        for item in fields(FieldOptions)
        if item.name in args
    }


def _text(value: Any) -> str:
    """The same for a default and for the same numbers on the command line."""
    if isinstance(value, list | tuple):
        return " ".join(map(_text, value))
    return f"{value:.12g}" if isinstance(value, int | float) else str(value)
