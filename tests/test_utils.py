import errno
import os

import pytest

from cellmm.checks import check_share, check_whole
from cellmm.errors import CellMMError, explain
from cellmm.io.files import atomic_path, check_writable, put_away
from cellmm.io.memory import check_memory, free_memory


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / "new" / "a.json"
    with atomic_path(path) as tmp:
        assert tmp.parent == path.parent and tmp.suffix == ".json" and not path.exists()
        tmp.write_text("one")
    assert path.read_text() == "one" and names(path.parent) == ["a.json"]
    with pytest.raises(RuntimeError), atomic_path(path) as tmp:
        tmp.write_text("half of tw")
        raise RuntimeError
    assert path.read_text() == "one" and names(path.parent) == ["a.json"]


def test_what_is_put_away_replaces_nothing(tmp_path):
    """Two runs of one second go to two folders; what is not there is passed over."""
    for content in "ab":
        (tmp_path / "pictures").mkdir()
        (tmp_path / "pictures/1.png").write_text(content)
        os.utime(tmp_path / "pictures", (1e9, 1e9))
        target = put_away([tmp_path / "absent", tmp_path / "pictures"], tmp_path)
        assert (target / "pictures/1.png").read_text() == content
    assert names(tmp_path) == ["earlier"] and target.name.endswith("_2")
    assert len(names(tmp_path / "earlier")) == 2
    assert put_away([tmp_path / "absent"], tmp_path) is None


def test_a_name_as_long_as_may_be(tmp_path):
    for stem in ("x" * 250, "ö" * 125):
        with atomic_path(tmp_path / f"{stem}.json") as tmp:
            tmp.write_text("x")
        assert (tmp_path / f"{stem}.json").read_text() == "x"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_errors_of_writing_name_the_target(tmp_path, monkeypatch, call):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device", *args[:1] if call == "replace" else ())

    path = tmp_path / "a.txt"
    path.write_text("before")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(OSError) as caught, atomic_path(path) as tmp:
            tmp.write_text("after")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert path.read_text() == "before" and names(tmp_path) == ["a.txt"]


def test_a_parent_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotADirectoryError) as caught, atomic_path(tmp_path / "file/sub/a.txt"):
        pass
    assert caught.value.filename == str(tmp_path / "file/sub/a.txt")
    with pytest.raises(FileExistsError) as caught, atomic_path(tmp_path / "file/a.txt"):
        pass
    assert caught.value.filename == str(tmp_path / "file/a.txt")


def test_errors_of_other_files_keep_their_names(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, atomic_path(tmp_path / "a.txt") as tmp:
        tmp.write_bytes((tmp_path / "source.txt").read_bytes())
    assert caught.value.filename == str(tmp_path / "source.txt") and names(tmp_path) == []
    with pytest.raises(OSError, match="^odd$"), atomic_path(tmp_path / "a.txt"):
        raise OSError("odd")


def test_check_writable(tmp_path, monkeypatch):
    check_writable(tmp_path / "new" / "sub" / "a.txt")
    (tmp_path / "file").write_text("x")
    check_writable(tmp_path / "file")
    assert names(tmp_path) == ["file"]
    (tmp_path / "link").symlink_to("gone")
    for path, message in (
        ("", "is a folder"),
        ("file/a", "file is not a folder"),
        ("link/a", "link is not a folder"),
    ):
        with pytest.raises(CellMMError, match=message):
            check_writable(tmp_path / path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(CellMMError, match="no right to write into"):
        check_writable(tmp_path / "a")


def test_a_disk_that_takes_no_file_is_named(tmp_path, monkeypatch):
    """Whatever the rights say, as those of root do."""

    def refuse(**options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("cellmm.io.files.tempfile.TemporaryFile", refuse)
    with pytest.raises(
        CellMMError, match="cannot be written into .*Read-only.*: the disk is read-only, name"
    ):
        check_writable(tmp_path / "new" / "a")


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


def test_memory(monkeypatch):
    assert free_memory() is None or free_memory() > 0
    check_memory("a.tif", (10, 10), 10**9)  # small
    monkeypatch.setattr("cellmm.io.memory.free_memory", lambda: 2**30)
    check_memory("a.tif", (2**14, 2**13), 8)
    with pytest.raises(
        CellMMError, match=r"a\.tif of shape \(16384, 8192\) takes about 2\.0 GiB .* 1\.0 GiB are"
    ):
        check_memory("a.tif", (2**14, 2**13), 16)
    monkeypatch.setattr("cellmm.io.memory.free_memory", lambda: None)
    check_memory("a.tif", (2**14, 2**13), 16)


def test_whole_numbers_and_shares():
    check_whole(1, a=1, b=(2, 3), c=None)
    check_share(a=0, b=1.0, c=None)
    for value in (0, 1.0, (), (2, 0)):
        with pytest.raises(ValueError, match="^a must be 1 or more, a whole number, got"):
            check_whole(1, a=value)
    for value in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="^a must be from 0 to 1, got"):
            check_share(a=value)
