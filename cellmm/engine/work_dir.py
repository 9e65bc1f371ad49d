"""What earlier trainings left in a work dir."""

import logging
import re
import shutil
import time
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.logging import print_log

from cellmm.engine.checkpoint import load_checkpoint
from cellmm.errors import CellMMError


def default_work_dir(config: str | Path) -> str:
    """work_dirs/<folder of the config>/<config>: several models have a config of one name."""
    path = Path(config)
    return str(Path("work_dirs", path.parent.name, path.stem))


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


def put_other_training_away(cfg: Config) -> None:
    """Move checkpoints of another training than ``cfg``'s from its work dir into ``earlier/<time>`` there.

    These are all of them; where training goes on from a file of the work dir, those of more iterations. So
    nothing is overwritten, removed or taken for this training's. Files that the config names stay.
    """
    if not is_main_process():
        return
    work_dir = Path(cfg.work_dir)
    _remove_unfinished(work_dir)
    named = {Path(text).resolve() for text in re.findall(r"'([^']+\.pth)'", cfg.pretty_text)}
    least = -1
    if cfg.get("resume") and Path(cfg.load_from).resolve().parent == work_dir.resolve():
        least = load_checkpoint(cfg.load_from)["meta"].get("iter", 0)
    paths = [
        path
        for path in work_dir.glob("*.pth")
        if (number := re.fullmatch(r"(?:|best_.*_|non_finite_)(?:iter|epoch)_(\d+)", path.stem))
        and int(number[1]) > least
        and path.resolve() not in named
    ]
    if not paths:
        return
    newest = time.localtime(max(path.stat().st_mtime for path in paths))
    folder = work_dir / "earlier" / time.strftime("%Y%m%d_%H%M%S", newest)
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        shutil.move(path, folder / path.name)
    print_log(
        f"{len(paths)} checkpoints of another training are now in {folder}; to go on with one: --resume",
        logger="current",
        level=logging.WARNING,
    )


def _remove_unfinished(work_dir: Path) -> None:
    """Temporary files of a training that was killed while it wrote a checkpoint."""
    if is_main_process():
        for path in work_dir.glob(".*.pth"):
            path.unlink(missing_ok=True)
