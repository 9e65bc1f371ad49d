"""Processes that load data for a training, and end with it."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent(parent: int, then: Callable[[int], None] | None, worker: int) -> None:
    """What a worker of a DataLoader does first: see to it that it ends when the process ``parent`` ends.

    PyTorch's workers look at their parent's number from time to time. Where the parent was killed before a
    worker asked for it the first time, the worker waits for ever and holds its parent's pipes open. ``then``
    is the DataLoader's own ``worker_init_fn``, called with the number of the worker.

    For workers that are forked: others are children of a server.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    if then is not None:
        then(worker)
