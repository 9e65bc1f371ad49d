"""Errors of disk and memory as one line."""

import errno

import pytest

from cellmm.errors import explain


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "a.json"),
            "a.json: No space left on device: free some disk space, or write to another disk",
        ),
        (OSError(errno.EROFS, "Read-only", b"a.json"), "a.json: Read-only: the disk is read-only, name"),
        (OSError(errno.EACCES, "Permission denied"), "Permission denied: get the right to use it"),
        (OSError(errno.ENOTDIR, "Not a directory", "a/b"), "a/b: Not a directory: a file is in the place of"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files: raise the limit with `ulimit"),
        (OSError(errno.EIO, "Input/output error", "a"), "a: Input/output error: check the disk and the path"),
        (
            OSError(
                "Caught OSError in worker 0.\nOriginal Traceback:\n  x\nOSError: [Errno 28] No space: 'a'"
            ),
            "[Errno 28] No space: 'a': free some disk space",
        ),
        (MemoryError(), "not enough memory: crop or tile the images"),
        (MemoryError("9\nGiB"), "not enough memory (9 GiB): crop or tile the images"),
        (
            RuntimeError("DataLoader worker (pid 9) is killed by signal: Killed."),
            "not enough memory (DataLoader",
        ),
    ],
)
def test_disk_and_memory_are_explained(error, line):
    assert explain(error).startswith(line)


@pytest.mark.parametrize(
    "error", [OSError("odd"), RuntimeError("a bug"), ValueError("x"), KeyError("out of memory")]
)
def test_other_errors_are_not(error):
    assert explain(error) is None
