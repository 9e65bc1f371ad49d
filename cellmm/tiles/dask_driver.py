"""The pieces of a plan on the workers of dask.distributed."""

import functools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import torch

from cellmm import __version__
from cellmm.apis.inferencer import CellInferencer
from cellmm.errors import CellMMError
from cellmm.results.run_folder import failure_of
from cellmm.tiles.dask_clusters import RESOURCE
from cellmm.tiles.pieces import is_finished
from cellmm.tiles.plan import PiecePlan, plan_hash
from cellmm.tiles.run import load_model, run_piece

if TYPE_CHECKING:
    from distributed import Client

RETRIES = 2  # of a piece that failed in a way that may pass, such as a disk that did not answer
LATENCY = 60.0  # seconds until a file that another machine wrote is seen here, at most


def run_pieces(client: "Client", folder: Path, numbers: Sequence[int], device: str) -> Iterator[int]:
    """Predict pieces on the workers and yield the number of each that is finished.

    A piece whose worker dies is given to another worker. A piece that is finished is not predicted again.

    Args:
        folder: of the plan, under the same path on all machines.
        device: as of CellInferencer.

    Raises:
        CellMMError: a piece failed; what other workers have begun is given up.
    """
    from distributed import as_completed

    mark = plan_hash(folder)
    futures = {
        client.submit(
            run_on_worker,
            *(folder, mark, __version__, number, device),
            key=f"cellmm-piece-{number}-{mark}",
            resources={RESOURCE: 1},
            retries=RETRIES,
        ): number
        for number in numbers
    }
    try:
        for future in as_completed(futures):
            error = future.exception()
            line = future.result() if error is None else _line_of(error)
            if line is not None:
                raise CellMMError(f"piece {futures[future]}: {line}")
            yield futures[future]
    finally:
        client.cancel([future for future in futures if not future.done()])
    _wait_for_files(folder, numbers, mark)


def run_on_worker(folder: Path, mark: str, version: str, number: int, device: str) -> str | None:
    """Predict a piece in this worker, unless it is finished; why it cannot, or None.

    Args:
        mark: ``plan_hash`` of the plan.
        version: of cellmm where the plan was made.
    """
    from distributed import get_worker

    worker = get_worker()
    try:
        if __version__ != version:
            raise CellMMError(f"cellmm {__version__} is installed there, {version} here: install the same")
        if not _has_plan(folder, mark):
            raise CellMMError(f"{folder} is not seen there: --out must be on a disk that all machines share")
        if is_finished(folder, number, mark):
            return None
        # of the calling thread: dask has several
        torch.set_num_threads(worker.state.nthreads)
        cv2.setNumThreads(worker.state.nthreads)
        plan, inferencer = _load(folder, mark, own_device(device, worker.name))
        run_piece(folder, plan, inferencer, number)
    except CellMMError as error:
        return f"worker {worker.address}: {failure_of(error)}"
    return None


def own_device(device: str, name: int | str) -> str:
    """One GPU of several for a worker that dask numbers, in turn; else ``device``."""
    gpus = torch.cuda.device_count()
    if device in ("auto", "cuda") and gpus > 1 and isinstance(name, int):
        return f"cuda:{name % gpus}"
    return device


@functools.lru_cache(maxsize=1)
def _load(folder: Path, mark: str, device: str) -> tuple[PiecePlan, CellInferencer]:
    """The plan and its model, kept in this process for the pieces that follow."""
    plan = PiecePlan.read(folder)
    return plan, load_model(plan, device)


def _has_plan(folder: Path, mark: str) -> bool:
    try:
        return plan_hash(folder) == mark
    except OSError:
        return False


def _line_of(error: BaseException) -> str:
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        return "several workers died of it, most likely for want of memory; take fewer or smaller tiles"
    return f"{type(error).__name__}: {failure_of(error)}"


def _wait_for_files(folder: Path, numbers: Sequence[int], mark: str) -> None:
    """Wait until this machine sees what others wrote; merging says what is still missing then."""
    end = time.monotonic() + LATENCY
    while time.monotonic() < end and not all(is_finished(folder, number, mark) for number in numbers):
        time.sleep(1)
