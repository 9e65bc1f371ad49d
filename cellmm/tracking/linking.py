"""Cells of successive frames are linked by overlap, distance and shape."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from mmengine.logging import print_log
from scipy.spatial import cKDTree

from cellmm.errors import CellMMError
from cellmm.extras import need
from cellmm.results import Instances
from cellmm.structures import MaskRuns
from cellmm.tracking.ellipses import Ellipses
from cellmm.tracking.tracks import Tracks

LIMIT = 2.0  # cost from which cells are not linked: no overlap, and as far as max_distance
LONGEST_GAP = 100  # frames


@dataclass(frozen=True, kw_only=True)
class LinkOptions:
    """What may be the same cell.

    Args:
        max_distance: px, of a cell's centroid from where it is expected; None: the diameter of the median
            cell of the film, as if it were round.
        max_gap: frames in a row in which a cell may be missing.
        gap_cost: what each missing frame adds to the cost of a link, which is below 2.
        inertia: share of the velocity so far that is kept in each frame; 1: a cell is expected where it was.
        divisions: whether cells divide.
        daughter_area: the most that a daughter's area may be of her mother's, share from .5 on.
    """

    max_distance: float | None = None
    max_gap: int = 2
    gap_cost: float = 0.2
    inertia: float = 0.5
    divisions: bool = True
    daughter_area: float = 0.75

    def __post_init__(self) -> None:
        ranges = {
            "max_distance": (0 if self.max_distance is None else self.max_distance, 0, np.inf),
            "max_gap": (self.max_gap, 0, LONGEST_GAP),
            "gap_cost": (self.gap_cost, 0, np.inf),
            "inertia": (self.inertia, 0, 1),
            "daughter_area": (self.daughter_area, 0.5, 1),
        }
        for name, (value, least, most) in ranges.items():
            if not least <= value <= most:
                raise CellMMError(f"{name} is {value:g}: give a number from {least:g} to {most:g}")
        if self.max_distance == 0 or self.max_distance == np.inf:
            raise CellMMError(f"max_distance is {self.max_distance:g}: give a positive number of pixels")


@dataclass(frozen=True)
class _Ends:
    """Cells that may be continued: the last one of each track that is not over."""

    masks: MaskRuns
    ellipses: Ellipses
    frame: np.ndarray  # (K,)
    velocity: np.ndarray  # (K, 2), px per frame
    track: np.ndarray  # (K,)

    def select(self, index: np.ndarray) -> "_Ends":
        rest = (values[index] for values in (self.frame, self.velocity, self.track))
        return _Ends(self.masks.select(index), self.ellipses.select(index), *rest)

    def with_others(self, other: "_Ends") -> "_Ends":
        names = ("frame", "velocity", "track")
        return _Ends(
            MaskRuns.concatenate([self.masks, other.masks]),
            self.ellipses.concatenate([other.ellipses]),
            *(np.concatenate([getattr(self, name), getattr(other, name)]) for name in names),
        )


def track_cells(frames: Sequence[Instances], options: LinkOptions | None = None) -> Tracks:
    """Follow the cells through a film.

    A cell is expected where its velocity takes it. The cost of linking it to a cell of the next frame is
    ``1 - IoU + distance / max_distance``: the IoU of the expected mask with the other one, both of them whole
    where cells lie on each other, and the distance of their ellipses (:meth:`Ellipses.distance`), which also
    grows with a change of size or direction. In each frame, the links of the lowest total cost are taken
    (linear assignment; Jaqaman et al., 2008). A cell that is not found stays a candidate for ``max_gap``
    frames.

    A cell that appears in frame t is a daughter if a cell of frame t - 1 was linked to another one of t, both
    have an area between ``1 - daughter_area`` and ``daughter_area`` of that mother's, and the ellipse of both
    together is nearer to hers than ``max_distance``. A mother has two daughters.

    The same frames give the same tracks. Costs are computed only for cells within ``max_distance``.

    Args:
        frames: in order of time, at equal intervals; a frame without cells is a gap.

    Raises:
        CellMMError: frames of different sizes; laptrack is not installed.
    """
    options = options or LinkOptions()
    other = next((cells for cells in frames if cells.shape != frames[0].shape), None)
    if other is not None:
        raise CellMMError(
            f"{frames[0].name} has {frames[0].shape} pixels, {other.name} has {other.shape}: the frames of a "
            "film must have one size"
        )
    kept = [np.flatnonzero(cells.masks.areas()) for cells in frames]
    if empty := sum(map(len, frames)) - sum(map(len, kept)):
        print_log(
            f"{empty} cells without a pixel are not tracked: remove them from the results",
            logger="current",
            level=logging.WARNING,
        )
    if options.max_distance is None:
        options = replace(options, max_distance=typical_diameter(frames))
    ends: _Ends | None = None
    ids: list[np.ndarray] = []
    parents: dict[int, int] = {}
    num_tracks = 0
    for t, (cells, chosen) in enumerate(zip(frames, kept, strict=True)):
        masks, track = cells.masks.select(chosen), np.zeros(len(chosen), dtype=np.int64)
        now = _Ends(masks, Ellipses.of_masks(masks), np.full(len(track), t), np.zeros((len(track), 2)), track)
        mothers = np.zeros_like(track)
        if ends is not None:
            before, after = _links(ends, now, options)
            way = now.ellipses.centroid[after] - ends.ellipses.centroid[before]
            way /= (t - ends.frame[before])[:, None]
            now.velocity[after] = options.inertia * ends.velocity[before] + (1 - options.inertia) * way
            track[after] = ends.track[before]
            if options.divisions:
                for mother, *daughters in _divisions(ends, now, before, after, options):
                    track[daughters] = 0
                    mothers[daughters] = ends.track[mother]
            over = t - ends.frame > options.max_gap
            over[before] = True
            ends = ends.select(~over)
        new = np.flatnonzero(track == 0)
        track[new] = num_tracks + 1 + np.arange(len(new))
        num_tracks += len(new)
        daughters = np.flatnonzero(mothers)
        parents |= dict(zip(track[daughters].tolist(), mothers[daughters].tolist(), strict=True))
        ends = now if ends is None else ends.with_others(now)
        ids.append(track)
    none = np.zeros(0, dtype=np.int64)
    return Tracks(
        frames=tuple(frames),
        frame=np.repeat(np.arange(len(frames)), [len(chosen) for chosen in kept]),
        cell=np.concatenate([none, *kept]),
        track_id=np.concatenate([none, *ids]),
        parents=parents,
    )


def typical_diameter(frames: Sequence[Instances]) -> float:
    """Of a circle with the area of the median cell, px; 1 if there are no cells."""
    areas = np.concatenate([np.zeros(0), *(cells.masks.areas() for cells in frames)])
    areas = areas[areas > 0]
    return float(np.sqrt(np.median(areas) * 4 / np.pi)) if len(areas) else 1.0


def _links(ends: _Ends, now: _Ends, options: LinkOptions) -> tuple[np.ndarray, np.ndarray]:
    """Indices in ``ends`` and in ``now`` of the cells that are the same."""
    if not len(ends.track) or not len(now.track):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    gap = now.frame[0] - ends.frame
    shift = ends.velocity * gap[:, None]
    expected = ends.ellipses.moved(shift)
    i, j = _near(expected.centroid, now.ellipses.centroid, options.max_distance)
    cost = expected.select(i).distance(now.ellipses.select(j)) / options.max_distance
    cost += 1 - _ious(_shifted(ends.masks, shift), now.masks, i, j) + options.gap_cost * (gap[i] - 1)
    return _assign(i, j, cost, LIMIT)


def _divisions(
    ends: _Ends, now: _Ends, before: np.ndarray, after: np.ndarray, options: LinkOptions
) -> list[tuple[int, int, int]]:
    """(index in ``ends`` of a mother, indices in ``now`` of her daughters) of each division."""
    new = np.flatnonzero(now.track == 0)
    if not len(new) or not len(before):
        return []
    i, j = _near(ends.ellipses.centroid[before], now.ellipses.centroid[new], 2 * options.max_distance)
    mother, first, second = before[i], after[i], new[j]
    shares = now.ellipses.area[np.stack([first, second])] / ends.ellipses.area[mother]
    halves = (shares <= options.daughter_area) & (shares >= 1 - options.daughter_area)
    fits = halves.all(0) & (ends.frame[mother] == now.frame[0] - 1)
    i, j, mother, first, second = (values[fits] for values in (i, j, mother, first, second))
    expected = ends.ellipses.moved(ends.velocity).select(mother)
    both = now.ellipses.select(first).joined(now.ellipses.select(second))
    i, j = _assign(i, j, expected.distance(both) / options.max_distance, 1.0)
    return list(zip(before[i].tolist(), after[i].tolist(), new[j].tolist(), strict=True))


def _near(points: np.ndarray, others: np.ndarray, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of points that are no farther apart, sorted."""
    found = cKDTree(others).query_ball_point(points, distance, return_sorted=True)
    i = np.repeat(np.arange(len(points)), [len(near) for near in found])
    return i, np.concatenate([np.zeros(0), *found]).astype(np.int64)


