"""Work that threads or processes do ahead, its results in the order of the items."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    ahead: int,
    threads: int = 1,
    pool: Executor | None = None,
) -> Iterator[R]:
    """Yield ``function(item)`` for each item, in order, while up to ``ahead`` more are in work or finished.

    An error of ``function`` is raised in its turn; what has not begun by then is not done.

    Args:
        threads: how many threads work, without a ``pool``.
        pool: what works instead. It is left open.

    Examples:
        >>> list(in_order(abs, [-1, -2, -3], ahead=1))
        [1, 2, 3]
    """
    workers = ThreadPoolExecutor(threads) if pool is None else pool
    waiting: deque = deque()
    try:
        for item in items:
            waiting.append(workers.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        if pool is None:
            workers.shutdown(wait=True, cancel_futures=True)
