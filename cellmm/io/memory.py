"""Whether an image fits into the memory that is free."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

from cellmm.errors import CellMMError

LARGE_IMAGE = 2**26  # pixels times channels
MAX_VALUES = 2**30  # that are read at once; OpenCV's limit for pixels, too
BYTES_A_VALUE = 24  # as stored, as float32, and as float64 while it is normalised


def check_size(path: str | Path, shape: Sequence[int]) -> None:
    """Raise CellMMError if an image of this shape is too large to be read at once."""
    if math.prod(shape) > MAX_VALUES:
        raise CellMMError(f"{path} has the shape {tuple(shape)}, more than 2^30 values: crop or tile it")
    check_memory(path, shape, BYTES_A_VALUE)


def check_memory(path: str | Path, shape: Sequence[int], bytes_a_value: int) -> None:
    """Raise CellMMError if an image of this shape takes more memory than is free, as far as that is known.

    Without this check the system kills the program silently. Small images are not checked.
    """
    values = math.prod(shape)
    free = free_memory() if values > LARGE_IMAGE else None
    if free is not None and values * bytes_a_value > free:
        raise CellMMError(
            f"{path} of shape {tuple(shape)} takes about {values * bytes_a_value / 2**30:.1f} GiB of memory, "
            f"{free / 2**30:.1f} GiB are free: crop or tile it"
        )


def free_memory() -> int | None:
    """Bytes that this process may still take; None if the system (other than Linux) does not tell."""
    try:
        text = Path("/proc/meminfo").read_text()
        free = 1024 * int(re.search(r"^MemAvailable:\s+(\d+)", text, re.MULTILINE)[1])
    except (OSError, TypeError):
        return None
    try:  # of a container; what it uses for a copy of files is free, too
        limit, used, parts = (
            Path(f"/sys/fs/cgroup/memory.{name}").read_text() for name in ("max", "current", "stat")
        )
        files = int(re.search(r"^file (\d+)", parts, re.MULTILINE)[1])
        return min(free, int(limit) - int(used) + files)
    except (OSError, TypeError, ValueError):  # ValueError: limit is "max"
        return free