def _shifted(masks: MaskRuns, shift: np.ndarray) -> MaskRuns:
    """Each mask moved by its own (y, x), rounded to pixels; parts may lie outside the image."""
    y, x = np.rint(shift).astype(np.int32)[masks.owners()].T
    return replace(masks, x=masks.x + x, y=masks.y + y)


def pair_ious(masks: MaskRuns, others: MaskRuns) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs of masks that share pixels: index here, index in ``others``, IoU; sorted."""
    i, j, shared = masks.intersections(others)
    return i, j, shared / (masks.areas()[i] + others.areas()[j] - shared)


def _ious(masks: MaskRuns, others: MaskRuns, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """IoU of the pairs of masks (i, j)."""
    a, b, iou = pair_ious(masks, others)
    known, wanted = a * len(others) + b, i * len(others) + j
    place = np.searchsorted(known, wanted)
    return np.where(np.append(known, -1)[place] == wanted, np.append(iou, 0)[place], 0)


def _assign(i: np.ndarray, j: np.ndarray, cost: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """The pairs, each index once, with the lowest sum of costs; an index without a pair costs limit / 2."""
    allowed = cost < limit
    rows, i = np.unique(i[allowed], return_inverse=True)
    columns, j = np.unique(j[allowed], return_inverse=True)
    if not len(rows):
        return rows, columns
    # LapTrack itself computes all N x M costs of a frame in Python; its parts take only those that count
    need("laptrack", "tracking", "tracks of cells")
    from laptrack._coo_matrix_builder import coo_matrix_builder
    from laptrack._cost_matrix import build_frame_cost_matrix
    from laptrack._optimization import lap_optimization

    costs = coo_matrix_builder((len(rows), len(columns)), i, j, cost[allowed])
    alone = (limit + cost[allowed].min()) / 2  # laptrack adds the lowest cost to each link
    partner, _ = lap_optimization(
        build_frame_cost_matrix(costs, track_start_cost=alone, track_end_cost=alone)
    )
    linked = np.flatnonzero(partner[: len(rows)] < len(columns))
    return rows[linked], columns[partner[linked]]
