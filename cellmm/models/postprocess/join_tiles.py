"""What several tiles found of one cell is joined; what stays cut is told apart.

Masks are compared in the strip that two tiles both see. The cost grows with the runs of the masks there, not
with the pairs of tiles or of cells, and the masks of few rows of tiles are held at a time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from cellmm.models.postprocess.tiles import Tile, TileGrid
from cellmm.structures import MaskRuns
from cellmm.structures import rle as rle_ops

SAME = 0.5  # two masks with more IoU than this, in the strip that both tiles see, are one instance
COVERED = 0.5  # a mask of which more than this share lies under another one is covered
REACH = 2  # px: an instance that comes this near to an inner border of its tile may be cut by it


@dataclass(frozen=True)
class TileCells:
    """N instances that one tile found, in the frame of the image.

    Args:
        masks: of the image.
        scores: (N,).
        labels: int64 (N,).
        depth: (N,), pixels to the nearest inner border of the tile, see ``Tile.depth``.
    """

    masks: MaskRuns
    scores: np.ndarray
    labels: np.ndarray
    depth: np.ndarray

    @classmethod
    def of(cls, tile: Tile, masks: MaskRuns, scores: np.ndarray, labels: np.ndarray, margin: int = 0):
        """Those of ``tile``; ``margin``: pixels at its inner borders in which no mask is drawn."""
        return cls(masks, scores, labels, tile.depth(masks.boxes(), masks.shape, margin))

    @classmethod
    def empty(cls, shape: Sequence[int]) -> "TileCells":
        """None, of an image of ``shape`` (H, W)."""
        none = np.zeros(0)
        return cls(MaskRuns.empty(shape), none.astype(np.float32), none.astype(np.int64), none)

    @classmethod
    def concatenate(cls, parts: Sequence["TileCells"]) -> "TileCells":
        """The instances of several parts of one image, one after another."""
        return cls(
            MaskRuns.concatenate([part.masks for part in parts]),
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("scores", "labels", "depth")
            ),
        )

    def __len__(self) -> int:
        return len(self.masks)

    @property
    def cut(self) -> np.ndarray:
        """Which instances end at an inner border of the tile, so that a part may be missing: bool (N,)."""
        return self.depth <= REACH

    def select(self, index: np.ndarray) -> "TileCells":
        """Those of ``index``, in its order: whole numbers, or bool (N,)."""
        index = np.asarray(index)
        index = np.flatnonzero(index) if index.dtype == bool else index.astype(np.int64)
        return TileCells(self.masks.select(index), self.scores[index], self.labels[index], self.depth[index])


@dataclass(frozen=True)
class Joined:
    """What stays of the instances of the tiles of a grid.

    Args:
        stays: bool (N,) for each tile.
        orphans: int64 (P, 3): tile, index in the tile and group of each piece of an instance that no tile saw
            whole; pieces of one group are parts of one instance. Sorted by group, tile and index.
    """

    stays: list[np.ndarray]
    orphans: np.ndarray


def join_tiles(grid: TileGrid, read_row: Callable[[int], Sequence[TileCells]], margin: int = 0) -> Joined:
    """Find what is the same in different tiles, and what no tile saw whole.

    - Two instances of two tiles match if their IoU in the strip that both tiles see is above ``SAME``; an
      instance has one match in another tile, the pairs with the highest IoU first. Matches are joined to
      groups; a group has at most one instance per tile. So instances that overlap stay apart.
    - Of a group the best copy stays: whole before cut, then the one deepest inside its tile, the one with the
      better score, the one of the tile with the lower number. If it does not cover the cut pieces of its
      group, tiles disagree about the instance, and all of the group are orphans.
    - A cut piece without a match goes where a whole instance of another tile covers it. Other cut pieces, of
      instances longer than the overlap, are orphans.
    - A whole instance without a match goes where another tile, deeper inside which its centre lies, could
      see it whole and did not find it.

    The result depends on the instances of each tile alone, not on when a tile was read.

    Args:
        read_row: number of a row of tiles -> what its tiles found. Called once for each row, from 0 on.
        margin: pixels at the inner borders of a tile in which no mask is drawn.
    """
    num_cols = len(grid.cols)
    seen = np.array([tile.seen(grid.shape, margin) for tile in grid.tiles()]).reshape(-1, 4)
    held: list[_Row] = []
    nodes, pairs, stays = [], [], []
    num = 0
    for number, (top, *_) in enumerate(grid.rows):
        cells = read_row(number)
        row = _shared(grid, cells, number * num_cols, num, seen)
        stays += [np.ones(len(part), dtype=bool) for part in cells]
        num += len(row.masks)
        nodes.append(row.nodes)
        held = [other for other in held if other.bottom > top]
        pairs += [_pairs(other, row, seen) for other in (*held, row)]
        held.append(row)
    nodes = np.concatenate(nodes)
    a, b, shared, iou = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    keep, group = _decide(nodes, a, b, shared, iou)
    for tile, index in zip(nodes["tile"][~keep], nodes["index"][~keep], strict=True):
        stays[tile][index] = False
    orphans = np.flatnonzero(group >= 0)
    table = np.stack([nodes["tile"][orphans], nodes["index"][orphans], group[orphans]], axis=1)
    return Joined(stays, table[np.lexsort(table.T)])


_NODE = np.dtype(
    [
        ("tile", np.int64),
        ("index", np.int64),
        ("score", np.float64),
        ("depth", np.float64),
        ("area", np.int64),
        ("cut", bool),
        ("elsewhere", bool),  # another tile sees it deeper, and whole
    ]
)


@dataclass(frozen=True)
class _Row:
    """The instances of a row of tiles that other tiles may see too."""

    masks: MaskRuns
    nodes: np.ndarray
    first: int  # number of the first node
    bottom: int


def _shared(
    grid: TileGrid, cells: Sequence[TileCells], first_tile: int, first: int, seen: np.ndarray
) -> _Row:
    masks, tables = [], []
    for tile, part in enumerate(cells, start=first_tile):
        boxes = part.masks.boxes()
        alone = _box_alone(grid, tile)
        inside = (boxes[:, :2] >= alone[:2]).all(1) & (boxes[:, 2:] <= alone[2:]).all(1)
        index = np.flatnonzero((~inside | part.cut) & (boxes[:, 2] > 0))
        table = np.zeros(len(index), dtype=_NODE)
        table["tile"], table["index"] = tile, index
        table["score"], table["depth"] = part.scores[index], part.depth[index]
        table["cut"] = part.cut[index]
        own = part.masks.select(index)
        table["area"] = own.areas()
        boxes = boxes[index]
        places = (boxes[:, :2] + boxes[:, 2:] - 1) / 2
        owner = seen[grid.owner(places)]
        is_seen = (boxes[:, :2] > owner[:, :2] + REACH).all(1) & (boxes[:, 2:] < owner[:, 2:] - REACH).all(1)
        table["elsewhere"] = is_seen & ~grid.tile(tile).owns(places, slack=grid.overlap / 8)
        masks.append(own)
        tables.append(table)
    bottom = grid.tile(first_tile).bottom
    return _Row(MaskRuns.concatenate(masks), np.concatenate(tables), first, bottom)


def _box_alone(grid: TileGrid, number: int) -> np.ndarray:
    """(top, left, bottom, right) of what no other tile sees; empty where others see all of it."""
    sides = []
    for lines, place in zip((grid.rows, grid.cols), divmod(number, len(grid.cols)), strict=True):
        low = max([end for _, end, *_ in lines[:place]], default=0)
        high = min([first for first, *_ in lines[place + 1 :]], default=lines[-1][1])
        sides.append((max(low, lines[place][0]), min(high, lines[place][1])))
    return np.array([sides[0][0], sides[1][0], sides[0][1], sides[1][1]])


def _pairs(one: _Row, other: _Row, seen: np.ndarray) -> tuple[np.ndarray, ...]:
    """Nodes a and b of different tiles that share pixels, the number of these, and the IoU in the strip that
    both tiles see. Each pair once."""
    i, j, shared = one.masks.intersections(other.masks)
    apart = one.nodes["tile"][i] != other.nodes["tile"][j]
    if one is other:
        apart &= i < j
    i, j, shared = i[apart], j[apart], shared[apart]
    tile_i, tile_j = seen[one.nodes["tile"][i]], seen[other.nodes["tile"][j]]
    strip = np.concatenate(
        [np.maximum(tile_i[:, :2], tile_j[:, :2]), np.minimum(tile_i[:, 2:], tile_j[:, 2:])], axis=1
    )
    union = areas_in(one.masks, i, strip) + areas_in(other.masks, j, strip) - shared
    return one.first + i, other.first + j, shared, shared / np.maximum(union, 1)


def areas_in(masks: MaskRuns, index: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Pixels of each mask of ``index`` (P,) in its box (P, 4), (top, left, bottom, right): int64 (P,)."""
    num = np.diff(masks.first)[index]
    runs = rle_ops.run_pixels(masks.first[:-1][index], num)
    pair = np.repeat(np.arange(len(index)), num)
    top, left, bottom, right = boxes[pair].T
    x, y = masks.x[runs], masks.y[runs]
    inside = np.minimum(y + masks.length[runs], bottom) - np.maximum(y, top)
    inside = np.where((left <= x) & (x < right), np.maximum(inside, 0), 0)
    return np.bincount(pair, inside, len(index)).astype(np.int64)


