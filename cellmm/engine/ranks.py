"""What several processes of a training do together before it begins, so that none waits for another."""

from collections.abc import Callable
from typing import TypeVar

from mmengine.dist import all_gather_object, broadcast_object_list, get_rank, get_world_size

from cellmm.errors import CellMMError
from cellmm.utils import explain

T = TypeVar("T")


def on_first_rank(work: Callable[[], T]) -> T:
    """What ``work()`` gives on the first rank, on all ranks; where it fails there, all fail with its line."""
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
    """What ``work()`` gives on each rank, on all ranks; where it fails on any, all fail with its line.

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
    except Exception as error:  # every rank has to hear of it, whatever it is
        return None, error


def _line(error: Exception) -> str:
    text = str(error) if isinstance(error, CellMMError) else explain(error)
    return text or f"{type(error).__name__}: {error}"
