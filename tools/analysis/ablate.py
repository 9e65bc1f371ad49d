"""Train and test a grid of configs with equal budgets and seeds, and write the tables that compare them.

    python tools/analysis/ablate.py tools/analysis/ablations/simulated.py --iters 500 --seeds 0

It can be stopped at any moment; started again, it goes on where it was. Finished runs are not repeated unless
their config has changed. docs/how_to/ablations.md says how to write a grid.
"""

import argparse
import dataclasses
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cellmm
from cellmm.ablation.grid import check_budget, load_grid
from cellmm.ablation.runs import Ablation
from cellmm.errors import CellMMError, explain

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

ERROR_TOOL = Path(__file__).with_name("analyse_errors.py")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("grid", help="a Python file, such as tools/analysis/ablations/simulated.py")
    parser.add_argument("--work-dir", type=Path, help="default work_dirs/ablations/<grid>")
    parser.add_argument("--iters", type=int, help="iterations of every run; default: the grid's")
    parser.add_argument("--seeds", type=int, nargs="+", help="default: the grid's")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="these runs, and those whose weights they test"
    )
    parser.add_argument("--tables-only", action="store_true", help="write the tables of what is finished")
    parser.add_argument("--list", action="store_true", help="show the runs and which of them are finished")
    return parser.parse_args(argv)


class Processes:
    """Runs Python in other processes, which hold the folder's lock as long as one of them lives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> "Processes":
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = open(self.folder / ".lock", "w")
        if fcntl is None:
            return self
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"{self.folder}: waiting for another call, or a training that it left behind")
            fcntl.flock(self.lock, fcntl.LOCK_EX)
        return self

    def __exit__(self, *error: object) -> None:
        self.lock.close()

    def __call__(self, arguments: Sequence[str], log: Path) -> int:
        paths = [str(Path(cellmm.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        with open(log, "ab") as file:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
                pass_fds=() if fcntl is None else (self.lock.fileno(),),
            )
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.kill()  # it can be resumed from any moment
            process.wait()
            raise


def _say(line: str) -> None:
    print(line, flush=True)


def _list(ablation: Ablation) -> None:
    for run in ablation.grid.runs.values():
        seeds = [f"{seed} {ablation.progress(run, seed)}" for seed in ablation.grid.seeds]
        weights = f" (weights of {run.weights_of})" if run.weights_of else ""
        note = f"; {ablation.notes[run.name]}" if run.name in ablation.notes else ""
        _say(f"{run.name}  {run.config}{weights}  seeds: {', '.join(seeds)}{note}")


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None, execute: Callable[..., int] | None = None) -> int:
    """Status 1 where a run failed; ``execute(arguments, log)``: how Python is run, default: in a process."""
    args = parse_args(argv)
    try:
        grid = load_grid(args.grid)
        given = {key: value for key in ("iters", "seeds") if (value := getattr(args, key)) is not None}
        grid = dataclasses.replace(grid, **given)
        check_budget(grid.iters, grid.seeds, "--")
        folder = args.work_dir or Path("work_dirs", "ablations", grid.path.stem)
        ablation = Ablation(grid, folder, only=args.only, error_tool=ERROR_TOOL)
        options = ["--work-dir", folder, "--iters", grid.iters, "--seeds", *grid.seeds]
        command = shlex.join(map(str, ["python", "tools/analysis/ablate.py", args.grid, *options]))
        failed = 0
        if args.list:
            _list(ablation)
            return 0
        if not args.tables_only:
            with Processes(folder) as processes:
                failed = ablation.run_all(command, _say, execute or processes)
        _say(f"{ablation.write_tables(command)}{f'; {failed} failed, see above' if failed else ''}")
        return int(failed > 0)
    except CellMMError as error:
        line = str(error)
    except KeyboardInterrupt:
        print("ablate: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except OSError as error:
        line = explain(error)
    print(f"ablate: {line}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main())
