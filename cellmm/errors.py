"""The error that commands show as one line, and their lines for a full disk or memory."""

import errno
import os
import re

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
# in a RuntimeError of PyTorch: memory ran out
MEMORY_SIGNS = ("out of memory", "can't allocate memory", "killed by signal", "shared memory")


class CellMMError(ValueError):
    """Input, annotation or configuration that cellmm cannot use; the message names the file and the cure."""


def explain(error: BaseException) -> str | None:
    """A line for an error of disk or memory: the file, what is wrong and the cure; None for other errors."""
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
