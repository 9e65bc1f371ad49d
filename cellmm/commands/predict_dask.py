"""`cellmm predict --dask`: plan, run the pieces on dask's workers, merge."""

import functools
import json
import shutil
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from cellmm.apis.inferencer import CellInferencer
from cellmm.apis.settings import settings_of
from cellmm.apis.workers import StreamPlan
from cellmm.commands.predict import (
    checked_places,
    choices,
    find_files,
    predict,
    say,
    stderr_of_its_own,
    stream_plan,
)
from cellmm.commands.tiles import model_options, plan_files
from cellmm.errors import CellMMError
from cellmm.results.run_folder import InputFile, RunFolder, stamp_of
from cellmm.tiles.dask_clusters import connect
from cellmm.tiles.dask_driver import run_pieces
from cellmm.tiles.merge import read_from_pieces
from cellmm.tiles.pieces import is_finished
from cellmm.tiles.plan import PLAN, PiecePlan, plan_hash

PIECES = "pieces"  # the folder of the plan, below --out
FEWEST, FILES = 64, 16  # pieces at least; files per piece at most


def main(args: Namespace, words: Sequence[str]) -> int:
    """Predict on dask's workers what is not finished, then write the results as `cellmm predict` does.

    Args:
        words: the options as given.
    """
    if args.batch_size != 1:
        raise CellMMError("--dask takes no --batch-size: workers predict image by image")
    stream, folder = stream_plan(args), (args.out / PIECES).absolute()
    places = checked_places(stream, args.inputs)
    _refuse_others(folder)
    if not args.resume:
        shutil.rmtree(folder, ignore_errors=True)
    files = find_files(args, places.left_out())
    places.refuse_results(file.path for file in files)
    inferencer = stream.build_inferencer()
    missing = _unfinished(args, stream, inferencer, files)
    if missing:
        if not _continues(args, stream, inferencer, folder, missing):
            number = max(FEWEST, len(missing) // FILES)
            plan_files(args, stream, inferencer, missing, number, arguments=words).write(folder)
        _run(args, folder)
        stream = stream_plan(args, functools.partial(read_from_pieces, folder=folder))
    status = predict(args, stream, files)
    shutil.rmtree(folder, ignore_errors=True)
    return status


def _refuse_others(folder: Path) -> None:
    """Raise CellMMError where the folder of the pieces holds anything else."""
    if folder.exists() and not (folder / PLAN).exists() and any(folder.iterdir()):
        raise CellMMError(f"{folder} holds files that are not of --dask: name another folder with --out")


def _unfinished(
    args: Namespace, stream: StreamPlan, inferencer: CellInferencer, files: list[InputFile]
) -> list[InputFile]:
    """The files that pieces are needed for.

    Raises:
        CellMMError: the run that is to go on has other settings.
    """
    if not stream.resumes:
        return files
    settings = settings_of(inferencer, args.checkpoint, choices(args, inferencer), args.ensemble)
    RunFolder(args.out).check_settings(settings)
    return stream.build(inferencer, begin=lambda: None).to_predict(files)


def _continues(
    args: Namespace, stream: StreamPlan, inferencer: CellInferencer, folder: Path, files: list[InputFile]
) -> bool:
    """Whether the pieces in ``folder`` are of these files and options.

    Raises:
        CellMMError: they are of other options.
    """
    if not (folder / PLAN).exists():
        return False
    plan = PiecePlan.read(folder)
    theirs = plan.settings | plan.inferencer | {"--maps": plan.maps}
    ours = (
        settings_of(inferencer, args.checkpoint, {}, args.ensemble)
        | model_options(stream)
        | {"--maps": args.maps}
    )
    ours = json.loads(json.dumps(ours))
    if changed := [key for key in ours if ours[key] != theirs.get(key)]:
        raise CellMMError(
            f"--resume: {folder} was begun with another {', another '.join(changed)}: give the same, or "
            "leave out --resume to begin anew"
        )
    planned = set(zip(plan.files, plan.stamps, strict=True))
    wanted = {(replace(file, path=file.path.absolute()), stamp_of(file.path)) for file in files}
    if wanted <= planned:
        return True
    say(f"--resume: there are other images than in the plan in {folder}; all pieces are predicted again")
    return False


def _run(args: Namespace, folder: Path) -> None:
    """Predict the pieces that are not finished."""
    mark, total = plan_hash(folder), len(PiecePlan.read(folder).pieces)
    missing = [number for number in range(total) if not is_finished(folder, number, mark)]
    done = total - len(missing)
    if done:
        say(f"{done} of {total} pieces are finished already")
    if not missing:
        return
    with connect(args.dask) as client, stderr_of_its_own() as stream:
        workers = len(client.scheduler_info(n_workers=-1)["workers"])
        say(
            f"--dask {args.dask}: {workers} workers so far, others join when they start; the dashboard is at "
            f"{client.dashboard_link}"
        )
        try:
            with tqdm(total=total, initial=done, desc="pieces", unit="piece", file=stream) as bar:
                for _ in run_pieces(client, folder, missing, args.device):
                    done += 1
                    bar.update()
        except (KeyboardInterrupt, CellMMError):
            say(f"{done} of {total} pieces are finished: the same command with --resume goes on from there")
            raise
