"""A run of prediction in several processes, each with its share of the processor's cores."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import cv2
import torch

from cellmm.apis.in_order import in_order
from cellmm.apis.inferencer import CellInferencer
from cellmm.apis.stream import Outcome, PredictionStream
from cellmm.errors import CellMMError
from cellmm.results.run_folder import InputFile, RunFolder
from cellmm.results.writers import build_writers

SHARE = 16  # files that a process takes at once, at most


@dataclass(frozen=True)
class StreamPlan:
    """What a process needs to build its PredictionStream.

    Args:
        inferencer: the arguments of CellInferencer, with the config as a path.
        out: the folder of the run.
        save: the formats, as ``build_writers`` takes them.
        set_up: changes the inferencer after it is built; a function of a module.
    """

    inferencer: Mapping[str, Any]
    out: Path
    save: str
    maps: bool = False
    batch_size: int = 1
    resumes: bool = False
    set_up: Callable[[CellInferencer], None] | None = None

    def build_inferencer(self) -> CellInferencer:
        inferencer = CellInferencer(**self.inferencer)
        if self.set_up is not None:
            self.set_up(inferencer)
        return inferencer

    def build(self, inferencer: CellInferencer, begin: Callable[[], None]) -> PredictionStream:
        """``begin``: see PredictionStream."""
        return PredictionStream(
            inferencer=inferencer,
            folder=RunFolder(self.out),
            writers=build_writers(self.save) if self.save else [],
            begin=begin,
            resumes=self.resumes,
            maps=self.maps,
            batch_size=self.batch_size,
        )


def run_in_processes(plan: StreamPlan, files: Sequence[InputFile], workers: int) -> Iterator[Outcome]:
    """As ``PredictionStream.run``, in ``workers`` processes, for a run that has begun.

    The processes end with this one, also when it is killed.

    Raises:
        CellMMError: as of the stream, or a process was killed.
    """
    blocks = max(1, min(SHARE, len(files) // (4 * workers)) // plan.batch_size)
    size = blocks * plan.batch_size
    shares = [files[i : i + size] for i in range(0, len(files), size)]
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = Workers(workers, context, initializer=_begin, initargs=(plan, threads_of(workers), stop))
    try:
        with contextlib.closing(in_order(_run, shares, ahead=2 * workers, pool=pool)) as results:
            for outcomes in results:
                yield from outcomes
    except BrokenProcessPool as error:
        raise CellMMError(
            f"a process of --workers {workers} was killed, most likely for want of memory: take "
            "fewer, and go on with --resume"
        ) from error
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


class Workers(ProcessPoolExecutor):
    """Processes that do not hear Ctrl-C, from their first line on: the parent says when to stop."""

    def submit(self, /, *args: Any, **kwargs: Any) -> Future:
        """Start processes where needed, which take over what this thread blocks."""
        if not hasattr(signal, "pthread_sigmask"):  # Windows
            return super().submit(*args, **kwargs)
        earlier = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            return super().submit(*args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, earlier)


def threads_of(workers: int) -> int:
    """The threads of each process: its share of the cores, and no more than this process may use itself."""
    return min(max(1, num_cores() // workers), torch.get_num_threads())


def num_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Worker:
    """What a process of the pool keeps between its shares."""

    plan: StreamPlan
    stop: Any
    stream: PredictionStream | None = None


def _begin(plan: StreamPlan, threads: int, stop: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    _Worker.plan, _Worker.stop = plan, stop


def _end_with_parent() -> None:
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _run(files: Sequence[InputFile]) -> list[Outcome]:
    if _Worker.stream is None:  # not in _begin, whose errors nobody sees
        _Worker.stream = _Worker.plan.build(_Worker.plan.build_inferencer(), begin=lambda: None)
        _Worker.stream.start()  # the run has begun
    outcomes = []
    with contextlib.closing(_Worker.stream.run(files)) as results:
        for outcome in results:
            outcomes.append(outcome)
            if _Worker.stop.is_set():
                break
    return outcomes
