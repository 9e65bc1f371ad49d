"""Where to cut an image into tiles, which tile an instance belongs to, and what two tiles both found."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask

SAME = 0.5  # masks of two tiles with more IoU than this are one instance


@dataclass(frozen=True)
class Tile:
    """Pixels ``top`` to ``bottom`` and ``left`` to ``right`` (ends excluded) of an image, and its core.

    ``core``: (top, left, bottom, right); the cores of an image's tiles share no pixel and leave none out.
    """

    top: int
    left: int
    bottom: int
    right: int
    core: tuple[float, float, float, float]

    def owns(self, points: np.ndarray, slack: float = 0) -> np.ndarray:
        """Which (y, x) of ``points`` (N, 2), pixels of the image, lie in the core: bool (N,).

        ``slack``: or this near to it; two tiles may see one cell in places that differ by a few pixels.
        """
        y, x = points.T + 0.5
        top, left, bottom, right = self.core
        return (top - slack <= y) & (y < bottom + slack) & (left - slack <= x) & (x < right + slack)

    def cuts(self, boxes: np.ndarray, shape: Sequence[int], margin: int = 0) -> np.ndarray:
        """Which ``boxes`` (N, 4), (top, left, bottom, right), reach a border of the tile that is not a
        border of the image of ``shape``, or the ``margin`` there, where no mask is drawn: bool (N,)."""
        first, end = np.array([self.top, self.left]), np.array([self.bottom, self.right])
        low = (boxes[:, :2] <= first + margin) & (first > 0)
        high = (boxes[:, 2:] >= end - margin) & (end < shape)
        return (low | high).any(1)

    def meets(self, other: "Tile") -> bool:
        """Whether the two tiles share pixels."""
        return (
            self.top < other.bottom
            and other.top < self.bottom
            and self.left < other.right
            and other.left < self.right
        )


def cut_into_tiles(shape: Sequence[int], tile: int, overlap: int) -> list[Tile]:
    """Tiles of ``tile`` pixels a side, row by row; neighbours share ``overlap`` pixels, the last ones more.

    A side of the image (h, w) that is at most as long as a tile is not cut.
    """
    rows, cols = (_cut_side(side, tile, overlap) for side in shape)
    return [
        Tile(top, left, bottom, right, (core_top, core_left, core_bottom, core_right))
        for top, bottom, core_top, core_bottom in rows
        for left, right, core_left, core_right in cols
    ]


def _cut_side(side: int, tile: int, overlap: int) -> list[tuple[int, int, float, float]]:
    """(first, end, first of the core, end of the core) along one side of the image."""
    if side <= tile:
        return [(0, side, -np.inf, np.inf)]
    starts = [*range(0, side - tile, tile - overlap), side - tile]
    seams = [(a + tile + b) / 2 for a, b in zip(starts[:-1], starts[1:], strict=True)]
    edges = [-np.inf, *seams, np.inf]
    return [(s, s + tile, edges[i], edges[i + 1]) for i, s in enumerate(starts)]


def without_repeats(tiles: Sequence[Tile], masks: Sequence[list[dict]], scores: np.ndarray) -> np.ndarray:
    """Which instances stay, bool (N,): of two that different tiles found and that are one, the better.

    Args:
        masks: RLEs in one frame, one list per tile, N together; two of one tile are never the same instance.
        scores: (N,).
    """
    first = np.cumsum([0, *map(len, masks)])
    pairs = []
    filled = [i for i, found in enumerate(masks) if found]  # few where tiles are small
    for i, j in itertools.combinations(filled, 2):
        if tiles[i].meets(tiles[j]):
            iou = coco_mask.iou(masks[i], masks[j], [0] * len(masks[j]))
            pairs += [(int(first[i] + m), int(first[j] + n)) for m, n in np.argwhere(iou > SAME)]
    stays = np.ones(first[-1], dtype=bool)
    better_first = [(a, b) if scores[a] >= scores[b] else (b, a) for a, b in pairs]
    for better, other in sorted(better_first, key=lambda pair: (-scores[pair[0]], pair)):
        stays[other] &= not stays[better]
    return stays
