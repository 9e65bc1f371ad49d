"""The file of a piece: what was found in each unit of its work."""

import zipfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.files import atomic_path
from cellmm.structures import MaskRuns
from cellmm.tiles.plan import piece_path

IN_MEMORY = 8  # pieces


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


def write_piece(
    folder: Path, number: int, mark: str, units: Mapping[tuple[int, int], UnitResult], device: str = "cpu"
) -> None:
    """Write the results of the units, by image and unit; the same results give the same bytes.

    The runs of all units are in one array each, so that thousands of small tiles cost little to read.

    Args:
        mark: ``plan_hash`` of the plan.
        device: the kind of device that predicted them, such as 'cuda'.
    """
    results = list(units.values())
    found = [result for result in results if result.masks is not None]
    cells = [-1 if result.masks is None else len(result.masks) for result in results]
    runs = [0 if result.masks is None else len(result.masks.x) for result in results]
    arrays = {
        "plan": np.array(mark, dtype=np.str_),
        "device": np.array(device, dtype=np.str_),
        "units": np.array(list(units), dtype=np.int64).reshape(-1, 2),
        "cells": np.array(cells, np.int64),
        "runs": np.array(runs, np.int64),
        "errors": np.array([result.error or "" for result in results], dtype=np.str_),
        "scores": _joined([result.scores for result in found], np.float32),
        "labels": _joined([result.labels for result in found], np.int64),
        "num": _joined([np.diff(result.masks.first) for result in found], np.int32),
    }
    for name in ("x", "y", "length"):
        arrays[name] = _joined([getattr(result.masks, name) for result in found], np.int32)
    for (image, unit), result in units.items():
        for name, probs in result.maps.items():
            arrays[f"map_{image}_{unit}_{name}"] = np.asarray(probs)
    with atomic_path(piece_path(folder, number)) as tmp:
        np.savez(tmp, **arrays)


def _joined(parts: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype)


def is_finished(folder: Path, number: int, mark: str) -> bool:
    """Whether a piece of the plan with this ``mark`` is there, whole."""
    try:
        with np.load(piece_path(folder, number)) as content:
            return content["plan"].item() == mark
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return False


def device_of(folder: Path, number: int) -> str:
    """The kind of device that predicted a finished piece."""
    with np.load(piece_path(folder, number)) as content:
        return content["device"].item()


class _Piece:
    """The content of a file: cells in memory, maps as they are asked for."""

    def __init__(self, path: Path) -> None:
        self.file = np.load(path)
        names = ("units", "cells", "runs", "errors", "scores", "labels", "num", "x", "y", "length")
        self.arrays = {name: self.file[name] for name in names}
        self.place = {tuple(unit): place for place, unit in enumerate(self.arrays["units"].tolist())}
        self.first_cell = np.concatenate([[0], np.cumsum(np.maximum(self.arrays["cells"], 0))])
        self.first_run = np.concatenate([[0], np.cumsum(self.arrays["runs"])])
        self.maps: dict[tuple[int, int], list[str]] = {}
        for name in self.file.files:
            if name.startswith("map_"):
                _, image, unit, target = name.split("_", 3)
                self.maps.setdefault((int(image), int(unit)), []).append(target)

    def unit(self, image: int, unit: int, shape: tuple[int, int], with_maps: bool) -> UnitResult:
        place = self.place[image, unit]
        if error := self.arrays["errors"][place].item():
            return UnitResult.failed(error)
        names = self.maps.get((image, unit), []) if with_maps else []
        maps = {name: self.file[f"map_{image}_{unit}_{name}"] for name in names}
        cells = slice(self.first_cell[place], self.first_cell[place + 1])
        masks = None
        if self.arrays["cells"][place] >= 0:
            first = np.concatenate([[0], np.cumsum(self.arrays["num"][cells], dtype=np.int64)])
            runs = slice(self.first_run[place], self.first_run[place + 1])
            masks = MaskRuns(shape, first, *(self.arrays[name][runs] for name in ("x", "y", "length")))
        return UnitResult(masks, self.arrays["scores"][cells], self.arrays["labels"][cells], maps)


class PieceReader:
    """Reads units from the files of pieces, a few of which are in memory at a time.

    Args:
        where: {(image, unit): number of the piece}.
    """

    def __init__(self, folder: Path, where: Mapping[tuple[int, int], int]) -> None:
        self.folder, self.where = folder, where
        self._pieces: OrderedDict[int, _Piece] = OrderedDict()

    def read(self, image: int, unit: int, shape: tuple[int, int], *, maps: bool = True) -> UnitResult:
        """The result of a unit of an image of ``shape``; ``maps`` False: without its maps.

        Raises:
            CellMMError: the piece is damaged.
        """
        number = self.where[image, unit]
        try:
            if number not in self._pieces:
                self._pieces[number] = _Piece(piece_path(self.folder, number))
                if len(self._pieces) > IN_MEMORY:
                    self._pieces.popitem(last=False)[1].file.close()
            self._pieces.move_to_end(number)
            return self._pieces[number].unit(image, unit, shape, maps)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise CellMMError(
                f"{piece_path(self.folder, number)} is damaged: remove it and run the piece again"
            ) from error
