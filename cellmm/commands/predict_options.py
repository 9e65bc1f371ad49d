"""The options of ``cellmm predict``."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import DictAction

from cellmm.config.load import load_config
from cellmm.errors import CellMMError
from cellmm.io.checkpoint_files import best_checkpoint
from cellmm.zoo import check_weights, resolve_model

OVERLAYS = "png"
TTA = ("flips", "turns")  # as cellmm.models.views, which would import torch
DEFAULT = f"coco,{OVERLAYS}"


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cellmm predict", description="Find the cells in images.")
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="image files, folders of them, patterns such as 'day*/*.tif', COCO json files, and '-' for a "
        "list on the standard input",
    )
    parser.add_argument(
        "--model",
        action="append",
        help="a model that comes with cellmm (`cellmm models` lists them), the folder of a training, or a "
        "published file that names its config, a zip file of `cellmm export`, or a config whose model has no "
        "weights; given several times: an ensemble of these models",
    )
    parser.add_argument("--config", help="in place of --model: the config that the model was trained with")
    parser.add_argument(
        "--checkpoint",
        action="append",
        help="a .pth file that training wrote, or its folder; default: that of --model; given several times: "
        "an ensemble",
    )
    parser.add_argument("--out", required=True, type=Path, help="folder for the results")
    parser.add_argument(
        "--save",
        default=DEFAULT,
        metavar="FORMAT,FORMAT",
        help=f"what is written; default: {DEFAULT}; docs/how_to/outputs.md describes the formats",
    )
    parser.add_argument("--no-overlays", action="store_true", help="write no pictures")
    parser.add_argument(
        "--maps",
        action="store_true",
        help="write the maps of probabilities too; those of a model without cells are written anyway",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with a run that was stopped, or make further formats of a finished one",
    )
    parser.add_argument("--score-thr", type=float, default=0.3, help="leave out cells that score less")
    add_tta(parser)
    _add_machine(parser)
    _add_tiles(parser)
    _add_reading(parser)
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, metavar="KEY=VALUE", help="change values of the config"
    )
    args = parser.parse_args(argv)
    _choose_model(args)
    return args


def _choose_model(args: argparse.Namespace) -> None:
    """Set ``config`` and ``checkpoint`` by ``--model``, and ``ensemble`` to (config, checkpoint) of others.

    Raises:
        CellMMError: too many or too few of the three options are given, or there is no such model.
    """
    models, checkpoints = args.model or [None], args.checkpoint or [None]
    if len(models) > 1 and args.checkpoint:
        raise CellMMError("--checkpoint goes with one --model; name the folder of each training as --model")
    args.model, args.checkpoint = models[0], checkpoints[0]
    if (args.model is None) == (args.config is None):
        raise CellMMError("give --model NAME (`cellmm models` lists them), or --config and --checkpoint")
    if args.model is not None:
        config, checkpoint = resolve_model(args.model, args.checkpoint)
        args.config, args.checkpoint = str(config), None if checkpoint is None else str(checkpoint)
    elif args.checkpoint is None:
        check_weights(load_config(args.config).get("model"), f"--config {args.config}", None)
    else:
        args.checkpoint = str(best_checkpoint(args.checkpoint))
    others = [(model, *resolve_model(model)) for model in models[1:]]
    if none := [model for model, _, weights in others if weights is None]:
        raise CellMMError(
            f"--model {none[0]}: has no weights, and an ensemble averages networks; leave it out"
        )
    args.ensemble = [[str(config), str(weights)] for _, config, weights in others]
    args.ensemble += [[args.config, str(best_checkpoint(checkpoint))] for checkpoint in checkpoints[1:]]


def add_tta(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tta",
        choices=TTA,
        help="test-time augmentation: predict 4 mirrored views of each image, or with turns 8, and take the "
        "mean, which takes 4 or 8 times as long; docs/how_to/tta_and_ensembles.md",
    )


def _add_machine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, ...; for ONNX also openvino; default: a GPU if available"
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        default=1,
        help="how many images of the same shape go through the model at once",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="processes that predict at the same time, each on its share of the cores; default: 1",
    )
    parser.add_argument(
        "--dask",
        metavar="local[:N]|slurm[:N]|ADDRESS",
        help="predict on workers of dask: N processes here, N jobs of SLURM, or those of a scheduler such as "
        "tcp://host:8786; docs/how_to/clusters.md",
    )


def _add_tiles(parser: argparse.ArgumentParser) -> None:
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


def _add_reading(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--channels",
        nargs="+",
        type=_number_or_name,
        metavar="C",
        help="the channels for the model, as numbers from 0 or names; default: as the config, else all",
    )
    parser.add_argument("--level", type=int, metavar="N", help="of a pyramid; 0, the default, is the finest")
    parser.add_argument("--time", type=int, metavar="N", help="only this time point, from 0; default: all")
    parser.add_argument(
        "--position", type=int, metavar="N", help="only this field of view, from 0; default: all"
    )
    parser.add_argument(
        "--z",
        type=_number_or_name,
        metavar="max|channels|N",
        help="of several focal planes: their maximum, all of them as channels, or one of them",
    )
    parser.add_argument(
        "--pixel-size", type=float, metavar="UM", help="micrometres per pixel, in place of what files state"
    )
    parser.add_argument(
        "--diameter",
        type=float,
        metavar="PX",
        help="how many pixels a cell is across in these images; they are scaled to the cells of training",
    )


def _number_or_name(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def formats_of(args: argparse.Namespace) -> str:
    """The formats that ``--save`` and ``--no-overlays`` leave, for ``build_writers``."""
    formats = [name.strip() for name in args.save.split(",") if name.strip()]
    if args.no_overlays:
        formats = [text for text in formats if names_of(text) != [OVERLAYS]]
    return ",".join(formats)


def names_of(save: str) -> list[str]:
    """The names of the formats of ``--save``, without their options."""
    return [text.strip().partition(":")[0] for text in save.split(",")]


def read_options(args: argparse.Namespace) -> dict[str, Any]:
    """The fields of ReadOptions that the command line sets.

    Raises:
        CellMMError: a number below 0, or a pixel size that is not above 0.
    """
    names = ("channels", "level", "time", "position", "z")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    for name in ("level", "time", "position"):
        if given.get(name, 0) < 0:
            raise CellMMError(f"--{name} {given[name]}: count from 0")
    if isinstance(given.get("z"), str) and given["z"] not in ("max", "channels"):
        raise CellMMError(f"--z {given['z']}: give max, channels or a number from 0")
    if args.pixel_size is not None:
        if not 0 < args.pixel_size < float("inf"):
            raise CellMMError(f"--pixel-size {args.pixel_size:g}: give micrometres, above 0")
        given["pixel_size"] = (args.pixel_size, args.pixel_size)
    return given


def tta_options(args: argparse.Namespace) -> dict[str, str]:
    """The config's change that ``--tta`` asks for."""
    return {} if args.tta is None else {"model.tta": args.tta}


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
