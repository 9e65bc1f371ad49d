"""`cellmm propose`: cells for a person to correct, the images first that the model is least sure of."""

import argparse
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from cellmm.apis.workers import StreamPlan
from cellmm.commands.predict import find_files, predict, stream_plan
from cellmm.commands.predict_options import DEFAULT
from cellmm.commands.predict_options import parse_args as predict_args
from cellmm.config.load import load_config
from cellmm.errors import CellMMError
from cellmm.io.files import check_writable, locked_folder, put_away
from cellmm.io.image_folders import short_name
from cellmm.io.sources import ImageSource
from cellmm.labelling import (
    PROGRAMS,
    Proposals,
    RankedImage,
    Shapes,
    least_score,
    programs_of,
    rank_images,
    write_ranking,
)
from cellmm.labelling.labelled import LabelledImages
from cellmm.labelling.mirrored import mirror_images
from cellmm.labelling.per_image import KEPT
from cellmm.labelling.pictures import FRAMES, PICTURES, WrittenImages, write_images
from cellmm.labelling.shapes import KINDS
from cellmm.messages import name_some
from cellmm.results.run_folder import InputFile, Record, RunFolder
from cellmm.results.writers import tell_losses

MARK = ".cellmm-propose"  # an empty file that marks the folders of proposals
RANKING = "ranking.csv"
PREDICTIONS, MIRRORED = "predictions", "predictions-mirrored"
RESULTS = (RANKING, PICTURES, FRAMES, PREDICTIONS, MIRRORED, *PROGRAMS)


