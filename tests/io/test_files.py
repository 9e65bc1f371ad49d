"""Files are written whole or not at all, and a place that takes none is named before."""

import errno
import os

import pytest

from cellmm.errors import CellMMError
from cellmm.io.files import atomic_folder, atomic_path, check_writable, locked_folder, put_away


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


def test_folders_are_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "a.ome.zarr"
    for text in ("first", "second"):
        with atomic_folder(path) as folder:
            (folder / "0").mkdir()
            (folder / "0" / "c").write_text(text)
            assert folder.parent.parent == path.parent
        assert (path / "0" / "c").read_text() == text
    with pytest.raises(ValueError, match="stop"), atomic_folder(path) as folder:
        (folder / "0").mkdir()
        raise ValueError("stop")
    assert (path / "0" / "c").read_text() == "second"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(OSError, match=r"file/a\.ome\.zarr'$"),
        atomic_folder(tmp_path / "file" / "a.ome.zarr"),
    ):
        pass
    with pytest.raises(OSError, match=r"a\.ome\.zarr'$"), atomic_folder(tmp_path / "a.ome.zarr") as folder:
        (folder / ("x" * 300)).touch()
    with pytest.raises(FileNotFoundError, match=r"other\.txt'$"), atomic_folder(tmp_path / "a.ome.zarr"):
        (tmp_path / "other.txt").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_locked_folder_keeps_others_out(tmp_path):
    with locked_folder(tmp_path / "out", "`cellmm predict`"):
        with pytest.raises(CellMMError, match="another `cellmm predict` is writing into .*out: wait"):
            with locked_folder(tmp_path / "out", "`cellmm predict`"):
                pass
    with locked_folder(tmp_path / "out", "`cellmm predict`"):
        assert names(tmp_path / "out") == []
