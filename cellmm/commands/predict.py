"""`cellmm predict`: cells in files and folders of images."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import DictAction
from mmengine.structures import BaseDataElement
from tqdm import tqdm

from cellmm.apis.inferencer import CellInferencer
from cellmm.errors import CellMMError
from cellmm.io.coco_results import samples_to_coco, write_coco
from cellmm.io.files import check_writable, put_away
from cellmm.io.image_folders import find_images, name_images
from cellmm.io.maps import write_map
from cellmm.io.memory import check_memory
from cellmm.messages import name_some
from cellmm.visualization import draw_instances, save_picture

CELLS = "cells.json"
OVERLAYS = "overlays"
MAPS = "maps"
EARLIER = "earlier"
MARK = ".cellmm-predict"  # an empty file that marks the folders of results
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
    parser.add_argument("--device", default="auto", help="cpu, cuda, ...; default: a GPU if available")
    parser.add_argument(
        "--batch-size",
        type=int,
        default=1,
        help="how many images of the same shape go through the model at once",
    )
    parser.add_argument(
        "--tile",
        type=int,
        metavar="PX",
        help="cut larger images into tiles of this many pixels a side; 0: never; default: as the config, "
        "else images that are clearly larger than those of training, into tiles of that size",
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


def tile_options(args: argparse.Namespace) -> dict[str, int | None]:
    """The config's changes that ``--tile`` and ``--tile-overlap`` ask for; ``--tile 0``: images whole.

    Raises:
        CellMMError: an overlap without tiles, below 0, or above half a tile.
    """
    if args.tile is None:
        if args.tile_overlap is not None:
            raise CellMMError(f"--tile-overlap {args.tile_overlap}: give --tile too")
        return {}
    if args.tile == 0 and not args.tile_overlap:
        return {"model.tile": None, "model.tile_overlap": 0}
    overlap = args.tile // 4 if args.tile_overlap is None else args.tile_overlap
    if args.tile < 1 or not 0 <= overlap <= args.tile / 2:
        raise CellMMError(f"--tile {args.tile} --tile-overlap {overlap}: 0 to half of a tile can overlap")
    return {"model.tile": args.tile, "model.tile_overlap": overlap}


def refuse_results(inputs: Sequence[str | Path], out: Path) -> None:
    """Raise CellMMError where an input lies in a folder that results go to."""
    for name in inputs:
        path = Path(name).resolve()
        for folder in (out / OVERLAYS, out / MAPS):
            if folder.resolve() in (path, *path.parents):
                raise CellMMError(f"{name} is in {folder}, where results go: name another folder with --out")


def refuse_other_folders(out: Path) -> None:
    """Raise CellMMError where a folder for results holds files that no earlier run wrote."""
    for folder in (out / OVERLAYS, out / MAPS):
        ours = (out / CELLS).exists() or (folder / MARK).exists()
        if not ours and folder.is_dir() and any(folder.iterdir()):
            raise CellMMError(
                f"{folder} holds files that are not of an earlier `cellmm predict`: name another folder with "
                "--out"
            )


def mark(folder: Path) -> Path:
    """Make a folder for results, marked so that the next run recognises it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()
    return folder


def tell_tiles(inferencer: CellInferencer, tile: int | None) -> None:
    """Report images that were tiled without being asked to, and images for which tiles had no effect."""
    tiled, whole = inferencer.num_tiled, inferencer.num_whole
    if tile and whole:
        say(
            f"--tile {tile}: {whole} of {tiled + whole} images are no larger than a tile when they come to "
            "the network, after all steps of the config's pipeline, and were predicted whole"
        )
    if tile is None and inferencer.own_tile is not None and tiled:
        size, overlap = inferencer.own_tile
        say(
            f"{tiled} of {tiled + whole} images are clearly larger than those of training "
            f"({'x'.join(map(str, inferencer.trained_on.size))} px) and were predicted in tiles of {size} px "
            f"that share {overlap}; for others: --tile N, for none: --tile 0"
        )


