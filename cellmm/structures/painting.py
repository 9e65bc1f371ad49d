"""Masks painted as images of ids, in bands of rows: the memory is that of a band."""

import heapq
from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_array

from cellmm.structures import rle as rle_ops
from cellmm.structures.mask_runs import MaskRuns

BAND = 512  # rows


def paint_bands(masks: MaskRuns, ids: np.ndarray, height: int = BAND) -> Iterator[tuple[int, np.ndarray]]:
    """The first row, and the ids of the pixels, int32 (h, W), of one band after another; 0: no mask.

    Where masks overlap, the last of them counts. Each band but the last has ``height`` rows.

    Examples:
        >>> masks = MaskRuns.from_crops([np.ones((2, 2), bool)] * 2, [(0, 0), (1, 1)], (3, 3))
        >>> [band.tolist() for _, band in paint_bands(masks, np.array([7, 9]), height=2)]
        [[[7, 7, 0], [7, 9, 9]], [[0, 9, 9]]]
    """
    num_rows, width = masks.shape
    boxes = masks.boxes()
    for top in range(0, num_rows, height):
        bottom = min(top + height, num_rows)
        inside = np.flatnonzero((boxes[:, 0] < bottom) & (boxes[:, 2] > top))
        part = masks.select(inside)
        start = np.maximum(part.y, top)
        length = np.maximum(np.minimum(part.y + part.length, bottom) - start, 0)
        band = np.zeros((bottom - top) * width, dtype=np.int32)
        pixels = (rle_ops.run_pixels(start, length) - top) * width + np.repeat(part.x, length)
        band[pixels] = np.repeat(ids[inside][part.owners()], length)
        yield top, band.reshape(bottom - top, width)


def assign_layers(masks: MaskRuns) -> np.ndarray:
    """A layer from 0 for each mask, int64 (N,): masks that overlap are on different ones (greedy colouring).

    They are as many as ``LabelLayers`` has, about the most masks on one pixel.
    """
    i, j, _ = masks.intersections(masks)
    graph = csr_array((np.ones(len(i), dtype=np.int32), (i, j)), shape=(len(masks), len(masks)))
    layers = np.full(len(masks), -1, dtype=np.int64)
    for cell in smallest_last(graph):
        taken = set(layers[graph.indices[graph.indptr[cell] : graph.indptr[cell + 1]]].tolist())
        layers[cell] = next(layer for layer in range(len(taken) + 1) if layer not in taken)
    return np.maximum(layers, 0)


def smallest_last(graph: csr_array) -> list[int]:
    """The order in which greedy colouring needs few colours, of the nodes of a symmetric graph with loops.

    Last comes the node with the fewest neighbours, before it the one with the fewest among the rest, and so
    on (Matula and Beck 1983). Nodes without an edge, not even to themselves, are left out.
    """
    neighbours = np.split(graph.indices, graph.indptr[1:-1])
    degree = np.diff(graph.indptr).tolist()
    heap = [(number, i) for i, number in enumerate(degree) if number]
    heapq.heapify(heap)
    order, done = [], [False] * len(degree)
    while heap:
        _, i = heapq.heappop(heap)
        if done[i]:
            continue
        done[i] = True
        order.append(i)
        for j in neighbours[i].tolist():
            if not done[j]:
                degree[j] -= 1
                heapq.heappush(heap, (degree[j], j))
    return order[::-1]
