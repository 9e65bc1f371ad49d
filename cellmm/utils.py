"""Small helpers that every part of cellmm shares."""

import contextlib
import errno
import itertools
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cellmm.errors import CellMMError

NAMED = 10  # warnings of one kind that are given each
UNFINISHED = ".cellmm-"  # in the names of files that are being written
LARGE_IMAGE = 2**26  # pixels times channels
NO_ROOM = "free some disk space, or write to another disk"
NO_RIGHT = "get the right to use it, or name another place"
CURES = {
    "ENOSPC": NO_ROOM,
    "EDQUOT": NO_ROOM,
    "EFBIG": NO_ROOM,
    "EACCES": NO_RIGHT,
    "EPERM": NO_RIGHT,
    "EROFS": "the disk is read-only, name another place",
    "ENOTDIR": "a file is in the place of a folder, name another place",
    "EEXIST": "a file is in the place of a folder, name another place",
    "EISDIR": "a folder is in the place of a file, name another file",
    "ENOENT": "check the path",
    "ENAMETOOLONG": "take a shorter name",
    "EMFILE": "raise the limit with `ulimit -n 4096`, or take fewer num_workers",
}
NO_MEMORY = "crop or tile the images, or take a smaller batch_size or fewer num_workers"
# how PyTorch says, in a RuntimeError, that memory ran out
MEMORY_SIGNS = ("out of memory", "can't allocate memory", "killed by signal", "shared memory")


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path`` and move it into place when the block succeeds.

    The temporary file keeps the suffix of ``path`` (writers choose their format by it), is flushed to disk
    before the move, and is removed when the block raises: a reader sees the old file or the whole new one.
    Missing parent folders are made. An OSError of writing names ``path``.
    """
    path, tmp = Path(path), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{path.stem[:40]}{UNFINISHED}"
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=path.suffix, dir=path.parent)
        os.close(handle)
        tmp = Path(name)
        yield tmp
        with open(tmp, "rb") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        tmp.chmod(0o666 & ~umask)
        os.replace(tmp, path)
    except OSError as error:
        if error.errno is None or (tmp and error.filename is not None and str(error.filename) != str(tmp)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        if tmp is not None:
            tmp.unlink(missing_ok=True)


def put_away(paths: Sequence[Path], folder: Path) -> Path | None:
    """Move ``paths`` into ``<folder>/earlier/<time of the newest of them>``; where they are now.

    Nothing is overwritten. None: there is nothing to move.
    """
    paths = [path for path in paths if os.path.lexists(path)]
    if not paths:
        return None
    newest = time.localtime(max(path.lstat().st_mtime for path in paths))
    name = time.strftime("%Y%m%d_%H%M%S", newest)
    for number in itertools.count(1):
        target = folder / "earlier" / (name if number == 1 else f"{name}_{number}")
        if not any(os.path.lexists(target / path.name) for path in paths):
            break
    target.mkdir(parents=True, exist_ok=True)
    for path in paths:
        shutil.move(path, target / path.name)
    return target


def check_writable(path: str | Path) -> None:
    """Raise CellMMError where a file ``path`` could not be written; nothing stays of the trial."""
    path = Path(os.path.abspath(path))
    if path.is_dir():
        raise CellMMError(f"{path} is a folder: name a file")
    folder = next(one for one in path.parents if os.path.lexists(one))
    if not folder.is_dir():
        raise CellMMError(f"{path} cannot be written: {folder} is not a folder, name another place")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CellMMError(f"{path} cannot be written: no right to write into {folder}, name another place")
    try:  # some file systems take no files whatever the rights say
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CellMMError(
            f"{path} cannot be written into {folder} ({error.strerror}): {cure_of(error.errno)}"
        ) from error


def check_whole(least: int, **values: int | Sequence[int] | None) -> None:
    """Raise ValueError where a value, or one of a list, is not a whole number from ``least``; None passes."""
    for name, value in values.items():
        numbers = value if isinstance(value, list | tuple) else [value]
        if not numbers or any(one is not None and (isinstance(one, float) or one < least) for one in numbers):
            raise ValueError(f"{name} must be {least} or more, a whole number, got {value}")


def check_share(**values: float | None) -> None:
    """Raise ValueError where a number is not from 0 to 1; None passes."""
    for name, value in values.items():
        if value is not None and not 0 <= value <= 1:
            raise ValueError(f"{name} must be from 0 to 1, got {value}")


def check_memory(path: str | Path, shape: Sequence[int], bytes_a_value: int) -> None:
    """Raise CellMMError where an image of this shape takes more memory than is free, if that can be told.

    Without it the system ends the program with no word. Small images are not looked at.
    """
    values = math.prod(shape)
    free = free_memory() if values > LARGE_IMAGE else None
    if free is not None and values * bytes_a_value > free:
        raise CellMMError(
            f"{path} of shape {tuple(shape)} takes about {values * bytes_a_value / 2**30:.1f} GiB of memory, "
            f"{free / 2**30:.1f} GiB are free: crop or tile it"
        )


def free_memory() -> int | None:
    """Bytes that this process may still take; None where the system (other than Linux) does not tell."""
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


def explain(error: BaseException) -> str | None:
    """One line for the errors of disk and memory: the file, what is wrong and the cure; None for others."""
    text = str(error).strip()
    if "Original Traceback" in text:  # handed on by a worker of a data loader
        text = text.splitlines()[-1].partition(": ")[2]
    text = " ".join(text.split())[:300]
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(sign in text for sign in MEMORY_SIGNS)
    ):
        return f"not enough memory ({text}): {NO_MEMORY}" if text else f"not enough memory: {NO_MEMORY}"
    if not isinstance(error, OSError):
        return None
    number = error.errno
    if number is None and (match := re.match(r"\[Errno (\d+)\]", text)):
        number = int(match[1])
    if number is None:
        return None
    if error.errno is None:
        return f"{text}: {cure_of(number)}"
    if error.filename is None:
        return f"{error.strerror}: {cure_of(number)}"
    return f"{os.fsdecode(error.filename)}: {error.strerror}: {cure_of(number)}"


def cure_of(number: int | None) -> str:
    """What a user can do about an error of the system with this ``errno``."""
    return CURES.get(errno.errorcode.get(number, ""), "check the disk and the path")


def is_told(number: int) -> bool:
    """Whether warning ``number`` of a kind, from 1, is given: the first ten, then 20, 50, 100, 200, ..."""
    digits = str(number)
    return number <= NAMED or (digits[0] in "125" and not digits[1:].strip("0"))


def name_some(items: Iterable, most: int = 5) -> str:
    """'12: a, b, c, d, e, ...': the count and the first few, for messages."""
    items = [text if (text := str(item)).isprintable() else repr(text) for item in items]
    items = [text if len(text) <= 300 else f"{text[:140]} ... {text[-140:]}" for text in items]
    return f"{len(items)}: {', '.join(items[:most])}{', ...' if len(items) > most else ''}"
