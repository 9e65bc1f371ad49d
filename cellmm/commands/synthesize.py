"""`cellmm synthesize`: an annotated set of any size from a few annotated images and a generator."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import DictAction

from cellmm.apis.settings import settings_of
from cellmm.engine.preflight import tell_channels
from cellmm.errors import CellMMError
from cellmm.io.checkpoint_files import best_checkpoint
from cellmm.io.files import locked_folder
from cellmm.io.memory import check_memory
from cellmm.synthesis import SetFolder, load_generator, open_sources, paste_field
from cellmm.synthesis.make_set import make_set
from cellmm.synthesis.options import add_options, field_options, settings_of_fields
from cellmm.synthesis.sheet import draw_sheet
from cellmm.visualization import save_picture
from cellmm.zoo import resolve_model

SHEET = "contact_sheet.png"
SOURCES = "JSON, IMG_DIR, --first, --test or --nuclei-dir"
BYTES_A_PIXEL = 60  # of the fields that are pasted ahead, their cells, and what becomes of them


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="cellmm synthesize",
        description="Make annotated images from a few: paste cells of annotated phase contrast images "
        "together, and translate the result into brightfield with a trained generator (configs/pix2pix). "
        "docs/how_to/synthesize.md",
    )
    add_options(parser, number=1000, size=1024)
    parser.add_argument("--model", help="the generator: the folder of its training, or a checkpoint in it")
    parser.add_argument("--config", help="the config that the generator was trained with")
    parser.add_argument("--checkpoint", help="with --config: its weights")
    parser.add_argument("--device", default="auto", help="cpu, cuda, ...; default: a GPU if available")
    parser.add_argument(
        "--resume", action="store_true", help="go on with a set that was stopped, or add images to it"
    )
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, metavar="KEY=VALUE", help="change values of the config"
    )
    args = parser.parse_args(argv)
    if args.model is None and (args.config is None or args.checkpoint is None):
        parser.error("give --model, or --config and --checkpoint")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Make the set. Raises CellMMError for errors that the user can correct.

    What is finished of each image is on disk before the next image is. ``--resume`` goes on from there, and
    ends with the same files as a run that was not stopped.
    """
    args = parse_args(argv)
    options = field_options(args)
    check_memory(f"--size {args.size[0]} {args.size[1]}", args.size, BYTES_A_PIXEL)
    config, checkpoint = choose_generator(args)
    generator = load_generator(config, checkpoint, args.device, args.seed, args.cfg_options)
    sources = open_sources(args.ann_file, args.img_dir, args.nuclei_dir, args.test, args.first)
    tell_channels(sources.dataset.pipeline.transforms, generator.trained.model)
    sources.check = generator.check
    paste_field(sources, 1, options)  # refuses images of another kind before anything is written
    device = generator.trained.model.data_preprocessor.device.type
    settings = settings_of(
        generator.trained,
        checkpoint,
        {
            SOURCES: sources.digest(),
            **settings_of_fields(args),
            "--device": device,
        },
    )
    folder = SetFolder(args.out)
    with locked_folder(args.out, "`cellmm synthesize`"):
        done = folder.go_on(settings) if args.resume else folder.begin(settings)
        if done > args.number:
            raise CellMMError(f"{args.out} holds {done} images already: give --number {done} or more")
        counts = make_set(folder, sources, options, args.number, generator=generator, done=done)
        save_picture(args.out / SHEET, draw_sheet(args.out, sources, options, counts.images))
    sys.stdout.write(f"{args.out}: {counts}; look at {args.out / SHEET}\n")


def choose_generator(args: argparse.Namespace) -> tuple[Path, Path | None]:
    """The config and the weights that the options name; CellMMError where there are none."""
    if args.config is None:
        return resolve_model(args.model, args.checkpoint)
    return resolve_model(args.config, best_checkpoint(args.checkpoint or args.model))
