"""Files that are written whole or not at all."""

import contextlib
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from cellmm.errors import CellMMError, cure_of

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

UNFINISHED = ".cellmm-"  # in the names of files that are being written


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


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a new folder beside ``path`` and move it into place, instead of what is there, on success.

    It is removed when the block raises. Missing parent folders are made. An OSError of writing names
    ``path``.
    """
    path, tmp = Path(path), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tmp = Path(tempfile.mkdtemp(prefix=f".{path.stem[:40]}{UNFINISHED}", dir=path.parent))
        new, old = tmp / "new", tmp / "old"
        new.mkdir()
        yield new
        for file in new.rglob("*"):
            if file.is_file():
                with open(file, "rb") as opened:
                    os.fsync(opened.fileno())
        if os.path.lexists(path):
            os.replace(path, old)
        os.replace(new, path)
    except OSError as error:
        ours = error.filename is None or (tmp and tmp in Path(os.fsdecode(error.filename)).parents)
        if error.errno is None or (tmp and not ours):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        if tmp is not None:
            shutil.rmtree(tmp, ignore_errors=True)


@contextlib.contextmanager
def locked_folder(folder: str | Path, what: str) -> Iterator[None]:
    """Keep other processes that lock ``folder`` out, until the block or this process ends.

    The folder is made if it is absent. Disks without locks keep nobody out.

    Args:
        what: writes into it, for the error, such as "`cellmm predict`".

    Raises:
        CellMMError: another process has locked it.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    handle = None
    try:
        if fcntl is not None:
            handle = os.open(folder, os.O_RDONLY)
            with contextlib.suppress(OSError):
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise CellMMError(
                        f"another {what} is writing into {folder}: wait for its end, or name another folder"
                    ) from None
        yield
    finally:
        if handle is not None:
            os.close(handle)


def put_away(paths: Sequence[Path], folder: Path) -> Path | None:
    """Move ``paths`` into ``<folder>/earlier/<time of the newest of them>`` and return that folder.

    Nothing is overwritten. Returns None if none of the paths exists.
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
    """Raise CellMMError where a file ``path`` could not be written; the trial leaves nothing behind."""
    path = Path(os.path.abspath(path))
    if path.is_dir():
        raise CellMMError(f"{path} is a folder: name a file")
    folder = next(parent for parent in path.parents if os.path.lexists(parent))
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
