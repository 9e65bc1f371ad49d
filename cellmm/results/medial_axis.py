"""Length, width and curvature of cells along their medial axes, many cells at once."""

from collections.abc import Iterator
from itertools import pairwise

import cv2
import numpy as np
import scipy  # .interpolate is imported on first use: only measurements need it
from scipy.ndimage import distance_transform_edt, uniform_filter1d
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra, minimum_spanning_tree
from skimage.morphology import skeletonize

HOLE = 0.1  # of the cell's area; smaller holes are filled
END = 1.5  # radii of the skeleton's ends that are replaced: it may turn into a corner there
NOISE = 0.4  # pixels, or ROUGH radii, that the pixels of a skeleton lie beside the axis
ROUGH = 0.12
LONG = 3  # radii that are left of an axis that may bend
STEP = 0.25  # pixels between the places where a mask or a distance is looked up
FAR = 1.5  # times the distance to the nearest border that a cell may reach from its axis: no other arm of it
NAMES = ("length", "width_mean", "width_max", "curvature")


def solid(mask: np.ndarray) -> np.ndarray:
    """The largest piece of ``mask``, bool (h, w), with its small holes filled."""
    num, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if num > 2:
        mask = pieces == 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA])
    outside = np.pad(~mask, 1, constant_values=True).astype(np.uint8)
    num, pieces, stats, _ = cv2.connectedComponentsWithStats(outside, connectivity=4)
    if num > 2:
        small = stats[:, cv2.CC_STAT_AREA] < HOLE * np.count_nonzero(mask)
        small[[0, pieces[0, 0]]] = False
        mask = mask | small[pieces[1:-1, 1:-1]]
    return mask


def measure_axes(labels: np.ndarray, num: int) -> dict[str, np.ndarray]:
    """Measure cells that lie apart, at least 3 pixels of 0 between them and around them.

    The axis is the longest path in the skeleton. A smoothing spline (Dierckx, 1982) takes the steps of the
    pixels out of it; its ends, where a skeleton turns into corners, are replaced by straight lines to the
    tips of the cell. A cell that is hardly longer than wide has the straight line through its centroid,
    along its longest direction, as its axis. A closed skeleton is cut open: the length of a ring is that of
    its midline.

    Args:
        labels: int (H, W), the cells 1 to ``num``, each in one piece.

    Returns:
        ``length`` from tip to tip; ``width_mean`` and ``width_max`` at right angles to the axis, without its
        ends; ``curvature``, the mean of 1 / radius along the axis.
        All float64 (num,), in pixels, NaN for an absent label.
    """
    inside = labels > 0
    distance = distance_transform_edt(inside)
    values = np.full((4, num), np.nan)
    paths = dict(_longest_paths(labels, skeletonize(inside)))
    y, x = np.nonzero(inside)
    owner = labels[y, x]
    order = np.argsort(owner, kind="stable")
    first = np.searchsorted(owner[order], np.arange(1, num + 2))
    pixels = np.column_stack([y, x])[order]
    for i, (begin, end) in enumerate(pairwise(first)):
        if begin < end:
            values[:, i] = _measure(pixels[begin:end], paths.get(i + 1), distance)
    return dict(zip(NAMES, values, strict=True))


