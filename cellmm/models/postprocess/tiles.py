"""Where an image is cut into tiles, and what each tile shares with its neighbours."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cellmm.errors import CellMMError


@dataclass(frozen=True)
class Tile:
    """Pixels ``top`` to ``bottom`` and ``left`` to ``right`` (ends excluded) of an image, and its core.

    ``core``: (top, left, bottom, right); the cores of an image's tiles share no pixel and leave none out.
    """

    top: int
    left: int
    bottom: int
    right: int
    core: tuple[float, float, float, float] = (-np.inf, -np.inf, np.inf, np.inf)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(top, left, bottom, right)."""
        return self.top, self.left, self.bottom, self.right

    def owns(self, points: np.ndarray, slack: float = 0) -> np.ndarray:
        """Which (y, x) of ``points`` (N, 2), pixels of the image, lie in the core: bool (N,).

        ``slack``: or this near to it; two tiles may see one cell in places that differ by a few pixels.
        """
        y, x = points.T + 0.5
        top, left, bottom, right = self.core
        return (top - slack <= y) & (y < bottom + slack) & (left - slack <= x) & (x < right + slack)

    def seen(self, shape: Sequence[int], margin: int = 0) -> tuple[int, int, int, int]:
        """The box without ``margin`` at each border that is not a border of the image of ``shape``."""
        return (
            self.top + margin * (self.top > 0),
            self.left + margin * (self.left > 0),
            self.bottom - margin * (self.bottom < shape[0]),
            self.right - margin * (self.right < shape[1]),
        )

    def depth(self, boxes: np.ndarray, shape: Sequence[int], margin: int = 0) -> np.ndarray:
        """Pixels between each of ``boxes`` (N, 4), (top, left, bottom, right), and the nearest border of the
        tile that is not a border of the image of ``shape``, or the ``margin`` there: (N,).

        infinity: the tile has no such border. In the margin no mask is drawn.
        """
        top, left, bottom, right = self.seen(shape, margin)
        gaps = np.stack(
            [
                boxes[:, 0] - top if self.top > 0 else np.full(len(boxes), np.inf),
                boxes[:, 1] - left if self.left > 0 else np.full(len(boxes), np.inf),
                bottom - boxes[:, 2] if self.bottom < shape[0] else np.full(len(boxes), np.inf),
                right - boxes[:, 3] if self.right < shape[1] else np.full(len(boxes), np.inf),
            ]
        )
        return gaps.min(0)


@dataclass(frozen=True)
class TileGrid:
    """The tiles of an image of ``shape`` (H, W), numbered row by row.

    Attributes:
        rows, cols: (first, end, first of the core, end of the core) of each, in pixels.
        overlap: pixels that neighbouring tiles share at least.
    """

    shape: tuple[int, int]
    rows: tuple[tuple[int, int, float, float], ...]
    cols: tuple[tuple[int, int, float, float], ...]
    overlap: int

    @classmethod
    def cut(cls, shape: Sequence[int], tile: int, overlap: int, step: int = 1) -> "TileGrid":
        """Tiles of ``tile`` pixels per side; neighbours share ``overlap`` pixels, the last ones more.

        A side of the image that is at most as long as a tile is not cut.

        Args:
            overlap: at most half of ``tile``.
            step: tiles start at multiples of it, and ``tile`` and ``overlap`` are such multiples. The last
                tile ends with the image, so it may be shorter than the others by less than ``step``.

        Raises:
            CellMMError: an overlap of more than half a tile.
        """
        if tile < 1 or not 0 <= overlap <= tile / 2 or tile <= overlap:
            raise CellMMError(f"tiles of {tile} px that share {overlap} px: 0 to half of a tile can overlap")
        if tile % step or overlap % step:
            raise CellMMError(f"tiles of {tile} px that share {overlap} px: both must be multiples of {step}")
        rows, cols = (tuple(_cut_side(side, tile, overlap, step)) for side in shape)
        return cls((int(shape[0]), int(shape[1])), rows, cols, overlap)

    def __len__(self) -> int:
        return len(self.rows) * len(self.cols)

    def tile(self, number: int) -> Tile:
        """The tile of a ``number`` from 0."""
        row, col = divmod(number, len(self.cols))
        (top, bottom, core_top, core_bottom), (left, right, core_left, core_right) = (
            self.rows[row],
            self.cols[col],
        )
        return Tile(top, left, bottom, right, (core_top, core_left, core_bottom, core_right))

    def tiles(self) -> list[Tile]:
        """All tiles, row by row."""
        return [self.tile(number) for number in range(len(self))]

    def owner(self, points: np.ndarray) -> np.ndarray:
        """The number of the tile in whose core each of ``points`` (N, 2), (y, x), lies: int64 (N,)."""
        row, col = (
            np.searchsorted([end for *_, end in lines[:-1]], points[:, axis] + 0.5, side="right")
            for axis, lines in enumerate((self.rows, self.cols))
        )
        return row * len(self.cols) + col

    def at_stride(self, stride: int) -> "TileGrid":
        """The same tiles on a map with a pixel for every ``stride`` x ``stride`` pixels of the image."""

        def scaled(lines: tuple) -> tuple:
            return tuple((a // stride, -(-b // stride), c / stride, d / stride) for a, b, c, d in lines)

        shape = (-(-self.shape[0] // stride), -(-self.shape[1] // stride))
        return TileGrid(shape, scaled(self.rows), scaled(self.cols), self.overlap // stride)


def even_tile(shape: Sequence[int], tile: int, overlap: int, step: int = 1) -> int:
    """The smallest tile, a multiple of ``step``, that cuts an image of ``shape`` into no more than ``tile``
    does.

    An image that is a little larger than a tile would else be cut into tiles that share almost everything.

    >>> even_tile((1000, 1100), tile=1024, overlap=64, step=16)
    1008
    >>> even_tile((1900, 1900), tile=960, overlap=240, step=16)
    800
    """
    least = [2 * overlap]
    for side in shape:
        number = 1 if side <= tile else -(-(side - overlap) // (tile - overlap))
        least.append(math.ceil((side - overlap) / number) + overlap)
    return min(-(-max(least) // step) * step, tile)


def cut_into_tiles(shape: Sequence[int], tile: int, overlap: int) -> list[Tile]:
    """The tiles of ``TileGrid.cut``."""
    return TileGrid.cut(shape, tile, overlap).tiles()


def _cut_side(side: int, tile: int, overlap: int, step: int) -> list[tuple[int, int, float, float]]:
    """(first, end, first of the core, end of the core) along one side of the image."""
    side = int(side)
    if side <= tile:
        return [(0, side, -np.inf, np.inf)]
    last = -(-(side - tile) // step) * step
    starts = [*range(0, side - tile, tile - overlap), last]
    seams = [(a + tile + b) / 2 for a, b in zip(starts[:-1], starts[1:], strict=True)]
    edges = [-np.inf, *seams, np.inf]
    return [(s, min(s + tile, side), edges[i], edges[i + 1]) for i, s in enumerate(starts)]
