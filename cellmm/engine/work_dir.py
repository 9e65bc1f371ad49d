"""What earlier trainings left in a work dir."""

import logging
import re
import shutil
import time
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.logging import print_log

from cellmm.engine.checkpoint import load_checkpoint
from cellmm.errors import CellMMError


def find_training_state(work_dir: Path) -> str | None:
    """The checkpoint of the most iterations that is whole and can be resumed from; None where there is none.

    Files that are damaged are passed over with a line that names them.
    """
    _remove_unfinished(work_dir)
    paths = [path for path in work_dir.glob("*.pth") if re.fullmatch(r"(iter|epoch)_\d+", path.stem)]
    for path in sorted(paths, key=lambda path: int(path.stem.split("_")[1]), reverse=True):
        try:
            checkpoint = load_checkpoint(path)
        except CellMMError as error:
            print_log(f"{error}; the one before is tried", logger="current", level=logging.WARNING)
            continue
        if isinstance(checkpoint, dict) and "optimizer" in checkpoint:
            return str(path)
    print_log(
        f"{work_dir}: no checkpoint to resume from; training starts from the beginning",
        logger="current",
        level=logging.WARNING,
    )
    return None


def put_earlier_training_away(work_dir: Path, keep: str | None = None) -> None:
    """Move an earlier training's checkpoints into ``work_dir/earlier/<time>``, but for the file ``keep``.

    So a second training neither overwrites them nor is mixed up with them.
    """
    if not is_main_process():
        return
    _remove_unfinished(work_dir)
    kept = Path(keep).absolute() if keep else None
    paths = [path for path in work_dir.glob("*.pth") if path.absolute() != kept]
    if not paths:
        return
    newest = time.localtime(max(path.stat().st_mtime for path in paths))
    folder = work_dir / "earlier" / time.strftime("%Y%m%d_%H%M%S", newest)
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        shutil.move(path, folder / path.name)
    print_log(
        f"{len(paths)} checkpoints of an earlier training are now in {folder}; to go on with one: --resume",
        logger="current",
        level=logging.WARNING,
    )


def _remove_unfinished(work_dir: Path) -> None:
    """Temporary files of a training that was killed while it wrote a checkpoint."""
    if is_main_process():
        for path in work_dir.glob(".*.pth"):
            path.unlink(missing_ok=True)
