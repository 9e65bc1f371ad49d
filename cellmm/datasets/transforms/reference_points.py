"""One reference point per cell: where DiskMask places the cell's disk."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from cellmm.checks import check_whole
from cellmm.datasets.transforms.moving_cells import cell_pixels, pixel_means
from cellmm.registry import TRANSFORMS
from cellmm.structures import LabelLayers

KINDS = ("centroid", "inside", "medial")
BAND = 0.75  # grid pixels along the axis: a shortest path has a pixel within sqrt(2) / 2 of any place on it
STEP = 0.05  # of the axis, between the places that ``min_distance`` tries


@TRANSFORMS.register_module()
class ReferencePoints(BaseTransform):
    """Write ``gt_points`` float32 (N, 2): the reference point (y, x) of each cell, in pixels of ``img``.

    Writes ``target_stride`` too, an int, for the steps that make maps of the points.

    Rows are nan for cells without pixels, for crowd regions (``gt_ignore``) and for cut cells: those on the
    outermost ``border`` pixels of the image, or on or next to (8 neighbours) a pixel of ``ignore``.
    Reads ``gt_layers`` and, where present, ``ignore`` and ``gt_ignore``. Source: diskmask 3.1.3, 3.1.4.

    Args:
        kind: 'centroid', the mean of the cell's pixels, as published; 'inside', the pixel of the cell that
            is nearest to it; 'medial', the middle of the long axis of the cell's largest piece. Its ends a, b
            are found by a double sweep (farthest from any pixel, farthest from that, through the cell), its
            places are u = d_a / (d_a + d_b) in [0, 1]; the point is the pixel of the piece that is nearest to
            the mean of those within 0.75 (sampled) pixels of u = 0.5.
        stride: of the maps that are made of the points, such as disks: that of the head's finest map.
        step: of 'inside' and 'medial': take every step-th row and column of pixels (the middle of each
            block; a cell that they miss gets its 'inside' point at full resolution, which does not move).
            None: as ``stride``.
        border: pixels, 0: cells on the edge of the image are not taken as cut.
        min_distance: pixels of the image, only for 'medial'. A point nearer than that to another one, or on a
            pixel of another cell, moves along its axis to u = 0.5 +- 0.05 k: to the place nearest to the
            middle that is free of both, else to the place farthest from the other points. 0: no point moves.
        reach: the most that u moves, 0 to 0.5.
    """

    reads = ("gt_layers",)
    writes = ("gt_points", "target_stride")
    annotation_only = True

    def __init__(
        self,
        *,
        kind: str = "centroid",
        stride: int = 1,
        step: int | None = None,
        border: int = 1,
        min_distance: float = 0.0,
        reach: float = 0.25,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}: one of {KINDS} is allowed")
        check_whole(1, stride=stride, step=step)
        check_whole(0, border=border)
        if min_distance < 0 or not 0 <= reach <= 0.5:
            raise ValueError(
                f"min_distance {min_distance} and reach {reach}: at least 0, and 0 to 0.5 are allowed"
            )
        if min_distance and kind != "medial":
            raise ValueError(f"min_distance {min_distance} moves points of kind 'medial' only, not {kind!r}")
        self.kind, self.stride, self.border = kind, stride, border
        self.step = stride if step is None else step
        self.min_distance, self.reach = min_distance, reach

    def transform(self, results: dict) -> dict:
        cells: LabelLayers = results["gt_layers"]
        results["target_stride"] = self.stride
        wanted = ~cut_cells(cells, self.border, results.get("ignore"))
        if "gt_ignore" in results:
            wanted &= ~results["gt_ignore"].astype(bool)
        points = np.full((len(cells), 2), np.nan)
        if self.kind == "centroid":
            means = pixel_means(*cell_pixels(cells), num=len(cells), width=cells.shape[1])
            points[wanted] = means[wanted]
            results["gt_points"] = points.astype(np.float32)
            return results
        grid = _Grid(cells.layers, wanted, self.step)
        if self.kind == "medial":
            axes = _Axes(grid)
            points[grid.cells] = axes.middles()
            if self.min_distance:
                self._separate(points, axes)
        else:
            points[grid.cells] = grid.inside()
        wanted[grid.cells] = False
        if self.step > 1 and wanted.any():  # between the sampled pixels, or without any pixel
            missed = _Grid(cells.layers, wanted, 1)
            points[missed.cells] = missed.inside()
        results["gt_points"] = points.astype(np.float32)
        return results

    def _separate(self, points: np.ndarray, axes: "_Axes") -> None:
        """Move points in place, in the order of the cells, each seeing where those before it went."""
        num = int(self.reach / STEP + 1e-9)
        shift = STEP * np.concatenate([[0], np.repeat(np.arange(1, num + 1), 2)])
        shift[1::2] *= -1  # 0, -.05, .05, -.1, ...
        own = np.flatnonzero(~np.isnan(points[:, 0]))
        near = cKDTree(points[own]).query_pairs(self.min_distance, output_type="ndarray").ravel()
        shared = axes.grid.on_others(points[own])
        for cell in own[np.union1d(near, np.flatnonzero(shared))]:
            places = axes.places(cell, 0.5 + shift)
            away = np.abs(points - points[cell]).max(1)  # nan of cells without a point
            reach = np.abs(places - points[cell]).max() + 3 * self.min_distance
            others = points[(away <= reach) & (np.arange(len(points)) != cell)]
            distance = np.full(len(places), reach)  # or more
            if len(others):
                nearest = np.linalg.norm(places[:, None] - others, axis=2).min(1)
                distance = np.minimum(distance, nearest)
            fits = (distance >= self.min_distance) & ~axes.grid.on_others(places)
            if fits[0]:
                continue
            if fits.any():
                best = np.lexsort((-distance, np.abs(shift), ~fits))[0]
            else:
                best = int(distance.argmax())  # the first of equals: nearest to the middle
            points[cell] = places[best]


def cut_cells(cells: LabelLayers, border: int = 1, ignore: np.ndarray | None = None) -> np.ndarray:
    """bool (N,): cells on the outermost ``border`` pixels, or on or next to (8 neighbours) ``ignore``."""
    cut = np.zeros(len(cells) + 1, dtype=bool)
    if border:
        for strip in (np.s_[:border], np.s_[-border:], np.s_[:, :border], np.s_[:, -border:]):
            cut[cells.layers[(slice(None), *np.index_exp[strip])]] = True
    if ignore is not None and ignore.any():
        near = cv2.dilate(ignore.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        cut[cells.layers[:, near]] = True
    return cut[1:]


class _Grid:
    """The sampled pixels of the ``wanted`` cells (bool (N,)), sorted by cell and then by row and column.

    ``cells`` int64 (M,) are the wanted cells that have any, ``owner`` the index into it of each pixel, ``yx``
    int32 (2, P) its place in the image.
    """

    def __init__(self, layers: np.ndarray, wanted: np.ndarray, stride: int) -> None:
        self.stride, self.start = stride, (stride - 1) // 2
        sampled = layers[:, self.start :: stride, self.start :: stride]
        self.sampled = sampled
        self.padded = np.zeros(np.add(sampled.shape, (0, 2, 2)), np.int32)
        self.padded[:, 1:-1, 1:-1] = sampled
        self.flat = self.padded.ravel()
        pixels = np.flatnonzero(self.flat > 0)
        ids = self.flat[pixels] - 1
        if not wanted.all():
            kept = wanted[ids]
            pixels, ids = pixels[kept], ids[kept]
        if len(wanted) <= 2**16:
            ids = ids.astype(np.uint16)  # sorts several times as fast
        order = np.argsort(ids, kind="stable")
        self.pixels = pixels[order]
        counts = np.bincount(ids, minlength=len(wanted))
        self.cells = np.flatnonzero(counts)
        self.counts = counts[self.cells]
        self.starts = np.cumsum(self.counts) - self.counts
        self.owner = np.repeat(np.arange(len(self.cells)), self.counts)
        y, x = np.divmod((self.pixels % self.padded[0].size).astype(np.int32), self.padded.shape[2])
        self.yx = np.stack([y - 1, x - 1]) * stride + self.start

    def first(self, hits: np.ndarray) -> np.ndarray:
        """The first pixel of each cell where bool ``hits`` (P,) is true: each cell needs one."""
        where = np.flatnonzero(hits)
        first = np.zeros(len(self.cells), np.int64)
        first[self.owner[where[::-1]]] = where[::-1]
        return first

    def farthest(self, values: np.ndarray) -> np.ndarray:
        """The first pixel of each cell with its highest value."""
        if len(self.cells) == 0:
            return np.zeros(0, np.int64)
        return self.first(values == np.maximum.reduceat(values, self.starts)[self.owner])

    def nearest(self, points: np.ndarray, usable: np.ndarray | None = None) -> np.ndarray:
        """The place (y, x) of each cell's pixel that is nearest to ``points`` (M, 2), of the usable ones."""
        distance = ((self.yx - points.T[:, self.owner]) ** 2).sum(0)
        if usable is not None:
            distance[~usable] = np.inf
        return self.yx.T[self.farthest(-distance)]

    def means(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Mean place of each cell's pixels of weight 1 (of all)."""
        num, weigh = len(self.cells), 1 if weights is None else weights
        sums = [np.bincount(self.owner, weights=axis * weigh, minlength=num) for axis in self.yx]
        counts = self.counts if weights is None else np.bincount(self.owner, weights=weights, minlength=num)
        return np.stack(sums, axis=1) / counts[:, None]

    def inside(self) -> np.ndarray:
        return self.nearest(self.means())

    def on_others(self, points: np.ndarray) -> np.ndarray:
        """Whether each sampled pixel (K, 2) of a cell lies on another cell too, wanted or not."""
        y, x = ((points - self.start) / self.stride).astype(np.int64).T
        return (self.sampled[:, y, x] > 0).sum(0) > 1


class _Axes:
    """Each pixel's place ``u`` on the long axis of its cell, nan off the cell's largest piece.

    All cells are one sparse graph (edges between 8 neighbours of the same id and layer, as long as the pixels
    are apart), in which they are not connected: a single Dijkstra run, from one pixel of each cell, serves
    them all.
    """

    def __init__(self, grid: _Grid) -> None:
        self.grid = grid
        self.u = np.zeros(0)
        self.length = np.zeros(0)
        if len(grid.cells) == 0:
            return
        graph = self._graph()
        num, piece = connected_components(graph, directed=False)
        source = grid.farthest(np.bincount(piece, minlength=num)[piece])
        ends = []
        for _ in range(3):
            distance = dijkstra(graph, indices=source, min_only=True).round(6)  # equal ways are equal
            ends.append(distance)
            reached = np.isfinite(distance)
            source = grid.farthest(np.where(reached, distance, -1))
        from_a, from_b = ends[1:]
        self.length = np.maximum.reduceat(np.where(reached, from_a, 0), grid.starts)  # from a to b
        total = np.where(reached, from_a + from_b, np.inf)
        self.u = np.full(len(total), 0.5)  # a piece of one pixel
        np.divide(from_a, total, out=self.u, where=reached & (total > 0))
        self.u[~reached] = np.nan

    def _graph(self) -> csr_array:
        grid = self.grid
        row = grid.padded.shape[2]
        steps = np.array([-row - 1, -row, -row + 1, -1, 1, row - 1, row, row + 1])
        lengths = np.array([np.sqrt(2), 1, np.sqrt(2), 1, 1, np.sqrt(2), 1, np.sqrt(2)])
        neighbours = grid.pixels[:, None] + steps
        joined = grid.flat[neighbours] == grid.flat[grid.pixels][:, None]
        number = np.zeros(len(grid.flat), np.int32)
        number[grid.pixels] = np.arange(len(grid.pixels), dtype=np.int32)
        indptr = np.concatenate([[0], np.cumsum(joined.sum(1))]).astype(np.int32)
        data = np.broadcast_to(lengths, joined.shape)[joined]
        return csr_array((data, number[neighbours[joined]], indptr), shape=2 * (len(grid.pixels),))

    def middles(self) -> np.ndarray:
        """The medial points, (M, 2)."""
        grid = self.grid
        band = np.abs(self.u - 0.5) * self.length[grid.owner] <= BAND  # nan is outside
        return grid.nearest(grid.means(band.astype(np.float64)), ~np.isnan(self.u))

    def places(self, cell: int, u: np.ndarray) -> np.ndarray:
        """As ``middles`` at each ``u`` (K,) of one cell, (K, 2)."""
        index = np.searchsorted(self.grid.cells, cell)
        part = slice(self.grid.starts[index], self.grid.starts[index] + self.grid.counts[index])
        own, yx = self.u[part], self.grid.yx[:, part]
        yx, own = yx[:, ~np.isnan(own)], own[~np.isnan(own)]
        band = (np.abs(own - u[:, None]) * self.length[index] <= BAND).astype(np.float64)
        means = band @ yx.T / band.sum(1, keepdims=True)
        return yx.T[((means[:, :, None] - yx) ** 2).sum(1).argmin(1)]