def _decide(
    nodes: np.ndarray, a: np.ndarray, b: np.ndarray, shared: np.ndarray, iou: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which nodes stay, bool (M,), and the group of each orphan, int64 (M,), -1 for others."""
    num = len(nodes)
    group = groups(nodes["tile"], a, b, iou)
    order = np.lexsort((nodes["index"], nodes["tile"], -nodes["score"], -nodes["depth"], nodes["cut"], group))
    is_first = np.ones(num, dtype=bool)
    is_first[1:] = group[order][1:] != group[order][:-1]
    best = order[is_first][group]  # groups count from 0, so the first ones are theirs
    size = np.bincount(group, minlength=1)[group]
    from_a, from_b = np.concatenate([a, b]), np.concatenate([b, a])
    covers = np.concatenate([shared, shared]) > COVERED * nodes["area"][from_a]
    by_best = np.zeros(num, dtype=bool)
    by_best[from_a[covers & (best[from_a] == from_b)]] = True
    by_best[best] = True
    by_whole = np.zeros(num, dtype=bool)
    by_whole[from_a[covers & ~nodes["cut"][from_b] & ~(nodes["elsewhere"] & (size == 1))[from_b]]] = True
    whole = ~nodes["cut"][best]
    agrees = np.ones(num, dtype=bool)  # of each group: its best copy covers all cut ones
    agrees[best[nodes["cut"] & ~by_best]] = False
    orphan = np.where(whole, ~agrees[best], ~((size == 1) & by_whole))
    keep = whole & ~orphan & (best == np.arange(num)) & ~((size == 1) & nodes["elsewhere"])
    return keep, np.where(orphan, group, -1)


def groups(tile: np.ndarray, a: np.ndarray, b: np.ndarray, iou: np.ndarray) -> np.ndarray:
    """The group of each node, int64 (M,), counted from 0: matches joined, at most one node per tile."""
    a, b = one_to_one(tile, a, b, iou)
    group = _components(a, b, len(tile))
    pairs = np.sort(group * (tile.max(initial=0) + 1) + tile)
    doubled = np.unique(pairs[1:][pairs[1:] == pairs[:-1]] // (tile.max(initial=0) + 1))
    if not len(doubled):
        return group
    again = np.isin(group[a], doubled)  # rare: the best matches that keep the nodes of a tile apart
    apart = _apart(tile, a[again], b[again])
    a, b = (np.concatenate([ends[~again], own]) for ends, own in zip((a, b), apart, strict=True))
    return _components(a, b, len(tile))


def one_to_one(
    tile: np.ndarray, a: np.ndarray, b: np.ndarray, iou: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The pairs (a, b) with an IoU above SAME, best first, in which a node has one match in another tile."""
    match = np.flatnonzero(iou > SAME)
    match = match[np.lexsort((b[match], a[match], -iou[match]))]
    a, b = a[match], b[match]
    taken: set[tuple[int, int]] = set()
    stays = np.zeros(len(a), dtype=bool)
    for k, (i, j, at, to) in enumerate(
        zip(a.tolist(), b.tolist(), tile[a].tolist(), tile[b].tolist(), strict=True)
    ):
        if (i, to) not in taken and (j, at) not in taken:
            taken.update(((i, to), (j, at)))
            stays[k] = True
    return a[stays], b[stays]


def _components(a: np.ndarray, b: np.ndarray, num: int) -> np.ndarray:
    edges = coo_matrix((np.ones(len(a), dtype=bool), (a, b)), shape=(num, num))
    return connected_components(edges, directed=False)[1].astype(np.int64)


def _apart(tile: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The matches, best first, without those that would join two nodes of one tile."""
    members: dict[int, set[int]] = {}
    root = {int(i): int(i) for i in np.concatenate([a, b])}
    stay = np.zeros(len(a), dtype=bool)

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = i = root[root[i]]
        return i

    for k, (i, j) in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
        one, other = find(i), find(j)
        tiles = [members.setdefault(node, {int(tile[node])}) for node in (one, other)]
        if one != other and not tiles[0] & tiles[1]:
            root[other] = one
            members[one] = tiles[0] | tiles[1]
            stay[k] = True
    return a[stay], b[stay]