def _longest_paths(labels: np.ndarray, skeleton: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The longest path in the spanning tree of each cell's skeleton: (label, int (n, 2) pixels)."""
    y, x = np.nonzero(skeleton)
    number = np.full(labels.shape, -1)
    number[y, x] = np.arange(len(y))
    owner = labels[y, x]
    edges = []
    for dy, dx in ((0, 1), (1, -1), (1, 0), (1, 1)):
        near = number[y + dy, x + dx]
        edges.append((np.flatnonzero(near >= 0), near[near >= 0], np.hypot(dy, dx)))
    start = np.concatenate([edge[0] for edge in edges])
    end = np.concatenate([edge[1] for edge in edges])
    weight = np.concatenate([np.full(len(edge[0]), edge[2]) for edge in edges])
    # No two edges of a cell weigh the same, so that its tree does not depend on the cells beside it.
    order = np.lexsort((start, owner[start]))
    place = np.empty(len(start))
    place[order] = np.arange(len(start)) - np.searchsorted(owner[start][order], owner[start][order])
    graph = coo_matrix((weight + 1e-9 * place, (start, end)), shape=(len(y), len(y))).tocsr()
    tree = minimum_spanning_tree(graph)
    cells, source = np.unique(owner, return_index=True)
    if not len(cells):
        return
    for _ in range(2):  # the farthest from the farthest
        steps, before, _ = dijkstra(
            tree, directed=False, indices=source, return_predecessors=True, min_only=True
        )
        order = np.lexsort((np.where(np.isfinite(steps), steps, -1), owner))
        source = order[np.searchsorted(owner[order], cells, side="right") - 1]
    before = before.tolist()
    for cell, node in zip(cells.tolist(), source.tolist(), strict=True):
        nodes = []
        while node >= 0:
            nodes.append(node)
            node = before[node]
        yield cell, np.column_stack([y[nodes], x[nodes]])


def _measure(pixels: np.ndarray, path: np.ndarray | None, distance: np.ndarray) -> tuple[float, ...]:
    """Length, mean and maximum width, and curvature of the cell of ``pixels``, int (n, 2)."""
    if path is not None and len(path) > 3:
        steps = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
        radius = float(np.median(distance[tuple(path.T)])) - 0.5
        widest = float(distance[tuple(path.T)].max()) - 0.5
        closed = len(path) > 8 and np.abs(path[0] - path[-1]).max() <= 1
        trim = 0.0 if closed else END * radius
        core = path[(steps >= trim) & (steps <= steps[-1] - trim)]
        if len(core) > 3 and steps[-1] - 2 * trim >= LONG * (widest - 0.5):
            return _along_spline(core, closed, distance, max(NOISE, ROUGH * radius))
    return _along_line(pixels, distance)


def _along_spline(core: np.ndarray, closed: bool, distance: np.ndarray, noise: float) -> tuple[float, ...]:
    """The values of a cell with an axis through the pixels ``core``, (n, 2)."""
    points = np.concatenate([core, core[:1]]) if closed else core
    spline, _ = scipy.interpolate.splprep(
        points.T.astype(np.float64), s=noise**2 * len(points), per=int(closed), quiet=2
    )
    place = np.linspace(0, 1, 2 * len(points))
    axis, speed, turn = (
        np.stack(scipy.interpolate.splev(place, spline, der=order), axis=1) for order in (0, 1, 2)
    )
    step = np.hypot(*speed.T)
    curvature = np.abs(speed[:, 0] * turn[:, 1] - speed[:, 1] * turn[:, 0]) / step**3
    length = float(np.trapezoid(step, place))
    mean_curvature = float(np.trapezoid(curvature * step, place)) / length
    direction = speed / step[:, None]
    if not closed:
        length += _way_out(axis[0], -direction[0], distance) + _way_out(axis[-1], direction[-1], distance)
    widths = _widths(axis, direction, distance)
    return length, float(widths.mean()), float(widths.max()), mean_curvature


def _along_line(pixels: np.ndarray, distance: np.ndarray) -> tuple[float, ...]:
    """The values of a cell whose axis is straight."""
    center = pixels.mean(0)
    off = pixels - center
    direction = np.linalg.eigh(off.T @ off)[1][:, 1]
    if _way_out(center, direction, distance) == 0:  # outside of the cell
        center = pixels[np.argmax(distance[tuple(pixels.T)])].astype(np.float64)
    back, forth = _way_out(center, -direction, distance), _way_out(center, direction, distance)
    radius = float(distance[tuple(pixels.T)].max()) - 0.5
    places = np.arange(min(radius - back, 0.0), max(forth - radius, 0.0) + 0.25, 0.5)
    axis = center + places[:, None] * direction
    widths = _widths(axis, np.broadcast_to(direction, axis.shape), distance)
    return back + forth, float(widths.mean()), float(widths.max()), 0.0


def _way_out(start: np.ndarray, direction: np.ndarray, distance: np.ndarray) -> float:
    """Pixels from ``start`` along ``direction`` to the border of the cell; 0 from outside."""
    reach = 64
    while True:
        ways = (np.arange(reach) + 0.5) * STEP
        places = np.floor(start + ways[:, None] * direction + 0.5).astype(int)
        places = np.clip(places, 0, np.array(distance.shape) - 1)
        out = np.flatnonzero(distance[tuple(places.T)] == 0)
        if len(out):
            return float(out[0]) * STEP
        reach *= 4


def _widths(axis: np.ndarray, direction: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Widths (n,) at the points ``axis``, (n, 2) and 0.5 pixels apart: from border to border.

    Each is the mean over about a radius of the axis, which evens out the steps of the pixels.
    """
    normal = direction[:, ::-1] * [1, -1]
    nearest = distance[tuple(np.floor(axis + 0.5).astype(int).T)]
    reach = FAR * nearest + 1
    ways = (np.arange(int(np.ceil(reach.max() / STEP))) + 0.5) * STEP
    total = np.zeros(len(axis))
    for side in (-1, 1):
        places = np.floor(axis[:, None] + side * ways[:, None] * normal[:, None] + 0.5).astype(int)
        places = np.clip(places, 0, np.array(distance.shape) - 1)
        out = distance[places[..., 0], places[..., 1]] == 0
        first = np.where(out.any(1), out.argmax(1), len(ways)) * STEP
        total += np.minimum(first, reach)
    return uniform_filter1d(total, 1 + 2 * round(float(np.median(nearest))), mode="nearest")
