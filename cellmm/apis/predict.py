"""`cellmm predict`: cells in files and folders of images."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import DictAction
from mmengine.structures import BaseDataElement
from tqdm import tqdm

from cellmm.apis.inferencer import CellInferencer
from cellmm.errors import CellMMError
from cellmm.export import samples_to_coco, write_coco, write_map
from cellmm.utils import check_memory, check_writable
from cellmm.visualization import draw_instances, save_picture

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp")
OVERLAYS = "overlays"
MAPS = "maps"
BYTES_A_PIXEL = 60  # that a picture takes while it is drawn


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cellmm predict", description="Find the cells in images.")
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="image files and folders of them; two focal planes are the two pages of one TIFF",
    )
    parser.add_argument("--config", required=True, help="the config that the model was trained with")
    parser.add_argument("--checkpoint", required=True, help="a .pth file that training wrote")
    parser.add_argument("--out", required=True, type=Path, help="folder for cells.json, overlays/ and maps/")
    parser.add_argument("--device", default="auto", help="cpu, cuda, ...; default: a GPU if there is one")
    parser.add_argument(
        "--batch-size", type=int, default=1, help="images of one shape that go through the model at once"
    )
    parser.add_argument(
        "--tile", type=int, metavar="PX", help="cut larger images into tiles of so many pixels a side"
    )
    parser.add_argument(
        "--tile-overlap",
        type=int,
        metavar="PX",
        help="pixels that neighbouring tiles share, more than the longest cell; default: a quarter of a tile",
    )
    parser.add_argument("--score-thr", type=float, default=0.3, help="leave out cells that score less")
    parser.add_argument("--no-overlays", action="store_true", help="write no pictures")
    parser.add_argument(
        "--maps",
        action="store_true",
        help="write the maps of probabilities too; those of a model without cells are written anyway",
    )
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, metavar="KEY=VALUE", help="change values of the config"
    )
    return parser.parse_args(argv)


def find_images(inputs: Sequence[str | Path], leave_out: Sequence[Path] = ()) -> list[Path]:
    """The files named, and every image below the folders named, folder by folder in order of their names.

    ``leave_out``: folders that are not searched, those that pictures go to. Hidden files are not images.

    Raises:
        CellMMError: a path that does not exist, or a folder without an image.
    """
    paths: list[Path] = []
    for path in (Path(os.path.abspath(one)) for one in inputs):
        if path.is_dir():
            found = sorted(
                one
                for one in path.rglob("*")
                if one.suffix.lower() in SUFFIXES and not one.name.startswith(".") and not one.is_dir()
            )
            for folder in leave_out:
                skip = Path(os.path.abspath(folder))
                found = [one for one in found if skip not in one.parents]
            if not found:
                raise CellMMError(f"{path}: no image in this folder (of {', '.join(SUFFIXES)})")
            paths += found
        elif path.is_file():
            paths.append(path)
        else:
            raise CellMMError(f"{path}: no such file or folder")
    return list(dict.fromkeys(paths))


def name_images(paths: Sequence[Path]) -> tuple[list[str], list[str]]:
    """What each image is called in the json, and its overlay.

    Both are relative to the folder that holds all of the images, subfolders included, so that no two are the
    same; of images that differ in their suffix only, the overlays keep it: a.png.png, a.tif.png.
    """
    root = os.path.commonpath([path.parent for path in paths])
    names = [path.relative_to(root) for path in paths]
    stems = [name.with_suffix("") for name in names]
    number = Counter(stems)
    pictures = [f"{stem if number[stem] == 1 else name}.png" for name, stem in zip(names, stems, strict=True)]
    return [name.as_posix() for name in names], pictures


def tile_options(args: argparse.Namespace) -> dict[str, int]:
    """What ``--tile`` and ``--tile-overlap`` change in the config.

    Raises:
        CellMMError: an overlap without tiles, or one that is negative or more than half of a tile.
    """
    if args.tile is None:
        if args.tile_overlap is not None:
            raise CellMMError(f"--tile-overlap {args.tile_overlap}: give --tile too")
        return {}
    overlap = args.tile // 4 if args.tile_overlap is None else args.tile_overlap
    if args.tile < 1 or not 0 <= overlap <= args.tile / 2:
        raise CellMMError(f"--tile {args.tile} --tile-overlap {overlap}: 0 to half of a tile can overlap")
    return {"model.tile": args.tile, "model.tile_overlap": overlap}


def write_maps(stem: Path, maps: BaseDataElement) -> None:
    """Write each map of ``pred_semantic`` to ``<stem>_<target>.tif``."""
    for target, probs in maps.items():
        write_map(stem.with_name(f"{stem.name}_{target}.tif"), probs.numpy())


def main(argv: Sequence[str] | None = None) -> int:
    """Predict; 1 where a file could not be used (each in one line), the others are written all the same.

    Writes ``cells.json`` (COCO: images, annotations with RLE and score) and ``overlays/`` into ``--out``, and
    ``maps/``, one 16 bit TIFF (65535 is 1) a map, with ``--maps`` or where the model gives no cells.
    """
    args = parse_args(argv)
    check_writable(args.out / "cells.json")
    paths = find_images(args.inputs, leave_out=[args.out / OVERLAYS, args.out / MAPS])
    inferencer = CellInferencer(
        args.config, args.checkpoint, args.device, {**(args.cfg_options or {}), **tile_options(args)}
    )
    done, samples, failed, without_cells = [], [], [], False
    results = tqdm(
        inferencer(paths, args.batch_size), total=len(paths), desc="predict", unit="image", file=sys.stderr
    )
    for (path, sample), name, picture in zip(results, *name_images(paths), strict=True):
        if isinstance(sample, CellMMError):
            failed.append(sample)
            continue
        maps = sample.pop("pred_semantic", None)  # those of all images would fill the memory
        if maps is None and args.maps:
            raise CellMMError("--maps: the model gives no maps, it has no SemanticHead; leave --maps out")
        without_cells = "pred_instances" not in sample
        if maps is None and without_cells:
            raise CellMMError(
                f"{path}: the model gives neither cells nor maps; set model.instance_head to the head that "
                "gives the cells"
            )
        if args.maps or without_cells:
            write_maps(args.out / MAPS / Path(picture).with_suffix(""), maps)
        if without_cells:
            continue
        found = sample.pred_instances
        found = sample.pred_instances = found[found.scores >= args.score_thr]
        if not args.no_overlays:
            try:
                check_memory("it", sample.ori_shape, BYTES_A_PIXEL)
                drawn = draw_instances(inferencer.read_image(path), found.masks, found.scores.tolist())
                save_picture(args.out / OVERLAYS / picture, drawn)
            except (CellMMError, MemoryError) as error:
                failed.append(CellMMError(f"{path}: no picture of it ({error}): take --no-overlays"))
        done.append(name)
        samples.append(sample)
    if done:
        content = samples_to_coco(done, samples, inferencer.classes, inferencer.category_ids)
        write_coco(args.out / "cells.json", content)
        number = sum(len(sample.pred_instances) for sample in samples)
        print(
            f"{number} cells with a score of {args.score_thr:g} or more in {len(done)} images: "
            f"{args.out / 'cells.json'}"
        )
    if without_cells:
        sys.stderr.write(
            f"cellmm predict: the model gives maps and no cells: maps are in {args.out / MAPS}\n"
        )
    for error in failed:
        sys.stderr.write(f"cellmm predict: {' '.join(str(error).splitlines())}\n")
    return 1 if failed else 0
