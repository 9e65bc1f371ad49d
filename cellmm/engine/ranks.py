"""What the processes of one training do together, so that none waits for another."""

import logging
import os
import sys
import traceback
from collections.abc import Callable
from typing import TypeVar

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.dist import (
    all_gather_object,
    broadcast_object_list,
    get_rank,
    get_world_size,
    init_dist,
    is_main_process,
)
from mmengine.logging import print_log

from cellmm.engine.part_optimizers import part_configs
from cellmm.errors import CellMMError, explain

T = TypeVar("T")


def start_distributed(cfg: Config) -> None:
    """Join the process group that the launcher set up: gloo without a GPU, where mmengine fails."""
    if cfg.get("launcher", "none") == "none" or dist.is_initialized():
        return
    if "RANK" not in os.environ:
        raise CellMMError("--launcher pytorch: RANK is not set; start with tools/dist_train.sh or torchrun")
    if torch.cuda.is_available():
        init_dist(cfg.launcher, **cfg.get("env_cfg", {}).get("dist_cfg", dict(backend="nccl")))
    else:
        dist.init_process_group("gloo")
    unused = cfg.get("find_unused_parameters", False)
    wrapper = dict(type="cellmm.CellDistributedDataParallel", find_unused_parameters=unused)
    if parts := part_configs(cfg.get("optim_wrapper") or {}):
        wrapper.update(type="cellmm.PartsDistributedDataParallel", names=list(parts))
    cfg.setdefault("model_wrapper_cfg", wrapper)


def end_distributed() -> None:
    """Wait for all processes and leave their group, if there is one; call it after the last exchange.

    A process that exits while the group's threads run is sometimes ended by SIGABRT, and torchrun then ends
    the others too.
    """
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def exit_after_error(status: int, error: BaseException | None = None) -> None:
    """End this process now if it is in a process group, with the traceback of ``error`` if that is given.

    The other ranks may be waiting in an exchange, so the group cannot be left in order. A normal exit would
    join its threads, which can take half an hour or end in SIGABRT; this exit closes the connections, and the
    other ranks fail too.
    """
    if dist.is_initialized():
        if error is not None:
            traceback.print_exception(error)
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def on_first_rank(work: Callable[[], T]) -> T:
    """Run ``work()`` on the first rank and return its result on all; if it fails, all fail with its line."""
    if get_world_size() == 1:
        return work()
    answer, error = _answer(work) if get_rank() == 0 else (None, None)
    both = [answer, None if error is None else _line(error)]
    broadcast_object_list(both)
    if error is not None:
        raise error
    if both[1] is not None:
        raise CellMMError(both[1])
    return both[0]


def on_every_rank(work: Callable[[], T]) -> list[T]:
    """Run ``work()`` on each rank and return all results on all; if one fails, all fail with its line.

    ``work`` must not communicate.
    """
    if get_world_size() == 1:
        return [work()]
    answer, error = _answer(work)
    answers = all_gather_object((answer, None if error is None else _line(error)))
    if error is not None and not isinstance(error, (CellMMError, OSError)):
        raise error  # a bug: its traceback is wanted
    for rank, (_, line) in enumerate(answers):
        if line is not None:
            raise CellMMError(f"process {rank} of {get_world_size()}: {line}")
    return [answer for answer, _ in answers]


def _answer(work: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return work(), None
    except Exception as error:  # every rank must hear of it, whatever it is
        return None, error


def _line(error: Exception) -> str:
    text = str(error) if isinstance(error, CellMMError) else explain(error)
    return text or f"{type(error).__name__}: {error}"


def warn_on_first_rank(text: str) -> None:
    """Log a warning about what all ranks see alike, once."""
    if is_main_process():
        print_log(text, logger="current", level=logging.WARNING)
