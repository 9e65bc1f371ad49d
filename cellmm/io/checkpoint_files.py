"""The checkpoints in the folder of a training, by their names."""

import re
from dataclasses import dataclass
from pathlib import Path

from cellmm.errors import CellMMError

_NAME = re.compile(r"(?P<kind>|best_.*_|non_finite_)(?P<unit>iter|epoch)_(?P<number>\d+)")


@dataclass(frozen=True)
class CheckpointFile:
    """``iter_500.pth``, ``best_AP_epoch_12.pth`` or ``non_finite_iter_7.pth``.

    Args:
        kind: '' of the regular ones, 'best_<score>_', or 'non_finite_', which no training goes on from.
        unit: 'iter' or 'epoch', of which ``number`` were done.
    """

    path: Path
    kind: str
    unit: str
    number: int


def checkpoint_files(folder: Path) -> list[CheckpointFile]:
    """All that training wrote into ``folder``, those of the fewest iterations or epochs first."""
    named = [(path, _NAME.fullmatch(path.stem)) for path in sorted(folder.glob("*.pth"))]
    found = [CheckpointFile(path, m["kind"], m["unit"], int(m["number"])) for path, m in named if m]
    return sorted(found, key=lambda file: file.number)


def best_checkpoint(path: str | Path) -> Path:
    """``path`` itself, or of a folder the checkpoint of the best score, else that of the most iterations.

    Raises:
        CellMMError: the folder has none.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    found = checkpoint_files(path)
    best = [file for file in found if file.kind.startswith("best_")]
    usable = best or [file for file in found if not file.kind]
    if not usable:
        raise CellMMError(f"{path}: no checkpoint in it yet; wait for the first one, or name a file")
    return usable[-1].path