def say(line: str) -> None:
    sys.stderr.write(f"cellmm predict: {line}\n")


def write_maps(stem: Path, maps: BaseDataElement) -> None:
    """Write each map of ``pred_semantic`` to ``<stem>_<target>.tif``."""
    for target, probs in maps.items():
        write_map(stem.with_name(f"{stem.name}_{target}.tif"), probs.numpy())


def main(argv: Sequence[str] | None = None) -> int:
    """Predict; returns 1 if a file could not be used. Each such file is one line, and the others are written.

    What an earlier run wrote into ``--out`` goes to ``earlier/<time>`` there. This one writes ``cells.json``
    (COCO: images, annotations with RLE and score) and ``overlays/``, and ``maps/``, one 16 bit TIFF (65535
    is 1) per map, with ``--maps`` or if the model gives no cells.
    """
    args = parse_args(argv)
    options = {**(args.cfg_options or {}), **tile_options(args)}
    check_writable(args.out / CELLS)
    refuse_results(args.inputs, args.out)
    refuse_other_folders(args.out)
    earlier = [path for path in (args.out / EARLIER).glob("*") if re.match(r"\d{8}_\d{6}", path.name)]
    paths, labels, old = find_images(args.inputs, leave_out=[args.out / OVERLAYS, args.out / MAPS, *earlier])
    refuse_results(paths, args.out)
    if labels:
        say(f"label files beside their images are left out, {name_some(label.name for label in labels)}")
    if old:
        say(f"results of earlier runs in {args.out} are left out, {name_some(old)}")
    inferencer = CellInferencer(args.config, args.checkpoint, args.device, options, whole=args.tile == 0)
    done, samples, failed, without_cells = [], [], [], False
    results = tqdm(
        inferencer(paths, args.batch_size), total=len(paths), desc="predict", unit="image", file=sys.stderr
    )
    for i, ((path, sample), name, picture) in enumerate(zip(results, *name_images(paths), strict=True)):
        if i == 0 and (folder := put_away([args.out / name for name in (CELLS, OVERLAYS, MAPS)], args.out)):
            say(f"what {args.out} held of an earlier run is now in {folder}")
        if isinstance(sample, CellMMError):
            failed.append(sample)
            continue
        maps = sample.pop("pred_semantic", None)  # maps of all images would fill the memory
        if maps is None and args.maps:
            raise CellMMError("--maps: the model gives no maps, it has no SemanticHead; leave --maps out")
        without_cells = "pred_instances" not in sample
        if maps is None and without_cells:
            raise CellMMError(
                f"{path}: the model gives neither cells nor maps; set model.instance_head to the head that "
                "gives the cells"
            )
        if args.maps or without_cells:
            write_maps(mark(args.out / MAPS) / Path(picture).with_suffix(""), maps)
        if without_cells:
            continue
        found = sample.pred_instances
        found = sample.pred_instances = found[found.scores >= args.score_thr]
        if not args.no_overlays:
            try:
                check_memory("it", sample.ori_shape, BYTES_A_PIXEL)
                drawn = draw_instances(inferencer.read_image(path), found.masks, found.scores.tolist())
                save_picture(mark(args.out / OVERLAYS) / picture, drawn)
            except (CellMMError, MemoryError) as error:
                failed.append(CellMMError(f"{path}: it cannot be drawn ({error}): use --no-overlays"))
        done.append(name)
        samples.append(sample)
    if done:
        content = samples_to_coco(done, samples, inferencer.classes, inferencer.category_ids)
        write_coco(args.out / CELLS, content)
        number = sum(len(sample.pred_instances) for sample in samples)
        print(
            f"{number} cells with a score of {args.score_thr:g} or more in {len(done)} images: "
            f"{args.out / CELLS}"
        )
    if without_cells:
        say(f"the model gives maps and no cells: maps are in {args.out / MAPS}")
    tell_tiles(inferencer, args.tile)
    for error in failed:
        say(" ".join(str(error).splitlines()))
    return 1 if failed else 0
