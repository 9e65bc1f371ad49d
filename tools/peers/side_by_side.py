"""Train configs and peers for equal minutes, each on a core of its own, and compare them on the test images.

    python tools/peers/side_by_side.py CONFIG --ours DiskMask=CONFIG ... --peers cellpose3 ... \\
        --minutes 40 --cores 0 1 --out peers/worms

The training and test images of all are those of CONFIG; ours do not validate. As many trainings run at a
time as there are cores, each on one of them: leave the cores to them. What is finished is not done again:
after a stop, give the same command. OUT/NAME.log holds what each printed, OUT/comparison what
`cellmm compare` writes.
"""

import argparse
import os
import queue
import shlex
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
import run as peers

from cellmm.config.load import load_config
from cellmm.errors import CellMMError
from cellmm.io.checkpoint_files import checkpoint_files

CELLMM = (sys.executable, "-m", "cellmm.commands.cli")
UNUSED = ("val_cfg=None", "val_dataloader=None", "val_evaluator=None")  # the time is for training


@dataclass(frozen=True)
class Job:
    """A training: its name in the table, its command, the folder that it writes; the peer if it is one."""

    name: str
    command: tuple[str, ...]
    folder: Path
    peer: str | None = None

    def is_done(self) -> bool:
        """Raises CellMMError where another command did it: other minutes, another seed or config."""
        if not self._done.exists():
            return False
        if (earlier := self._done.read_text()) != shlex.join(self.command):
            raise CellMMError(
                f"{self.folder}: was trained by another command, {earlier}; take another --out, or remove "
                f"{self.folder} and {self._done}"
            )
        return True

    @property
    def _done(self) -> Path:
        """A file with the command, written at the end."""
        return self.folder.with_name(f"{self.name}.done")

    @property
    def log(self) -> Path:
        return self.folder.with_name(f"{self.name}.log")

    @property
    def results(self) -> Path:
        """What `cellmm compare` reads."""
        return self.folder / peers.RESULTS.get(self.peer, "results.json") if self.peer else self.folder

    def run(self, core: int) -> None:
        """Raises CellMMError where the training fails."""
        command = [*self.command]
        if self.peer:
            command += ["--cores", str(core)]
        elif checkpoint_files(self.folder):
            command.append("--resume")

        def prepare() -> None:
            if not self.peer:  # run.py does it
                os.nice(peers.NICE)
            if hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(0, {core})

        one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        environment = os.environ | one | {"CUDA_VISIBLE_DEVICES": ""}
        with open(self.log, "a") as log:
            ended = subprocess.run(
                command, stdout=log, stderr=log, env=environment, preexec_fn=prepare, check=False
            )
        if ended.returncode:
            raise CellMMError(f"{self.name}: ended with status {ended.returncode}, see {self.log}")
        self._done.write_text(shlex.join(self.command))


def jobs_of(args: argparse.Namespace) -> list[Job]:
    """Ours and the peers in turn.

    Raises:
        CellMMError: two of one name, or a config of other images.
    """
    dataset = load_config(args.config).train_dataloader.dataset
    budget = ("--minutes", f"{args.minutes:g}")
    ours = []
    for given in args.ours:
        name, found, config = given.partition("=")
        if not (name and found and config):
            raise CellMMError(f"--ours {given}: give NAME=CONFIG")
        own = load_config(config).train_dataloader.dataset
        for key in sorted({*own, *dataset} - {"pipeline", "indices"}):
            if own.get(key) != dataset.get(key):
                raise CellMMError(
                    f"--ours {given}: its training {key} is {own.get(key)!r}, that of {args.config} is "
                    f"{dataset.get(key)!r}; give configs of the same images"
                )
        options = [*UNUSED, f"randomness.seed={args.seed}"]
        if (indices := dataset.get("indices")) != own.get("indices"):
            text = str(indices if indices is None else np.array(indices).tolist()).replace(" ", "")
            options.append(f"train_dataloader.dataset.indices={text}")
        folder = args.out / name
        command = (*CELLMM, "train", config, "--work-dir", str(folder), *budget, "--cfg-options", *options)
        ours.append(Job(name, command, folder))
    program = (sys.executable, str(peers.HERE / "run.py"))
    more = (*budget, "--seed", str(args.seed), "--envs", str(args.envs))
    others = [
        Job(peer, (*program, peer, args.config, "--out", str(args.out / peer), *more), args.out / peer, peer)
        for peer in args.peers
    ]
    jobs = [job for job in chain.from_iterable(zip_longest(ours, others)) if job]
    if len({job.name for job in jobs}) < len(jobs):
        raise CellMMError(f"two results have one name: {', '.join(job.name for job in jobs)}")
    return jobs


def train(jobs: Sequence[Job], cores: Sequence[int]) -> list[str]:
    """Run the jobs that are not done, one per core at a time; returns a line per failure.

    An interrupt ends those that run, as they get it too, and no other one begins.
    """
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    failures: list[str] = []
    for job in jobs:
        if not job.is_done():
            waiting.put(job)
    stopped = threading.Event()

    def work(core: int) -> None:
        while not stopped.is_set():
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            print(f"{job.name}: trains on core {core}, see {job.log}", flush=True)
            try:
                job.run(core)
            except CellMMError as error:
                failures.append(str(error))

    threads = [threading.Thread(target=work, args=(core,), daemon=True) for core in cores]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        stopped.set()
        raise
    return failures


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="its training and test images are those of all")
    parser.add_argument(
        "--ours", nargs="+", default=[], metavar="NAME=CONFIG", help="the first leads the table"
    )
    parser.add_argument("--peers", nargs="+", default=[], choices=peers.PEERS)
    parser.add_argument("--minutes", type=float, default=40, help="of each training; default %(default)s")
    parser.add_argument("--cores", type=int, nargs="+", default=[0], help="their numbers; default 0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder of all")
    parser.add_argument("--envs", type=Path, default=Path("peers/envs"), help="default %(default)s")
    args = parser.parse_args(argv)
    if args.minutes <= 0:
        parser.error(f"--minutes is {args.minutes:g}: more than 0 is needed")
    if not (args.ours or args.peers):
        parser.error("nothing to train: give --ours or --peers")
    if len(set(args.cores)) < len(args.cores):
        parser.error(f"--cores {' '.join(map(str, args.cores))}: each core once")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        jobs = jobs_of(args)
        for peer in args.peers:
            peers.environment(peer, args.envs.absolute())
        failures = train(jobs, args.cores)
    except CellMMError as error:
        failures = [str(error)]
    except KeyboardInterrupt:
        print("side_by_side: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    for line in failures:
        print(f"side_by_side: {line}", file=sys.stderr)
    if failures:
        return 1
    results = [f"{job.name}={job.results}" for job in jobs]
    compared = (*CELLMM, "compare", "--truth", args.config, *results, "--out", str(args.out / "comparison"))
    return subprocess.run(compared, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
