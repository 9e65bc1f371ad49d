"""How many cells keep their identity where they cross."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from cellmm.tracking.linking import pair_ious
from cellmm.tracking.tracks import Tracks


@dataclass(frozen=True)
class Crossing:
    """Two cells whose masks share pixels in frames ``start`` to ``end``, and are apart before and after.

    Args:
        tracks: ids of the two true tracks, lower first.
        start, end: first and last frame in which they share pixels.
        depth: the most pixels that they share, as a share of the smaller one.
        before, after: the frames next to the crossing in which both are seen and apart, the nearest first.
    """

    tracks: tuple[int, int]
    start: int
    end: int
    depth: float
    before: tuple[int, ...]
    after: tuple[int, ...]


def find_crossings(truth: Tracks) -> list[Crossing]:
    """All crossings of a film with known tracks, sorted by tracks and time."""
    shares: dict[tuple[int, int], dict[int, float]] = {}
    seen: dict[int, set[int]] = {}
    for t, cells in enumerate(truth.frames):
        rows = truth.rows(t)
        masks, ids = cells.masks.select(truth.cell[rows]), truth.track_id[rows]
        for track in ids.tolist():
            seen.setdefault(track, set()).add(t)
        a, b, pixels = masks.intersections(masks)
        areas = masks.areas()
        share = pixels / np.minimum(areas[a], areas[b])
        for first, second, value in zip(ids[a].tolist(), ids[b].tolist(), share.tolist(), strict=True):
            if first < second:
                shares.setdefault((first, second), {})[t] = value
    found = []
    for pair, share in sorted(shares.items()):
        both = seen[pair[0]] & seen[pair[1]]
        for start, end in _runs(share):
            before = _apart(range(start - 1, -1, -1), both, share)
            after = _apart(range(end + 1, len(truth.frames)), both, share)
            if before and after:
                depth = max(share[t] for t in range(start, end + 1))
                found.append(Crossing(pair, start, end, depth, before, after))
    return found


def are_kept(crossings: Iterable[Crossing], truth: Tracks, tracks: Tracks) -> list[bool]:
    """Whether each crossing leaves both cells with their identities.

    The cells of ``tracks`` belong to the true ones that they fit best, with an IoU above .5. The nearest
    frames before and after the crossing count in which both cells were found. A crossing is lost where there
    are none, where an identity is another one afterwards, and where both cells have the same.
    """
    found = {
        (t, true): track
        for t, true, track in zip(
            truth.frame.tolist(), truth.track_id.tolist(), matched_ids(truth, tracks).tolist(), strict=True
        )
        if track
    }

    def identities(pair: tuple[int, int], frames: tuple[int, ...]) -> tuple[int, ...] | None:
        for t in frames:
            if all((t, true) in found for true in pair):
                return tuple(found[t, true] for true in pair)
        return None

    kept = []
    for crossing in crossings:
        before = identities(crossing.tracks, crossing.before)
        after = identities(crossing.tracks, crossing.after)
        kept.append(before is not None and before == after and before[0] != before[1])
    return kept


def matched_ids(truth: Tracks, tracks: Tracks) -> np.ndarray:
    """The track id in ``tracks`` of each row of ``truth``, int64 (R,); 0: the cell was not found."""
    ids = np.zeros(len(truth.frame), dtype=np.int64)
    for t, (true, cells) in enumerate(zip(truth.frames, tracks.frames, strict=True)):
        mine, theirs = truth.rows(t), tracks.rows(t)
        i, j, iou = pair_ious(true.masks.select(truth.cell[mine]), cells.masks.select(tracks.cell[theirs]))
        best = np.lexsort((j, -iou))
        taken_i, taken_j = set(), set()
        for k in best[iou[best] > 0.5].tolist():
            if i[k] not in taken_i and j[k] not in taken_j:
                taken_i.add(i[k])
                taken_j.add(j[k])
                ids[mine.start + i[k]] = tracks.track_id[theirs.start + j[k]]
    return ids


def _runs(frames: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of each run of successive numbers."""
    frames = np.array(sorted(frames))
    breaks = np.flatnonzero(np.diff(frames) > 1)
    starts, ends = np.append(0, breaks + 1), np.append(breaks, len(frames) - 1)
    return list(zip(frames[starts].tolist(), frames[ends].tolist(), strict=True))


def _apart(frames: Iterable[int], both: set[int], share: dict[int, float]) -> tuple[int, ...]:
    """The frames, one after another, in which both cells are seen and share nothing."""
    found = []
    for t in frames:
        if t not in both or t in share:
            break
        found.append(t)
    return tuple(found)
