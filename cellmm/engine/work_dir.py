"""The work dir: what earlier trainings left in it, and a lock so that only one training uses it."""

import errno
import logging
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.logging import print_log

from cellmm.config.names import find_config
from cellmm.engine.checkpoints import load_checkpoint
from cellmm.errors import CellMMError
from cellmm.io.checkpoint_files import checkpoint_files
from cellmm.io.files import UNFINISHED, put_away

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK = ".lock"
CONTACT_SHEET = "contact_sheet.png"
VALIDATION_PICTURES = "validation_pictures"  # a folder for each validation in it
TRANSLATED = "translated"  # the picture there of a model that translates images
BEST_AND_WORST, SCORES = "best_and_worst", "scores.json"  # the second in the first, beside pictures
# files being written, and the trial checkpoint of FirstCheckpointHook
_UNFINISHED = re.compile(
    rf"\.{{1,2}}(iter|epoch|best|non_finite)_.*{re.escape(UNFINISHED)}\w{{8}}\.pth|\.iter_\d+\.trial\.pth"
)
_locks: dict[Path, IO] = {}  # held by this process


def default_work_dir(config: str | Path) -> str:
    """work_dirs/<folder of the config>/<config>: configs of several models have the same name."""
    path = find_config(config)
    return str(Path("work_dirs", path.parent.name, path.stem))


def lock_work_dir(work_dir: Path) -> None:
    """Keep other trainings out of ``work_dir`` until this process ends or calls ``unlock_work_dir``.

    A process that was killed holds no lock, and neither do the workers that it leaves behind. If the system
    or the disk does not know locks, a warning says so.

    Raises:
        CellMMError: another process holds it.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    path = work_dir.resolve() / LOCK
    held = _locks.get(path)
    if held is not None and path.exists() and os.path.samestat(os.fstat(held.fileno()), path.stat()):
        return
    file = open(path, "a+", encoding="utf-8", errors="replace")
    try:
        if fcntl is None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        with file:
            file.seek(0)
            holder = " ".join(file.read(200).split())
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise CellMMError(
                f"{work_dir}: another training is at work here ({holder or 'no name given'}); wait for its "
                "end, or take another place: --work-dir"
            ) from error
        print_log(
            f"{work_dir}: cannot be locked here ({error.strerror}); see to it that no other training uses it",
            logger="current",
            level=logging.WARNING,
        )
        return
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}")
    file.flush()
    _locks[path] = file


def unlock_work_dir(work_dir: Path) -> None:
    """Let other trainings use ``work_dir``; does nothing if this process does not hold it."""
    if file := _locks.pop(work_dir.resolve() / LOCK, None):
        file.close()


def find_training_state(work_dir: Path) -> str | None:
    """The complete checkpoint of the most iterations that can be resumed from, or None.

    Damaged files are skipped with a line that names them.
    """
    _remove_unfinished(work_dir)
    newest = [found for unit in ("iter", "epoch") if (found := _newest(work_dir, unit))]
    if newest:
        return str(max(newest)[1])
    print_log(
        f"{work_dir}: no checkpoint to resume from; training starts from the beginning",
        logger="current",
        level=logging.WARNING,
    )
    return None


def _newest(work_dir: Path, unit: str) -> tuple[int, Path] | None:
    """The last file ``<unit>_<number>.pth`` that can be resumed from, after the number of its iterations."""
    files = [file for file in checkpoint_files(work_dir) if not file.kind and file.unit == unit]
    for path in (file.path for file in reversed(files)):
        try:
            checkpoint = load_checkpoint(path)
        except CellMMError as error:
            print_log(f"{error}; the one before is tried", logger="current", level=logging.WARNING)
            continue
        if isinstance(checkpoint, dict) and "optimizer" in checkpoint:
            return checkpoint["meta"].get("iter", 0), path
    return None


def put_other_training_away(cfg: Config) -> None:
    """Move checkpoints of another training than ``cfg``'s from its work dir into ``earlier/<time>`` there.

    These are all of them; where training goes on from a file of the work dir, those of more iterations or
    epochs. So nothing is overwritten, removed or taken for this training's. Files that the config names stay.
    """
    if not is_main_process():
        return
    work_dir = Path(cfg.work_dir)
    _remove_unfinished(work_dir)
    named = {Path(text).resolve() for text in _texts(cfg.to_dict()) if text.endswith(".pth")}
    done = dict(iter=-1, epoch=-1)
    if cfg.get("resume") and Path(cfg.load_from).resolve().parent == work_dir.resolve():
        meta = load_checkpoint(cfg.load_from)["meta"]
        done = {unit: meta.get(unit, 0) for unit in done}
    paths = [
        file.path
        for file in checkpoint_files(work_dir)
        if file.number > done[file.unit] and file.path.resolve() not in named
    ]
    folder = put_away(paths, work_dir)
    if folder is None:
        return
    print_log(
        f"{len(paths)} checkpoints of another training are now in {folder}; to go on with one: --resume",
        logger="current",
        level=logging.WARNING,
    )


def _texts(value: Any) -> Iterator[str]:
    """All texts in nested dicts and lists."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _remove_unfinished(work_dir: Path) -> None:
    """Remove checkpoints that a killed training was writing, recognised by cellmm's names for them."""
    if is_main_process():
        for path in work_dir.glob(".*.pth"):
            if _UNFINISHED.fullmatch(path.name):
                path.unlink(missing_ok=True)
