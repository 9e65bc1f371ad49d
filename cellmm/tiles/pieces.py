"""The file of a piece: what was found in each unit of its work."""

import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.files import atomic_path
from cellmm.structures import MaskRuns
from cellmm.tiles.plan import piece_path

OPEN = 8  # files that are kept open


@dataclass(frozen=True)
class UnitResult:
    """What was found in a tile or in a whole image.

    Args:
        masks: in the frame of the image; None: the model gives no cells.
        scores: float32 (N,).
        labels: int64 (N,).
        maps: {target: float32 (h, w)}.
        error: why nothing was found.
    """

    masks: MaskRuns | None
    scores: np.ndarray
    labels: np.ndarray
    maps: Mapping[str, np.ndarray]
    error: str | None = None

    @classmethod
    def failed(cls, error: str) -> "UnitResult":
        """A unit that could not be predicted."""
        return cls(None, np.zeros(0, np.float32), np.zeros(0, np.int64), {}, error)

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """What is kept, each name after ``prefix``."""
        if self.error is not None:
            return {f"{prefix}error": np.array(self.error, dtype=np.str_)}
        found = {f"{prefix}map_{name}": np.asarray(probs) for name, probs in self.maps.items()}
        found[f"{prefix}maps"] = np.array(sorted(self.maps), dtype=np.str_)
        if self.masks is not None:
            names = ("first", "x", "y", "length")
            found.update({f"{prefix}{name}": getattr(self.masks, name) for name in names})
            found.update({f"{prefix}scores": self.scores, f"{prefix}labels": self.labels})
        return found


def write_piece(folder: Path, number: int, mark: str, units: Mapping[tuple[int, int], UnitResult]) -> None:
    """Write the results of the units, by image and unit; the same results give the same bytes.

    Args:
        mark: ``plan_hash`` of the plan.
    """
    arrays = {"plan": np.array(mark, dtype=np.str_)}
    for (image, unit), result in units.items():
        arrays.update(result.arrays(f"{image}_{unit}_"))
    with atomic_path(piece_path(folder, number)) as tmp:
        np.savez(tmp, **arrays)


def is_finished(folder: Path, number: int, mark: str) -> bool:
    """Whether a piece of the plan with this ``mark`` is there, whole."""
    try:
        with np.load(piece_path(folder, number)) as content:
            return content["plan"].item() == mark
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return False


class PieceReader:
    """Reads units from the files of pieces, a few of which are open at a time.

    Args:
        where: {(image, unit): number of the piece}.
    """

    def __init__(self, folder: Path, where: Mapping[tuple[int, int], int]) -> None:
        self.folder, self.where = folder, where
        self._open: OrderedDict[int, np.lib.npyio.NpzFile] = OrderedDict()

    def read(self, image: int, unit: int, shape: tuple[int, int], *, maps: bool = True) -> UnitResult:
        """The result of a unit of an image of ``shape``; ``maps`` False: without its maps.

        Raises:
            CellMMError: the piece is damaged.
        """
        number, prefix = self.where[image, unit], f"{image}_{unit}_"
        try:
            content = self._file(number)
            if f"{prefix}error" in content.files:
                return UnitResult.failed(content[f"{prefix}error"].item())
            names = content[f"{prefix}maps"].tolist() if maps else []
            found = {name: content[f"{prefix}map_{name}"] for name in names}
            if f"{prefix}first" not in content.files:
                return UnitResult(None, np.zeros(0, np.float32), np.zeros(0, np.int64), found)
            runs = (content[f"{prefix}{name}"] for name in ("first", "x", "y", "length"))
            scores, labels = content[f"{prefix}scores"], content[f"{prefix}labels"]
            return UnitResult(MaskRuns(shape, *runs), scores, labels, found)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise CellMMError(
                f"{piece_path(self.folder, number)} is damaged: remove it and run the piece again"
            ) from error

    def close(self) -> None:
        """Close all files."""
        while self._open:
            self._open.popitem()[1].close()

    def _file(self, number: int) -> np.lib.npyio.NpzFile:
        if number not in self._open:
            self._open[number] = np.load(piece_path(self.folder, number))
            if len(self._open) > OPEN:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(number)
        return self._open[number]
