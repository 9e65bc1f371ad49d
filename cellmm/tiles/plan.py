"""What is to be predicted, cut into pieces of about the same work, in a folder that all machines see.

plan.json            the images, how each is cut, and the pieces
pieces/0007.npz      what was found in a piece, written whole or not at all
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cellmm.apis.inferencer import CellInferencer
from cellmm.apis.tile_plan import TilePlan
from cellmm.errors import CellMMError
from cellmm.io.files import atomic_path
from cellmm.results.run_folder import InputFile, failure_of, stamp_of

PLAN = "plan.json"
PIECES = "pieces"


@dataclass(frozen=True)
class PlannedImage:
    """One image of a file.

    Args:
        file: number of its file among those of the plan.
        number: of the image in its file.
        name: as of its ImageSource.
        shape: (H, W).
        tiles: how it is cut; None: it is predicted whole.
        error: why it cannot be predicted.
    """

    file: int
    number: int
    name: str
    shape: tuple[int, int]
    tiles: TilePlan | None = None
    error: str | None = None

    @property
    def areas(self) -> list[int]:
        """Pixels of each unit of work: its tiles, or the whole image."""
        if self.error is not None:
            return []
        if self.tiles is None:
            return [self.shape[0] * self.shape[1]]
        boxes = np.array([tile.box for tile in self.tiles.grid.tiles()])
        return np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).tolist()


@dataclass(frozen=True)
class Work:
    """Units ``first`` to ``end`` (excluded) of an image: tiles, or 0 to 1 for the whole image."""

    image: int
    first: int
    end: int


@dataclass(frozen=True)
class PiecePlan:
    """All that is to be done.

    Args:
        arguments: what the plan was made with, for the command that merges.
        inferencer: arguments of CellInferencer but its device, with whole paths.
        maps: the maps of the model are kept even if it gives cells.
        settings: of ``settings_of``: the model that the pieces need.
        files: the inputs.
        stamps: ``stamp_of`` each of them.
        images: those that can be opened, in the order of the files.
        pieces: the work of each.
    """

    arguments: list[str]
    inferencer: dict[str, Any]
    maps: bool
    settings: dict[str, str]
    files: list[InputFile]
    stamps: list[tuple[int, int] | None]
    images: list[PlannedImage]
    pieces: list[list[Work]]

    @cached_property
    def text(self) -> str:
        """The content of ``plan.json``."""
        content = asdict(self)
        content["files"] = [[str(file.path), file.name, file.stem] for file in self.files]
        for image, own in zip(content["images"], self.images, strict=True):
            image["tiles"] = None if own.tiles is None else own.tiles.to_dict()
        return json.dumps(content, sort_keys=True)

    @cached_property
    def mark(self) -> str:
        """What marks the pieces of this plan."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """Write ``plan.json``; pieces of another plan are no longer valid there."""
        with atomic_path(folder / PLAN) as tmp:
            tmp.write_text(self.text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "PiecePlan":
        """The plan in ``folder``.

        Raises:
            CellMMError: there is none, or it is damaged.
        """
        try:
            content = json.loads((folder / PLAN).read_text(encoding="utf-8"))
            content["files"] = [InputFile(Path(path), name, stem) for path, name, stem in content["files"]]
            content["stamps"] = [None if stamp is None else tuple(stamp) for stamp in content["stamps"]]
            for image in content["images"]:
                image["shape"] = tuple(image["shape"])
                image["tiles"] = None if image["tiles"] is None else TilePlan.from_dict(image["tiles"])
            content["images"] = [PlannedImage(**image) for image in content["images"]]
            content["pieces"] = [[Work(**work) for work in piece] for piece in content["pieces"]]
            return cls(**content)
        except OSError as error:
            raise CellMMError(f"{folder / PLAN} cannot be read: run `cellmm tiles plan` first") from error
        except (ValueError, TypeError, KeyError) as error:
            raise CellMMError(f"{folder / PLAN} is damaged: run `cellmm tiles plan` again") from error


def plan_hash(folder: Path) -> str:
    """What marks the pieces of the plan in ``folder``."""
    return hashlib.sha256((folder / PLAN).read_bytes()).hexdigest()


def piece_path(folder: Path, number: int) -> Path:
    """Where a piece is kept."""
    return folder / PIECES / f"{number:04d}.npz"


def make_plan(
    inferencer: CellInferencer,
    files: Sequence[InputFile],
    num_pieces: int,
    *,
    arguments: Sequence[str],
    options: Mapping[str, Any],
    settings: Mapping[str, str],
    maps: bool = False,
) -> PiecePlan:
    """Open all files, cut the large images, and share the work among the pieces.

    A file that cannot be opened, and an image that cannot be predicted, are in no piece; merging says why.

    Args:
        options: arguments of CellInferencer but its device.
        settings: what describes the model, see ``settings_of``.

    Raises:
        CellMMError: fewer than one piece.
    """
    if num_pieces < 1:
        raise CellMMError(f"--pieces {num_pieces}: 1 or more is needed")
    images: list[PlannedImage] = []
    for number, file in enumerate(files):
        try:
            sources = inferencer.open(file.path, name=file.stem)
        except CellMMError:
            continue
        for place, source in enumerate(sources):
            tiles = error = None
            try:
                tiles = inferencer.large and inferencer.large.plan(source)
            except CellMMError as problem:
                error = failure_of(problem)
            images.append(PlannedImage(number, place, source.name, tuple(source.shape), tiles, error))
    return PiecePlan(
        arguments=list(arguments),
        inferencer=dict(options),
        maps=maps,
        settings=dict(settings),
        files=[InputFile(file.path.absolute(), file.name, file.stem) for file in files],
        stamps=[stamp_of(file.path) for file in files],
        images=images,
        pieces=share([image.areas for image in images], num_pieces),
    )


def share(areas: Sequence[Sequence[int]], num_pieces: int) -> list[list[Work]]:
    """The work of each piece: units in a row, of about the same number of pixels in all pieces.

    Args:
        areas: pixels of the units of each image.

    >>> [[(w.image, w.first, w.end) for w in piece] for piece in share([[4], [1, 1, 1, 1]], 2)]
    [[(0, 0, 1)], [(1, 0, 4)]]
    """
    sizes = np.array([size for own in areas for size in own], dtype=np.float64)
    middle = np.cumsum(sizes) - sizes / 2
    pieces = np.minimum(middle / max(sizes.sum(), 1) * num_pieces, num_pieces - 1).astype(np.int64)
    found: list[list[Work]] = [[] for _ in range(num_pieces)]
    done = 0
    for image, own in enumerate(areas):
        mine = pieces[done : done + len(own)]
        for piece in np.unique(mine):
            where = np.flatnonzero(mine == piece)
            found[piece].append(Work(image, int(where[0]), int(where[-1]) + 1))
        done += len(own)
    return found
