"""One set of instances made of those that several looks at an image found: views of it, or several models."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch

from cellmm.models.postprocess.join_tiles import SAME, groups
from cellmm.structures import PredictedInstances

FAINT = 0.02  # sides of a window that are less probable than this are cut off


def merge_instances(looks: Sequence[PredictedInstances], shape: Sequence[int]) -> PredictedInstances:
    """The mean of what L looks at one input of ``shape`` (H, W) found, best first.

    Instances of two looks are the same cell if their masks have an IoU above 0.5. Pairs of one label are
    matched before others, and those with the highest IoU first. A cell has at most one instance per look, so
    cells that overlap stay apart.

    The probabilities of a cell are averaged over the looks that see it, before the threshold. Its score is
    the sum of their scores divided by L: a cell that few looks see loses most of it. Its label is the one
    with the highest sum of scores, the lowest of several.

    The result has the stride of the finest masks, and the threshold of the looks, or 0.5 where they differ.
    In memory are the windows of all looks, without sides that are less than 2 % probable.

    >>> def look(score, *pixels):
    ...     mask = np.zeros((1, 1, 4), dtype=np.float32)
    ...     mask[0, 0, list(pixels)] = 0.8
    ...     return PredictedInstances(mask, torch.tensor([score]), torch.tensor([0]))
    >>> merged = merge_instances([look(0.9, 0, 1, 2), look(0.7, 0, 1)], (1, 4))
    >>> round(float(merged.scores[0]), 3), merged.probs[0].astype(float).round(2).tolist()
    (0.8, [[0.8, 0.8, 0.4]])
    """
    every, look = _on_one_grid(looks, shape)
    masks = every.mask_runs()
    filled = masks.areas() > 0
    every, masks, look = every.select(filled), masks.select(filled), look[filled]
    labels, areas = every.labels.numpy(), masks.areas()
    i, j, shared = masks.intersections(masks)
    apart = (i < j) & (look[i] != look[j])
    i, j, shared = i[apart], j[apart], shared[apart]
    iou = shared / (areas[i] + areas[j] - shared)
    of_one_label = (labels[i] == labels[j]) & (iou > SAME)
    return _means(every, groups(look, i, j, iou + of_one_label), len(looks))


def _on_one_grid(
    looks: Sequence[PredictedInstances], shape: Sequence[int]
) -> tuple[PredictedInstances, np.ndarray]:
    """The instances of all looks on one map, and the number of the look of each, int64 (N,)."""
    stride = min(found.stride for found in looks)
    grid = tuple(-(-int(side) // int(stride)) for side in shape)
    one_threshold = len({found.mask_thr for found in looks}) == 1
    with_points = any(found.points is not None for found in looks)
    every = None
    for found in looks:
        if not one_threshold:
            found = _at_one_half(found)
        if with_points:
            found = replace(found, points=found.places())
        found = _cut_to_masks(found, stride, grid)
        every = found if every is None else every.joined(found)
    return every, np.repeat(np.arange(len(looks)), [len(found) for found in looks])


def _at_one_half(found: PredictedInstances) -> PredictedInstances:
    """The same masks above 0.5: probabilities below and above ``mask_thr`` are stretched."""
    ends = [0, found.mask_thr, 1], [0, 0.5, 1]
    return replace(
        found, probs=[np.interp(prob, *ends).astype(np.float32) for prob in found.probs], mask_thr=0.5
    )


def _cut_to_masks(found: PredictedInstances, stride: float, grid: tuple[int, int]) -> PredictedInstances:
    """The same masks at a finer stride, in windows as small as can be inside of ``grid``."""
    times = found.stride / stride
    probs, corners = [], np.zeros((len(found), 2), dtype=np.int64)
    for i, (prob, origin) in enumerate(zip(found.probs, found.origins, strict=True)):
        corner = np.rint(origin * times).astype(np.int64)
        if times > 1 and prob.size:
            size = [round(side * times) for side in prob.shape]
            prob = cv2.resize(prob, size[::-1], interpolation=cv2.INTER_LINEAR)
        first, end = np.maximum(-corner, 0), np.maximum(grid - corner, 0)
        prob = prob[first[0] : end[0], first[1] : end[1]]
        seen = prob > min(FAINT, found.mask_thr)
        rows, cols = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
        if not len(rows):
            probs.append(np.zeros((0, 0), dtype=np.float32))
            continue
        corners[i] = corner + first + (rows[0], cols[0])
        probs.append(prob[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1].copy())
    return replace(found, probs=probs, origins=corners, stride=stride, grid_shape=grid)


def _means(every: PredictedInstances, group: np.ndarray, num_looks: int) -> PredictedInstances:
    """One instance per group, int64 (N,) from 0, best first."""
    scores, labels = every.scores.double().numpy(), every.labels.numpy()
    num = int(group.max(initial=-1)) + 1
    order = np.argsort(group, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(group, minlength=num))[:-1]) if num else []
    sides = np.array([prob.shape for prob in every.probs], dtype=np.int64).reshape(-1, 2)
    probs, corners, chosen = [], np.zeros((num, 2), dtype=np.int64), np.zeros(num, dtype=np.int64)
    points = None if every.points is None else np.zeros((num, 2))
    for number, own in enumerate(members):
        corners[number] = every.origins[own].min(0)
        mean = np.zeros((every.origins[own] + sides[own]).max(0) - corners[number], dtype=np.float32)
        for i in own:
            (top, left), (height, width) = every.origins[i] - corners[number], sides[i]
            mean[top : top + height, left : left + width] += every.probs[i]
        probs.append(mean / len(own))
        chosen[number] = np.bincount(labels[own], weights=scores[own]).argmax()
        if points is not None:
            points[number] = every.points[own].mean(0)
    means = np.bincount(group, weights=scores, minlength=num) / num_looks
    merged = replace(
        every,
        probs=probs,
        scores=torch.from_numpy(means).to(every.scores.dtype),
        labels=torch.from_numpy(chosen),
        origins=corners,
        points=points,
    )
    return merged.select(np.lexsort((*corners.T[::-1], -means)))
