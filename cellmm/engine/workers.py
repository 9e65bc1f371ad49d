"""Worker processes that load data end with their training."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent(parent: int, then: Callable[[int], None] | None, worker: int) -> None:
    """Called first in a worker of a DataLoader: make it end when the process ``parent`` ends.

    PyTorch's workers compare their parent's number from time to time. If the parent was killed before the
    first look, the worker waits for ever and holds its parent's pipes open. ``then`` is the DataLoader's own
    ``worker_init_fn``, called with the number of the worker.

    Only for forked workers: others are children of a server process.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    if then is not None:
        then(worker)
