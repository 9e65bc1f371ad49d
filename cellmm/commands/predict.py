"""`cellmm predict`: cells in files and folders of images."""

import contextlib
import functools
import importlib
import io
import os
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from cellmm import __version__
from cellmm.apis.inferencer import CellInferencer
from cellmm.apis.run_summary import RunSummary
from cellmm.apis.settings import settings_of
from cellmm.apis.stream import MAPS, Outcome, collect
from cellmm.apis.workers import StreamPlan, run_in_processes
from cellmm.commands.predict_options import (
    OVERLAYS,
    formats_of,
    names_of,
    parse_args,
    read_options,
    tile_options,
    tta_options,
)
from cellmm.commands.predict_places import Places, check_resumed, input_files
from cellmm.errors import CellMMError
from cellmm.io.files import locked_folder
from cellmm.io.image_folders import find_images
from cellmm.messages import name_some
from cellmm.results.report import ReportRow
from cellmm.results.run_folder import InputFile, RunFolder, failure_of
from cellmm.results.writers import CollectingWriter, build_writers, tell_losses


def main(argv: Sequence[str] | None = None) -> int:
    """Predict; returns 1 if a file could not be used or written. Each such file is one line, and the others
    are written.

    What is finished of each image is on disk before the next image is. ``--resume`` goes on from there;
    without it, what an earlier run wrote into ``--out`` goes to ``earlier/<time>`` there.
    """
    args = parse_args(argv)
    if args.dask is not None:
        return importlib.import_module("cellmm.commands.predict_dask").main(args, argv or sys.argv[1:])
    return predict(args, stream_plan(args))


def stream_plan(args: Namespace, set_up: Callable[[CellInferencer], None] | None = None) -> StreamPlan:
    """What the options ask for; ``set_up``: see StreamPlan.

    Raises:
        CellMMError: options that do not go together, or a number that is too small.
    """
    for name in ("batch_size", "workers"):
        if getattr(args, name) < 1:
            raise CellMMError(f"{name} is {getattr(args, name)}: 1 or more is needed")
    if not 0 <= args.score_thr <= 1:
        raise CellMMError(f"--score-thr {args.score_thr:g}: scores are 0 to 1")
    return StreamPlan(
        inferencer=dict(
            config=args.config,
            checkpoint=args.checkpoint,
            device=args.device,
            cfg_options={**(args.cfg_options or {}), **tile_options(args), **tta_options(args)},
            whole=args.tile == 0,
            score_thr=args.score_thr,
            read_options=read_options(args),
            diameter=args.diameter,
            ensemble=args.ensemble,
        ),
        out=args.out,
        save=formats_of(args),
        maps=args.maps,
        batch_size=args.batch_size,
        resumes=args.resume and RunFolder(args.out).exists,
        set_up=set_up,
    )


def predict(args: Namespace, plan: StreamPlan, files: list[InputFile] | None = None) -> int:
    """Predict ``files``, or those that ``args.inputs`` name, and sum up; the exit status."""
    places = checked_places(plan, args.inputs if files is None else ())
    if files is None:
        files = find_files(args, places.left_out())
    places.refuse_results(file.path for file in files)
    with contextlib.ExitStack() as held:
        run, summary = _Run(args, plan, places, files, held), RunSummary()
        try:
            with contextlib.closing(run.outcomes()) as outcomes:
                for outcome in _progress(outcomes, len(files)):
                    summary.add(outcome)
        finally:  # not before: while a file is decoded, stderr is redirected
            if run.earlier is not None:
                say(f"what {args.out} held of an earlier run is now in {run.earlier}")
        return run.finish(summary)


def checked_places(plan: StreamPlan, inputs: Sequence[str]) -> Places:
    """Where the results go.

    Raises:
        CellMMError: they cannot be written there, or an input lies there.
    """
    places = Places(plan.out, build_writers(plan.save) if plan.save else [])
    places.check_writable()
    places.refuse_results(name for name in inputs if name != "-")
    places.refuse_other_folders()
    return places


def find_files(args: Namespace, leave_out: Sequence[Path]) -> list[InputFile]:
    """The images that ``args.inputs`` name, with their names in the results; what is left out is told.

    Args:
        leave_out: folders in which no image is looked for.
    """
    paths, labels, old = find_images(args.inputs, leave_out=leave_out)
    if labels:
        say(f"label files beside their images are left out, {name_some(label.name for label in labels)}")
    if old:
        say(f"results of earlier runs in {args.out} are left out, {name_some(old)}")
    files, long = input_files(paths)
    if long:
        say(f"names too long for files of results are shortened and end in a hash, {name_some(long, most=2)}")
    return files


