"""Weights by their names: checkpoints in the folder of a training, files in the cache of torchvision."""

import re
from dataclasses import dataclass
from pathlib import Path

from cellmm.errors import CellMMError

TORCHVISION = "torchvision://"
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


def torchvision_file(name: str | Path) -> Path:
    """The file in torchvision's cache that ``torchvision://MODEL`` means, such as ``torchvision://resnet50``.

    Of several files that are there it is the one that torchvision recommends. Nothing is downloaded.

    Raises:
        CellMMError: torchvision has no such model, or the cache no weights of it; the line names the file and
            the place for it.
    """
    from torch.hub import get_dir
    from torchvision.models import get_model_weights

    try:
        choices = get_model_weights(str(name).removeprefix(TORCHVISION))
    except ValueError as error:
        raise CellMMError(f"{name}: torchvision has no such model; see its list of models") from error
    folder = Path(get_dir(), "checkpoints")
    urls = dict.fromkeys([choices.DEFAULT.url, *(weights.url for weights in choices)])
    paths = {folder / url.rpartition("/")[2]: url for url in urls}
    for path in paths:
        if path.is_file():
            return path
    path, url = next(iter(paths.items()))
    raise CellMMError(
        f"{path}: no such file, and cellmm downloads nothing; fetch {url} and put it there, or give the file "
        "as --from"
    )
