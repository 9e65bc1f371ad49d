"""`cellmm tiles plan | run | merge`: large images and folders in pieces that any machine can take."""

import argparse
import functools
import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cellmm.apis.inferencer import CellInferencer
from cellmm.apis.settings import settings_of
from cellmm.apis.workers import StreamPlan
from cellmm.commands.predict import find_files, predict, stream_plan
from cellmm.commands.predict_options import parse_args as predict_args
from cellmm.commands.predict_places import Places
from cellmm.errors import CellMMError
from cellmm.io.files import check_writable
from cellmm.results.run_folder import InputFile
from cellmm.tiles.merge import check_finished, read_from_pieces
from cellmm.tiles.pieces import is_finished
from cellmm.tiles.plan import PLAN, PiecePlan, make_plan
from cellmm.tiles.run import load_model, run_piece


def parse_args(argv: Sequence[str] | None = None) -> tuple[Namespace, list[str]]:
    """The options of the three commands, and those that are handed on to `cellmm predict`."""
    parser = argparse.ArgumentParser(
        prog="cellmm tiles",
        description="Predict in pieces: plan once, run each piece anywhere and in any order, then merge. The "
        "results are those of `cellmm predict` with the same options.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="plan|run|merge")
    plan = commands.add_parser(
        "plan", help="cut images into pieces: cellmm tiles plan INPUT --config C --checkpoint W --out DIR"
    )
    plan.add_argument("--pieces", type=int, default=64, metavar="N", help="how many; default: 64")
    plan.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder of the plan and pieces")
    plan.epilog = "INPUT and all other options are those of `cellmm predict`."
    run = commands.add_parser("run", help="predict pieces; those that are finished are not done again")
    run.add_argument("folder", type=Path, metavar="DIR", help="folder of the plan")
    run.add_argument(
        "--piece",
        nargs="+",
        metavar="N",
        help="numbers from 0 and ranges such as 8-15; default: all; a number of a job array will do: "
        "--piece $SLURM_ARRAY_TASK_ID",
    )
    run.add_argument("--device", default="auto", help="cpu, cuda, ...; default: a GPU if available")
    merge = commands.add_parser("merge", help="write the results of all pieces, as `cellmm predict` does")
    merge.add_argument("folder", type=Path, metavar="DIR", help="folder of the plan")
    merge.add_argument("--out", required=True, type=Path, help="folder for the results")
    merge.epilog = "Further options of `cellmm predict`, such as --save and --device, go before or after."
    args, rest = parser.parse_known_args(argv)
    if args.command == "run" and rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return args, rest


def main(argv: Sequence[str] | None = None) -> int:
    """Plan, run or merge; the exit status is 1 if a file could not be used."""
    args, rest = parse_args(argv)
    if args.command == "plan":
        return plan(args, rest)
    if args.command == "run":
        return run(args)
    return merge(args, rest)


def plan(args: Namespace, rest: Sequence[str]) -> int:
    """Write ``plan.json``; the same plan leaves finished pieces valid."""
    options = predict_args([*rest, "--out", str(args.out)])
    if options.batch_size != 1 or options.workers != 1 or options.resume or options.dask is not None:
        raise CellMMError(
            "cellmm tiles plan takes no --batch-size, --workers, --resume and --dask: pieces are predicted "
            "image by image, and several at a time where `cellmm tiles run` is started several times"
        )
    check_writable(args.out / PLAN)
    found = find_files(options, Places(args.out, []).left_out())
    stream = stream_plan(options)
    pieces = plan_files(options, stream, stream.build_inferencer(), found, args.pieces, arguments=rest)
    pieces.write(args.out)
    tiles = sum(len(image.areas) for image in pieces.images if image.tiles is not None)
    whole = sum(image.tiles is None and image.error is None for image in pieces.images)
    if failed := len(found) - len({image.file for image in pieces.images if image.error is None}):
        say(f"{failed} of {len(found)} files cannot be predicted; merge says why")
    print(f"{args.pieces} pieces of {tiles} tiles and {whole} whole images: {args.out / PLAN}")
    return 0


def plan_files(
    options: Namespace,
    stream: StreamPlan,
    inferencer: CellInferencer,
    files: Sequence[InputFile],
    num_pieces: int,
    *,
    arguments: Sequence[str],
) -> PiecePlan:
    """The plan of ``files`` with the options of `cellmm predict`; ``arguments``: these options as words."""
    return make_plan(
        inferencer,
        files,
        num_pieces,
        arguments=arguments,
        options=model_options(stream),
        settings=settings_of(inferencer, options.checkpoint, {}, options.ensemble),
        maps=options.maps,
    )


def model_options(stream: StreamPlan) -> dict[str, Any]:
    """The arguments of CellInferencer that a plan keeps: all but the device, with whole paths."""
    arguments = {key: value for key, value in stream.inferencer.items() if key != "device"}
    arguments["ensemble"] = [[str(Path(file).absolute()) for file in pair] for pair in arguments["ensemble"]]
    paths = {key: arguments[key] for key in ("config", "checkpoint") if arguments[key] is not None}
    return arguments | {key: str(Path(path).absolute()) for key, path in paths.items()}


def run(args: Namespace) -> int:
    """Predict the pieces that are not finished."""
    pieces = PiecePlan.read(args.folder)
    numbers = piece_numbers(args.piece, len(pieces.pieces))
    missing = [number for number in numbers if not is_finished(args.folder, number, pieces.mark)]
    if len(missing) < len(numbers):
        say(f"{len(numbers) - len(missing)} of {len(numbers)} pieces are finished already")
    if not missing:
        return 0
    inferencer = load_model(pieces, args.device)
    for number in missing:
        units = run_piece(args.folder, pieces, inferencer, number)
        say(f"piece {number}: {units} tiles and images")
    return 0


def merge(args: Namespace, rest: Sequence[str]) -> int:
    """Write the results of all pieces."""
    pieces = PiecePlan.read(args.folder)
    check_finished(args.folder, pieces)
    options = predict_args([*pieces.arguments, *rest, "--out", str(args.out)])
    options.config, options.checkpoint = (pieces.inferencer.get(key) for key in ("config", "checkpoint"))
    options.ensemble = pieces.inferencer.get("ensemble", [])
    stream = stream_plan(options, functools.partial(read_from_pieces, folder=args.folder.absolute()))
    own = json.loads(json.dumps(stream.inferencer))
    changed = [key for key, value in pieces.inferencer.items() if own[key] != value]
    if changed or options.maps > pieces.maps:
        what = ", ".join(changed) or "maps"
        raise CellMMError(f"cellmm tiles merge: {what} differ from the plan: plan again with these options")
    return predict(options, stream, pieces.files)


def piece_numbers(words: Sequence[str] | None, total: int) -> list[int]:
    """The pieces that ``--piece`` names, of ``total``.

    Raises:
        CellMMError: not numbers, or pieces that the plan does not have.

    >>> piece_numbers(["3", "5-7"], 8)
    [3, 5, 6, 7]
    """
    if words is None:
        return list(range(total))
    numbers = []
    for word in words:
        first, dash, last = word.partition("-")
        last = last if dash else first
        if not first.isdecimal() or not last.isdecimal() or int(first) > int(last):
            raise CellMMError(f"--piece {word}: give numbers from 0 and ranges such as 8-15")
        numbers += range(int(first), int(last) + 1)
    if numbers and max(numbers) >= total:
        raise CellMMError(f"--piece {max(numbers)}: the plan has pieces 0 to {total - 1}")
    return sorted(set(numbers))


def say(line: str) -> None:
    sys.stderr.write(f"cellmm tiles: {line}\n")