class _Run:
    """One run of the command, from the model to the last line.

    ``held``: takes the lock that keeps other runs out of the folder.
    """

    def __init__(
        self,
        args: Namespace,
        plan: StreamPlan,
        places: Places,
        files: list[InputFile],
        held: contextlib.ExitStack,
    ) -> None:
        self.args, self.plan, self.places, self.files = args, plan, places, files
        self.lock = functools.cache(lambda: held.enter_context(locked_folder(args.out, "`cellmm predict`")))
        if args.out.exists():
            self.lock()
        self.folder = RunFolder(args.out)
        self.earlier: Path | None = None
        self.inferencer = plan.build_inferencer()
        self.settings = settings_of(
            self.inferencer, args.checkpoint, choices(args, self.inferencer), args.ensemble
        )
        if plan.resumes and (removed := check_resumed(self.folder, self.settings)):
            say(f"half written files of the run that was stopped are removed, {name_some(removed)}")

    def begin(self) -> None:
        """Put earlier results away, unless this run goes on with them, and state what is asked for."""
        self.lock()
        if not self.plan.resumes:
            self.earlier = self.places.put_away()
        formats = [writer.option for writer in self.places.writers]
        self.folder.begin(self.settings, self.files, formats)

    def outcomes(self) -> Iterator[Outcome]:
        workers = min(self.args.workers, -(-len(self.files) // self.args.batch_size))
        if workers < self.args.workers:
            say(
                f"--workers {self.args.workers}: {workers} are used for {len(self.files)} files; `cellmm "
                "tiles` shares large images and films too"
            )
        if workers == 1:
            return self.plan.build(self.inferencer, self.begin).run(self.files)
        self.begin()
        return run_in_processes(self.plan, self.files, workers)

    def finish(self, summary: RunSummary) -> int:
        """Make the files of the whole run and sum up; the exit status."""
        if self.plan.resumes and (removed := self.folder.remove_others(set(summary.stems))):
            say(f"results of images that are no longer among the inputs are removed, {name_some(removed)}")
            self.places.remove_outdated()
        failures = list(summary.failures)
        rows = [ReportRow(name, error=line) for name, line in summary.failed.items()]
        about = {
            "Config": Path(self.args.config).name,
            "Checkpoint": ", ".join(
                Path(name or "none").name
                for name in (self.args.checkpoint, *(file for _, file in self.args.ensemble))
            ),
            "Least score": f"{self.args.score_thr:g}",
            "cellmm": __version__,
        }
        for writer in self.places.writers:
            if isinstance(writer, CollectingWriter) and (stems := summary.parts.get(writer.option)):
                try:
                    collect(self.folder, writer, stems, failures=rows, about=about)
                except (CellMMError, OSError, MemoryError) as error:
                    failures.append(failure_of(error))
            if line := tell_losses(writer.option, summary.losses.get(writer.option, Counter())):
                say(line)
        self._tell(summary)
        for line in failures:
            say(line)
        return 1 if failures else 0

    def _tell(self, summary: RunSummary) -> None:
        out = self.args.out
        if self.args.no_overlays and OVERLAYS not in names_of(self.args.save):
            say(f"--no-overlays changes nothing: --save {self.args.save} writes none")
        if self.args.batch_size > 1 and summary.tiled:
            say(
                f"--batch-size {self.args.batch_size} holds for whole images: the tiles of {summary.tiled} "
                "images were predicted one by one"
            )
        if summary.images:
            failed = f", {len(summary.failed)} more could not be used" if summary.failed else ""
            print(
                f"{summary.cells} cells with a score of {self.args.score_thr:g} or more in {summary.images} "
                f"images{failed}: {out}"
            )
        if summary.maps:
            say(f"the model gives maps and no cells: maps are in {out / MAPS}")
        tile, tiled, whole = self.args.tile, summary.tiled, summary.whole
        if tile and whole:
            say(
                f"--tile {tile}: {whole} of {tiled + whole} images are no larger than a tile when they come "
                "to the network, after all steps of the config's pipeline, and were predicted whole"
            )
        if tile is None and self.inferencer.own_tile is not None and tiled:
            size, overlap = self.inferencer.own_tile
            size = f"up to {size}" if self.inferencer.even_tiles else size
            say(
                f"{tiled} of {tiled + whole} images are clearly larger than those of training "
                f"({'x'.join(map(str, self.inferencer.trained_on.size))} px) and were predicted in tiles of "
                f"{size} px that share up to {overlap}; for others: --tile N, for none: --tile 0"
            )


def choices(args: Namespace, inferencer: CellInferencer) -> dict[str, object]:
    """The options on which the results depend, besides the config and the checkpoint."""
    names = ("score_thr", "batch_size", "tile", "tile_overlap", "diameter", "tta")
    given = {f"--{name.replace('_', '-')}": getattr(args, name) for name in names}
    reading = {f"--{name.replace('_', '-')}": value for name, value in read_options(args).items()}
    return {**given, **reading, "--device": inferencer.model.data_preprocessor.device.type}


def _progress(outcomes: Iterable[Outcome], files: int) -> Iterator[Outcome]:
    """Show how many images are done; a file that holds several adds to their number."""
    with stderr_of_its_own() as stream, tqdm(total=files, desc="predict", unit="image", file=stream) as bar:
        for outcome in outcomes:
            if outcome.record.number == 0 and outcome.record.total > 1:
                bar.total += outcome.record.total - 1
            yield outcome
            bar.update()


@contextlib.contextmanager
def stderr_of_its_own() -> Iterator[TextIO]:
    """Standard error as a file of its own: while a file is decoded, that of the process is redirected."""
    try:
        number = os.dup(sys.stderr.fileno())
    except (OSError, ValueError, io.UnsupportedOperation):
        yield sys.stderr
        return
    with open(number, "w", encoding=sys.stderr.encoding, errors="replace", buffering=1) as stream:
        yield stream


def say(line: str) -> None:
    sys.stderr.write(f"cellmm predict: {line}\n")