def parse_args(argv: Sequence[str] | None = None) -> tuple[Namespace, list[str]]:
    """The options of the command, and those that are handed on to `cellmm predict`."""
    parser = argparse.ArgumentParser(
        prog="cellmm propose",
        allow_abbrev=False,
        usage="cellmm propose IMAGES --model NAME --for PROGRAMS --out DIR [options]",
        description="Predict cells and write them as shapes that a person corrects, with a list of the "
        "images ranked by what the model is least sure of.",
        epilog="IMAGES, --model and all other options, such as --tile, --diameter and --workers, are those "
        "of `cellmm predict`.",
    )
    parser.add_argument(
        "--for",
        dest="programs",
        required=True,
        metavar="PROGRAM,PROGRAM",
        help=f"where cells are corrected: {', '.join(PROGRAMS)}",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the proposals")
    parser.add_argument(
        "--first",
        type=int,
        metavar="N",
        help="write the N images that the model is least sure of; default: all",
    )
    parser.add_argument(
        "--mirror",
        action="store_true",
        help="predict the mirror image of each image too, and rank by where the two differ as well; takes "
        "twice as long",
    )
    parser.add_argument(
        "--shapes",
        default=Shapes.kind,
        choices=KINDS,
        help="of cells in Label Studio and CVAT: masks are exact, polygons have corners; default: "
        "%(default)s",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=Shapes.tolerance,
        metavar="PX",
        help="how far polygons may be from the edges of the pixels; 0: exact; default: %(default)s",
    )
    parser.add_argument(
        "--score-thr", type=float, default=0.3, help="cells that score less are not proposed; default: 0.3"
    )
    parser.add_argument(
        "--labelled",
        action="append",
        default=[],
        type=Path,
        metavar="FOLDER",
        help="leave out images that are annotated in this folder, such as those of earlier rounds; several: "
        "give it again",
    )
    parser.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    return parser.parse_known_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Propose; returns 1 if an image could not be used. Each such image is one line, and the others are
    written.

    ``--resume`` goes on with a run that was stopped; without it, what an earlier run wrote into ``--out``
    goes to ``earlier/<time>`` there.
    """
    args, rest = parse_args(argv)
    programs, shapes = programs_of(args.programs), Shapes(args.shapes, args.tolerance)
    if args.first is not None and args.first < 1:
        raise CellMMError(f"--first {args.first}: 1 or more is needed")
    options, threshold = model_options(args, rest)
    stream = stream_plan(options)
    check_folder(args.out, options.inputs)
    labelled = LabelledImages.of(args.labelled)
    files = unlabelled(find_files(options, [args.out]), labelled)
    with locked_folder(args.out, "`cellmm propose`"):
        if not args.resume and (earlier := put_away([args.out / name for name in RESULTS], args.out)):
            say(f"what {args.out} held of earlier proposals is now in {earlier}")
        (args.out / MARK).touch()
        status = predict(options, stream, files)
        run = RunFolder(stream.out)
        records = [record for record in _records(run) if record.cells is not None]
        if not records:
            raise CellMMError(
                f"{name_some(options.inputs)}: no image could be used, or the model gives no cells; try "
                "other images, or another model"
            )
        inferencer = stream.build_inferencer()
        by_name = {file.name: file for file in files}

        def open_source(record: Record) -> ImageSource:
            file = by_name[record.file]
            return inferencer.open(file.path, name=file.stem)[record.number]

        records = unlabelled_frames(records, labelled, open_source)
        mirror_run = predict_mirrored(args, options, stream, files, records) if args.mirror else None
        ranked = rank_images(run, records, threshold, mirror_run)
        tell_ranking(ranked, mirrored=args.mirror)
        pictures = any(program.pictures for program in programs)
        written = write_images(args.out, ranked, args.first, open_source, pictures=pictures)
        tell_images(args.out, written)
        proposals = Proposals(run, written.images, threshold)
        for program in programs:
            losses = program.write(args.out, proposals, shapes)
            if kept := losses.pop(KEPT, 0):
                say(f"{program.name}: kept {kept} {KEPT}")
            if line := tell_losses(program.name, losses):
                say(line)
        write_ranking(args.out / RANKING, ranked, {image.record.stem for image in written.images})
    for line in written.failures:
        say(line)
    print(f"{len(written.images)} of {len(records)} images to correct: {args.out}")
    return 1 if written.failures else status


def model_options(args: Namespace, rest: Sequence[str]) -> tuple[Namespace, float]:
    """The options of `cellmm predict`, and the score from which cells are proposed.

    That is ``--score-thr``, or the threshold of the model's own head where it is higher, as for `cellmm
    predict`. The model's own is lowered: cells below it say what the model is unsure of.

    Raises:
        CellMMError: an option that proposals do not have.
    """
    if not 0 <= args.score_thr <= 1:
        raise CellMMError(f"--score-thr {args.score_thr:g}: scores are 0 to 1")
    more = ["--out", str(args.out / PREDICTIONS), *(["--resume"] if args.resume else [])]
    options = predict_args([*rest, *more])
    if options.save != DEFAULT or options.no_overlays or options.maps or options.dask is not None:
        raise CellMMError("cellmm propose takes no --save, --no-overlays, --maps and --dask: leave them out")
    options.save = ""
    key, own = own_threshold(options)
    threshold = max(args.score_thr, own)
    options.score_thr = least_score(threshold)
    if own > options.score_thr:
        options.cfg_options = {**(options.cfg_options or {}), key: options.score_thr}
    return options, threshold


def own_threshold(options: Namespace) -> tuple[str, float]:
    """The key of the threshold of the head that gives the cells, and its value; 0: the config has none."""
    model = load_config(options.config, options.cfg_options).get("model", {})
    name = model.get("instance_head", "instances")
    head = (model.get("heads") or {}).get(name) or {}
    value = (head.get("test_cfg") or {}).get("score_thr")
    return f"model.heads.{name}.test_cfg.score_thr", 0.0 if value is None else float(value)


def check_folder(out: Path, inputs: Iterable[str]) -> None:
    """Raise CellMMError where the folder cannot be written, is not of proposals, or holds an input."""
    check_writable(out / MARK)
    folder = out.resolve()
    for name in inputs:
        path = Path(name).resolve()
        if name != "-" and folder in (path, *path.parents):
            raise CellMMError(f"{name} is in {out}, where proposals go: name another folder with --out")
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).exists():
        raise CellMMError(
            f"{out} holds files that are not of `cellmm propose`: name another folder with --out"
        )


def unlabelled(files: Sequence[InputFile], labelled: LabelledImages) -> list[InputFile]:
    """The files that are still to be labelled; how many are not is told.

    Raises:
        CellMMError: all are labelled.
    """
    done = [file.name for file in files if labelled.hold(file.path)]
    if done and len(done) == len(files):
        raise CellMMError(f"all images are labelled already, {name_some(done)}: give others")
    if done:
        say(f"images that are labelled already are left out, {name_some(done)}")
    return [file for file in files if file.name not in set(done)]


def unlabelled_frames(
    records: Sequence[Record], labelled: LabelledImages, open_source: Callable[[Record], ImageSource]
) -> list[Record]:
    """The records but those of frames that are labelled; how many these are is told.

    Raises:
        CellMMError: none is left.
    """
    frames = [record for record in records if record.total > 1]
    done = [record.stem for record in frames if labelled.hold_frame(open_source(record), record.stem)]
    if done and len(done) == len(records):
        raise CellMMError(
            f"all images that could be used are labelled already, {name_some(done)}: give others"
        )
    if done:
        say(f"frames that are labelled already are left out, {name_some(done)}")
    return [record for record in records if record.stem not in set(done)]


def predict_mirrored(
    args: Namespace,
    options: Namespace,
    stream: StreamPlan,
    files: Sequence[InputFile],
    records: Sequence[Record],
) -> RunFolder:
    """Predict the mirror images of those images that could be used."""
    out = args.out / MIRRORED
    usable = {record.file for record in records}
    predict(
        Namespace(**{**vars(options), "out": out}),
        replace(stream, out=out, set_up=mirror_images, resumes=args.resume and RunFolder(out).exists),
        [file for file in files if file.name in usable],
    )
    return RunFolder(out)


def tell_ranking(ranked: Sequence[RankedImage], *, mirrored: bool) -> None:
    """Say where the ranking cannot tell images apart."""
    blank = [image.record.name for image in ranked if image.uncertainty.is_blank]
    if blank:
        say(
            f"images in which nothing is found come last in {RANKING}, {name_some(blank)}; label those that "
            "hold cells first"
        )
    others = {image.uncertainty.score for image in ranked if not image.uncertainty.is_blank}
    if len(ranked) - len(blank) > 1 and len(others) == 1 and not mirrored:
        say("the model is as sure of each image as of the others: --mirror may tell them apart")


def tell_images(out: Path, written: WrittenImages) -> None:
    """Say which files an image is trained with, where that is not the one that is shown."""
    if written.stretched:
        say(
            f"{written.stretched} images are shown as copies of 8 bits with stretched contrast, in "
            f"{out / PICTURES}; train with the images themselves"
        )
    if written.frames:
        say(
            f"{written.frames} images are out of stacks: each is a TIFF of its own in {out / FRAMES}; train "
            "with these"
        )
    records = [image.record for image in written.images]
    if other := [record.name for record in records if record.total == 1 and not _pairs(record)]:
        say(
            "names that an image shares with another but for its suffix, or that are too long, are changed, "
            f"{name_some(other)}: rename these images before they are labelled"
        )


def _pairs(record: Record) -> bool:
    """Whether the files of an image have its name without the suffix."""
    return short_name(Path(record.file)).as_posix() == record.stem


def _records(run: RunFolder) -> list[Record]:
    return run.records() if run.exists else []


def say(line: str) -> None:
    sys.stderr.write(f"cellmm propose: {line}\n")
