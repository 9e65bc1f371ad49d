"""The runs of an ablation: trained, tested and resumed, each with a result file."""

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean

import torch
from mmengine.config import Config

from cellmm.ablation.grid import Grid, Run, did_you_mean, digest, effective_config, write_config
from cellmm.ablation.tables import tables_text
from cellmm.commands.doctor import check_cpu
from cellmm.errors import CellMMError
from cellmm.io.files import atomic_path

CELLMM = ("-m", "cellmm.commands.cli")


class FailedRunError(Exception):
    """One line: why a run has no result."""


class Ablation:
    """The runs of a grid in a folder: ``<folder>/<run>/seed<k>/`` each, ``result.json`` when it is finished.

    Args:
        only: names of runs; runs whose weights they test are included. None: all.
        error_tool: the program of the error analysis, tools/analysis/analyse_errors.py.

    Attributes: ``jobs``, (run, seed) in the order of work; ``notes``, by run why it has no result.
    """

    def __init__(
        self,
        grid: Grid,
        folder: Path,
        *,
        only: Sequence[str] | None = None,
        error_tool: Path | None = None,
    ) -> None:
        self.grid, self.folder, self.error_tool = grid, folder, error_tool
        names = list(grid.runs if only is None else only)
        for name in names:
            if name not in grid.runs:
                raise CellMMError(f"--only {name}: no such run; {did_you_mean(name, grid.runs)}")
        names += [grid.runs[name].weights_of for name in names]
        # all runs of one seed before the next seed, so that tables are whole early
        self.jobs = [(run, seed) for seed in grid.seeds for run in grid.runs.values() if run.name in names]
        self.notes: dict[str, str] = {}
        self.configs: dict[tuple[str, int], Config] = {}
        self.trainings: dict[tuple[str, int], str] = {}  # digest of all that the weights depend on
        self.digests: dict[tuple[str, int], str] = {}  # and of how they are tested
        for run, seed in self._all():
            self._load(run, seed)

    def _all(self) -> list[tuple[Run, int]]:
        return [(run, seed) for run in self.grid.runs.values() for seed in self.grid.seeds]

    def _load(self, run: Run, seed: int) -> None:
        try:
            cfg = effective_config(run, seed, self.grid.iters)
        except CellMMError as error:
            self.notes[run.name] = f"failed: {error}"
            return
        weights = (run.weights_of, seed)
        if run.weights_of is not None and weights not in self.trainings:
            self.notes[run.name] = f"failed: {run.weights_of} cannot be trained"
            return
        learning = {part: value for part, value in cfg.to_dict().items() if not part.startswith("test_")}
        self.configs[run.name, seed] = cfg
        self.trainings[run.name, seed] = self.trainings.get(weights) or digest(Config(learning))
        self.digests[run.name, seed] = digest(cfg, self.trainings[run.name, seed])

    def place(self, run: Run | str, seed: int) -> Path:
        return self.folder / (run if isinstance(run, str) else run.name) / f"seed{seed}"

    def result(self, run: Run, seed: int) -> dict | None:
        """The results of runs that are finished with the present config."""
        result = _read(self.place(run, seed) / "result.json")
        if not result or result["digest"] != self.digests.get((run.name, seed)):
            return None
        return None if run.error_analysis and result["errors"] is None else result

    def progress(self, run: Run, seed: int) -> str:
        """The state of a run: 'done', 'trained' (not tested), 'begun', or 'not run so far'."""
        if self.result(run, seed):
            return "done"
        state = _read(self.place(run, seed) / "state.json")
        if not state or state["training"] != self.trainings.get((run.name, seed)):
            return "not run so far"
        weights = self.place(run.weights_of or run, seed) / f"iter_{self.grid.iters}.pth"
        return "trained" if weights.is_file() else "begun"

    def results(self) -> dict[tuple[str, int], dict]:
        found = {(run.name, seed): self.result(run, seed) for run, seed in self._all()}
        return {key: result for key, result in found.items() if result}

    def write_tables(self, command: str) -> Path:
        results, path = self.results(), self.folder / "tables.md"
        changed = {
            run.name: "its config has changed since"
            for run, seed in self._all()
            if (run.name, seed) not in results and (self.place(run, seed) / "result.json").is_file()
        }
        far = {
            run.name: f"seed {seed} {state}, not finished"
            for run, seed in self._all()
            if (state := self.progress(run, seed)) in ("trained", "begun")
        }
        text = tables_text(self.grid, results, command=command, notes=far | changed | self.notes)
        with atomic_path(path) as tmp:
            tmp.write_text(text, encoding="utf-8")
        return path

    def minutes_left(self, number: int) -> float | None:
        """Estimated from the finished jobs, for this job and those after it; None if none is finished."""
        known = self.results()
        spent: dict[object, list[float]] = {}
        for (name, _), result in known.items():
            minutes = result["minutes"] + result["minutes_testing"]
            for key in (name, self.grid.runs[name].weights_of is None):
                spent.setdefault(key, []).append(minutes)
        left = [run for run, seed in self.jobs[number:] if (run.name, seed) not in known]
        if True not in spent:
            return None
        return sum(fmean(spent.get(run.name) or spent.get(run.weights_of is None) or [0.0]) for run in left)

    def run_all(self, command: str, say: Callable[[str], None], execute: Callable[..., int]) -> int:
        """Run the jobs; returns how many failed."""
        failed = 0
        for number, (run, seed) in enumerate(self.jobs):
            if self.result(run, seed):
                continue
            done = sum(self.result(*job) is not None for job in self.jobs)
            left = self.minutes_left(number)
            when = "no estimate so far" if left is None else f"about {_duration(left)} left"
            share = 100 * done // len(self.jobs)
            say(f"[{number + 1}/{len(self.jobs)}] {run.name} seed {seed}: {share} % done, {when}")
            try:
                if (run.name, seed) not in self.configs:
                    raise FailedRunError(self.notes[run.name].removeprefix("failed: "))
                self._run(run, seed, say, execute)
            except (FailedRunError, CellMMError) as error:
                failed += 1
                self.notes[run.name] = f"failed: {error}"
                say(f"{run.name} seed {seed} failed: {error}")
            self.write_tables(command)
        return failed

    def _run(self, run: Run, seed: int, say: Callable[[str], None], execute: Callable[..., int]) -> None:
        place, key = self.place(run, seed), (run.name, seed)
        state = _read(place / "state.json")
        if state["training"] != self.trainings[key] if state else any(place.glob("iter_*.pth")):
            earlier = place.parent / "earlier" / f"seed{seed}_{time.strftime('%Y%m%d_%H%M%S')}"
            earlier.parent.mkdir(exist_ok=True)
            shutil.move(place, earlier)
            say(f"{run.name} seed {seed}: its config has changed, it runs again; the old one is in {earlier}")
            state = None
        state = state or dict(training=self.trainings[key], parts=[])
        if state["parts"] and state["parts"][-1][1] is None:  # stopped: it worked until its last file
            times = [path.stat().st_mtime for path in place.rglob("*")]
            state["parts"][-1][1] = max(state["parts"][-1][0], *times)
        _write(place / "state.json", state)
        config = place / "config" / f"{run.name}.py"  # training writes a copy of its own into the work dir
        write_config(self.configs[key], config)
        weights = self.place(run.weights_of or run, seed) / f"iter_{self.grid.iters}.pth"
        if run.weights_of is None and not weights.is_file():
            with _timed(place / "state.json", state):
                options = ("--work-dir", place, "--resume")
                _call(execute, place / "train.log", *CELLMM, "train", config, *options)
        if not weights.is_file():
            raise FailedRunError(f"{run.weights_of or run.name} has no weights at the end, {weights.name}")
        start = time.time()
        _call(execute, place / "test.log", *CELLMM, "test", config, weights, "--work-dir", place)
        metrics = _read(place / "metrics.json")
        errors = self._analyse_errors(execute, place, config) if run.error_analysis else None
        cfg = self.configs[key]
        result = dict(
            run=run.name,
            config=run.config,
            seed=seed,
            digest=self.digests[key],  # of the config alone; the code's version is not in it
            iters=self.grid.iters,
            batch_size=cfg.train_dataloader.get("batch_size", 1),
            minutes=sum(end - begin for begin, end in state["parts"]) / 60,
            minutes_testing=(time.time() - start) / 60,
            torch=torch.__version__,
            hardware=hardware(),
            metrics={name: value for name, value in metrics.items() if not isinstance(value, str)},
            errors=errors,
        )
        _write(place / "result.json", result)

    def _analyse_errors(self, execute: Callable[..., int], place: Path, config: Path) -> dict[str, dict]:
        """{row: {AP, ...}} of the predictions that testing wrote: oracles, and gains by kind of error."""
        options = (config, place / "results.segm.json", "--out", place / "errors")
        _call(execute, place / "errors.log", self.error_tool, *options)
        found = _read(place / "errors" / "errors.json")
        return {**found["oracles"], **found["errors"]}


