"""Instances that no tile saw whole are looked for again in a window of their own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cellmm.models.postprocess.join_tiles import COVERED, REACH, SAME, TileCells, one_to_one
from cellmm.models.postprocess.tiles import TileGrid
from cellmm.structures import MaskRuns

Box = tuple[int, int, int, int]
MAX_TILES = 4  # a window has at most the pixels of this many tiles


@dataclass(frozen=True)
class WindowRule:
    """How windows are laid around pieces.

    Args:
        context: pixels around the pieces.
        step: a window starts at multiples of it, and is as long as a multiple where the image allows that.
        max_pixels: of a window.
    """

    context: int
    step: int
    max_pixels: int

    @classmethod
    def of(cls, grid: TileGrid, step: int = 1, margin: int = 0) -> "WindowRule":
        """Half the overlap of the tiles and their ``margin`` as context; MAX_TILES tiles of pixels."""
        tile = grid.tile(0)
        area = (tile.bottom - tile.top) * (tile.right - tile.left)
        return cls(max(grid.overlap // 2, 8) + margin, step, MAX_TILES * area)

    def around(self, box: np.ndarray, shape: Sequence[int]) -> Box:
        """The window around ``box`` (top, left, bottom, right) in an image of ``shape``."""
        low = np.maximum(box[:2] - self.context, 0) // self.step * self.step
        high = -(-(box[2:] + self.context - low) // self.step) * self.step + low
        return (*low.tolist(), *np.minimum(high, shape).tolist())

    def allows(self, window: Box) -> bool:
        """Whether a window is not too large."""
        return (window[2] - window[0]) * (window[3] - window[1]) <= self.max_pixels


@dataclass
class LookedAgain:
    """What replaces the orphans.

    Attributes:
        found: {window: the instances in it that stay, as indices of what was found in the window}.
        cells: all of these, in the order of ``found``.
        united: groups of orphans that were too long for a window: the union of their pieces.
        num_windows: that were looked at.
    """

    cells: TileCells
    united: TileCells
    found: dict[Box, np.ndarray]
    num_windows: int


def look_again(
    kept: TileCells,
    pieces: TileCells,
    group: np.ndarray,
    look: Callable[[Box], TileCells],
    rule: WindowRule,
) -> LookedAgain:
    """Look for the instances that the tiles cut, and replace their pieces.

    Of a window around the pieces of a group, those instances are taken that share more than half of their
    pixels, or of those of a piece, with a piece. If one of them is cut by the window, the window grows. What
    ``kept`` or another window has already (IoU above SAME) is not taken again.

    Args:
        kept: instances that stay anyway.
        pieces, group: the orphans, and the group of each, sorted: int (P,).
        look: finds instances in a part of the image, (top, left, bottom, right); their ``depth`` is that in
            this part. Called once for each part.
    """
    shape = pieces.masks.shape
    boxes = pieces.masks.boxes()
    seen: dict[Box, TileCells] = {}
    taken: dict[Box, set[int]] = {}
    too_long = []
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    members = np.split(np.arange(len(group)), starts[1:])
    wanted = [
        (rule.around(_hull(boxes[own]), shape), own) for own in members if len(own)
    ]  # the largest first: a smaller one may lie inside
    for window, own in sorted(wanted, key=lambda item: (-_area(item[0]), item[0], item[1][0])):
        window = next((other for other in seen if _inside(window, other)), window)
        while True:
            if not rule.allows(window):
                too_long.append(own)
                break
            if window not in seen:
                seen[window] = look(window)
            hits = _hits(seen[window], pieces.select(own))
            cut = hits[seen[window].cut[hits]]
            if not len(cut):
                taken.setdefault(window, set()).update(hits.tolist())
                break
            window = _grown(window, _hull(seen[window].masks.boxes()[cut]), rule, shape)
    chosen = {window: np.array(sorted(taken[window]), dtype=np.int64) for window in sorted(taken)}
    found = _without_repeats(kept, {window: (seen[window], index) for window, index in chosen.items()})
    parts = [seen[window].select(index) for window, index in found.items()]
    cells = TileCells.concatenate([TileCells.empty(shape), *parts])
    too_long.sort(key=lambda own: own[0])
    united = _united(pieces, too_long)
    return LookedAgain(cells, united.select(_unseen(united, cells)), found, num_windows=len(seen))


def best_first(cells: TileCells) -> np.ndarray:
    """The order by score, then by place in the image, area and label: int64 (N,)."""
    keys = (*cells.masks.boxes().T[::-1], -cells.scores)
    return np.lexsort((cells.labels, cells.masks.areas(), *keys))


def _grown(window: Box, box: np.ndarray, rule: WindowRule, shape: Sequence[int]) -> Box:
    """A window that goes on where ``box`` reaches its border, by half of the box's longer side, or less."""
    inner = np.array(window) + [REACH, REACH, -REACH, -REACH]
    for more in (max(box[2:] - box[:2]) // 2, 0):
        low = np.where(box[:2] <= inner[:2], box[:2] - more, box[:2])
        high = np.where(box[2:] >= inner[2:], box[2:] + more, box[2:])
        around = rule.around(np.concatenate([low, np.minimum(high, shape)]), shape)
        grown = tuple(_hull(np.array([window, around])).tolist())
        if rule.allows(grown):
            break
    return grown


def _hull(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _inside(box: Box, other: Box) -> bool:
    return other[0] <= box[0] and other[1] <= box[1] and box[2] <= other[2] and box[3] <= other[3]


def _hits(cells: TileCells, pieces: TileCells) -> np.ndarray:
    """The instances of ``cells`` that stand for one of ``pieces``."""
    i, j, shared = cells.masks.intersections(pieces.masks)
    smaller = np.minimum(cells.masks.areas()[i], pieces.masks.areas()[j])
    return np.unique(i[shared > COVERED * smaller])


def _without_repeats(
    kept: TileCells, windows: dict[Box, tuple[TileCells, np.ndarray]]
) -> dict[Box, np.ndarray]:
    """The chosen instances of each window without those that ``kept`` or another window has.

    All instances of the windows are matched, not the chosen ones alone: so an instance that lies much over
    another one is not taken for it.
    """
    if not windows:
        return {}
    near = kept.select(_near(kept.masks.boxes(), np.array(list(windows))))
    parts = [near, *(cells for cells, _ in windows.values())]
    part = np.repeat(np.arange(len(parts)), [len(cells) for cells in parts])
    cells = TileCells.concatenate(parts)
    chosen = np.concatenate(
        [np.ones(len(near), bool), *(np.isin(np.arange(len(c)), index) for c, index in windows.values())]
    )
    i, j, shared = cells.masks.intersections(cells.masks)
    apart = (i < j) & (part[i] != part[j])
    i, j, shared = i[apart], j[apart], shared[apart]
    areas = cells.masks.areas()
    i, j = one_to_one(part, i, j, shared / (areas[i] + areas[j] - shared))
    both = chosen[i] & chosen[j]
    others: dict[int, list[int]] = {}
    for a, b in zip(i[both].tolist(), j[both].tolist(), strict=True):
        others.setdefault(a, []).append(b)
        others.setdefault(b, []).append(a)
    order = np.lexsort((np.arange(len(cells)), -cells.scores, -cells.depth, part > 0))
    for number in order.tolist():  # of copies, the kept one stays, or the one deepest inside its window
        if chosen[number]:
            chosen[others.get(number, [])] = False
    return {box: np.flatnonzero(chosen[part == number]) for number, box in enumerate(windows, start=1)}


def _near(boxes: np.ndarray, others: np.ndarray, size: int = 64) -> np.ndarray:
    """Which ``boxes`` (N, 4) may meet one of ``others``: both lie in a square of ``size`` px. bool (N,)."""
    if not len(boxes) or not len(others):
        return np.zeros(len(boxes), dtype=bool)
    end = max(boxes.max(), others.max()) // size + 1
    taken = np.zeros((end, end), dtype=np.int64)
    for top, left, bottom, right in np.c_[others[:, :2] // size, -(-others[:, 2:] // size)].tolist():
        taken[top:bottom, left:right] = 1
    total = np.pad(taken.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    top, left, bottom, right = np.c_[boxes[:, :2] // size, -(-boxes[:, 2:] // size)].T
    return total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left] > 0


def _unseen(united: TileCells, cells: TileCells) -> np.ndarray:
    """Which of ``united`` are not among ``cells``: another group's window may have shown them whole."""
    i, j, shared = united.masks.intersections(cells.masks)
    same = shared > SAME * (united.masks.areas()[i] + cells.masks.areas()[j] - shared)
    return np.setdiff1d(np.arange(len(united)), i[same])


def _united(pieces: TileCells, groups: Sequence[np.ndarray]) -> TileCells:
    """One instance per group: the union of its masks, with score and label of the largest piece."""
    areas = pieces.masks.areas()
    largest = np.array([own[np.argmax(areas[own])] for own in groups], dtype=np.int64)
    order = np.concatenate([np.zeros(0, np.int64), *groups])
    owner = np.repeat(np.arange(len(groups)), [len(own) for own in groups])
    return TileCells(
        unite(pieces.masks.select(order), owner),
        pieces.scores[largest],
        pieces.labels[largest],
        np.full(len(groups), np.inf),
    )


def unite(masks: MaskRuns, owner: np.ndarray) -> MaskRuns:
    """The unions of masks: mask i is a part of union ``owner[i]``, int (N,) from 0."""
    num = int(owner.max()) + 1 if len(owner) else 0
    whose = owner[masks.owners()] if len(owner) else np.zeros(0, np.int64)
    order = np.lexsort((masks.y, masks.x, whose))
    whose, x, y = whose[order], masks.x[order].astype(np.int64), masks.y[order].astype(np.int64)
    height = masks.shape[0] + 1
    start = (whose * masks.shape[1] + x) * height + y
    end = np.maximum.accumulate(start + masks.length[order]) if len(start) else start
    begins = np.ones(len(start), dtype=bool)
    begins[1:] = start[1:] > end[:-1]
    last = np.append(begins[1:], True) if len(begins) else begins
    first = np.zeros(num + 1, dtype=np.int64)
    np.cumsum(np.bincount(whose[begins], minlength=num), out=first[1:])
    length = end[last] - start[begins]
    runs = (values.astype(np.int32) for values in (x[begins], y[begins], length))
    return MaskRuns(masks.shape, first, *runs)
