"""`cellmm predict`: cells in files and folders of images."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import DictAction
from tqdm import tqdm

from cellmm.apis.inferencer import CellInferencer
from cellmm.datasets.image_io import read_images
from cellmm.errors import CellMMError
from cellmm.export import samples_to_coco, write_coco
from cellmm.visualization import draw_instances, save_picture

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cellmm predict", description="Find the cells in images.")
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="image files and folders of them")
    parser.add_argument("--config", required=True, help="the config that the model was trained with")
    parser.add_argument("--checkpoint", required=True, help="a .pth file that training wrote")
    parser.add_argument("--out", required=True, type=Path, help="folder for cells.json and overlays/")
    parser.add_argument("--device", default="auto", help="cpu, cuda, ...; default: a GPU if there is one")
    parser.add_argument("--score-thr", type=float, default=0.3, help="leave out cells that score less")
    parser.add_argument("--no-overlays", action="store_true", help="write no pictures")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, metavar="KEY=VALUE", help="change values of the config"
    )
    return parser.parse_args(argv)


def find_images(inputs: Sequence[str]) -> list[Path]:
    """The files named, and every image below the folders named, in order of their names.

    Raises:
        CellMMError: a path that does not exist, or a folder without an image.
    """
    paths: list[Path] = []
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            found = sorted(
                p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")
            )
            if not found:
                raise CellMMError(f"{path}: no image in this folder (of {', '.join(SUFFIXES)})")
            paths += found
        elif path.is_file():
            paths.append(path)
        else:
            raise CellMMError(f"{path}: no such file or folder")
    return list(dict.fromkeys(paths))


def output_names(paths: Sequence[Path]) -> list[str]:
    """A name for each image's overlay, told apart by its folders where file names are the same."""
    stems = [path.stem for path in paths]
    return [
        stem if stems.count(stem) == 1 else "_".join([*path.parent.parts[-2:], path.name]).strip("/")
        for path, stem in zip(paths, stems, strict=True)
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Predict; 1 where a file could not be used (each in one line), the others are written all the same."""
    args = parse_args(argv)
    paths = find_images(args.inputs)
    inferencer = CellInferencer(args.config, args.checkpoint, args.device, args.cfg_options)
    done, samples, failed = [], [], []
    names = dict(zip(paths, output_names(paths), strict=True))
    for path, sample in tqdm(inferencer(paths), total=len(paths), desc="predict", unit="image"):
        if isinstance(sample, CellMMError):
            failed.append(sample)
            continue
        found = sample.pred_instances
        sample.pred_instances = found[found.scores >= args.score_thr]
        if not args.no_overlays:
            found = sample.pred_instances
            picture = draw_instances(read_images(str(path)), found.masks, found.scores.tolist())
            save_picture(args.out / "overlays" / f"{names[path]}.png", picture)
        done.append(str(path))
        samples.append(sample)
    write_coco(args.out / "cells.json", samples_to_coco(done, samples))
    for error in failed:
        sys.stderr.write(f"cellmm predict: {error}\n")
    return 1 if failed else 0