@contextlib.contextmanager
def _timed(path: Path, state: dict) -> Iterator[None]:
    """Note in ``path`` when a part of a training begins and ends, however it ends."""
    state["parts"].append([time.time(), None])
    _write(path, state)
    try:
        yield
    finally:
        state["parts"][-1][1] = time.time()
        _write(path, state)


def _call(execute: Callable[..., int], log: Path, *arguments: object) -> None:
    """Run Python with these arguments; what it prints is added to ``log``.

    Raises:
        FailedRunError: it failed; its last line of error.
    """
    start = log.stat().st_size if log.is_file() else 0
    status = execute([str(argument) for argument in arguments], log)
    if status:
        with open(log, "rb") as file:
            file.seek(start)
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
        lines = [line for line in lines if line] or ["it printed nothing"]
        errors = [line for line in lines if re.match(r"cellmm \w+: |[\w.]*(Error|Exception)\b", line)]
        why = f"ended by signal {-status}; " if status < 0 else ""
        raise FailedRunError(f"{why}{(errors or lines)[-1]} ({log})")


def hardware() -> str:
    """The GPU, or else the CPU, and the number of cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = torch.cuda.get_device_name(0) if torch.cuda.is_available() else check_cpu()[0].text
    return f"{name}, {cores} core{'s' * (cores != 1)}"


def _duration(minutes: float) -> str:
    hours, rest = divmod(round(minutes), 60)
    return f"{hours} h {rest} min" if hours else f"{rest} min"


def _read(path: Path) -> dict | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _write(path: Path, value: dict) -> None:
    with atomic_path(path) as tmp:
        tmp.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
