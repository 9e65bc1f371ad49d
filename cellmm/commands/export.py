"""`cellmm export`: a trained model as a package for other programs."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cellmm.errors import CellMMError
from cellmm.export import export_model
from cellmm.zoo.packages.format import KINDS


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="cellmm export",
        description="Write a trained model as a package for other programs, which `cellmm predict --model "
        "PACKAGE.zip` runs too.",
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a model that comes with cellmm, the folder of a training, or a config with --checkpoint",
    )
    parser.add_argument(
        "--to",
        required=True,
        choices=KINDS,
        help="onnx: ONNX graphs; torch: .pt2 files of torch.export, and the weights; bioimageio: ONNX graphs "
        "with the description of bioimage.io",
    )
    parser.add_argument("--out", type=Path, metavar="FILE.zip", help="default: MODEL-FORMAT.zip, here")
    parser.add_argument("--checkpoint", help="weights; default: those of MODEL")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Export. Raises CellMMError if there is no such model or it cannot be exported."""
    args = parse_args(argv)
    name = Path(args.model).resolve().stem if Path(args.model).exists() else args.model.replace("/", "-")
    out = args.out or Path(f"{name}-{args.to}.zip")
    if args.out is None and out.exists():
        raise CellMMError(f"{out} exists: give --out {out} to replace it, or another name")
    exported = export_model(args.model, args.to, out, checkpoint=args.checkpoint, name=name)
    for graph, difference in exported.differences.items():
        sys.stdout.write(f"{graph}: differs from the model by {difference:.1g} at most\n")
    size = exported.path.stat().st_size / 1e6
    sys.stdout.write(
        f"{exported.path}: {size:.1f} MB; cellmm predict IMAGES --model {exported.path} --out DIR\n"
    )
