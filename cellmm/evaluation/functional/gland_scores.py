"""Detection, segmentation and shape of objects, as the GlaS challenge scores glands.

The sets of objects are those of all images of a test set: counts and areas of all images are summed before
anything is divided, nothing is averaged over images. Source: GlaS.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cellmm.structures import MaskRuns
from cellmm.structures.distances import distances_to

GLAND_SCORES = ("F1", "object_dice", "object_hausdorff", "count_ratio")


@dataclass
class ObjectScores:
    """The N objects of one side (segmented or annotated) of an image, each against an object of the other.

    ``areas``: int64 (N,), px; ``dice``: float64 (N,), 0 to 1; ``hausdorff``: float64 (N,), px.
    """

    areas: np.ndarray
    dice: np.ndarray
    hausdorff: np.ndarray


@dataclass
class GlandMatches:
    """One image: its ``segmented`` and ``annotated`` objects, and how many annotated ones are found."""

    segmented: ObjectScores
    annotated: ObjectScores
    num_found: int


def match_glands(segmented: MaskRuns, annotated: MaskRuns) -> GlandMatches:
    """Compare each object with the object of the other side that it shares the most pixels with.

    Of two that share equally many the first is taken. Each side chooses on its own, so an object may be
    chosen several times or never. An object that overlaps none has Dice 0, and its Hausdorff distance is the
    lowest to any object of the other side. The challenge leaves open what holds where the other side of an
    image has no object: here it is the diagonal of the image, so that finding nothing is not rewarded.

    An annotated object is found if a segmented object that chose it covers at least half of it ("at least
    50%" in the text of the challenge; its program asks for more than half). The challenge's objects do not
    overlap. Here they may, and of several that cover the same object one is right, the others are false.
    Objects without a pixel are left out.

    Examples:
        >>> square = np.ones((4, 4), bool)
        >>> annotated = MaskRuns.from_crops([square, square], [(0, 0), (0, 8)], (4, 12))
        >>> segmented = MaskRuns.from_crops([square[:, :2], square[:, :1]], [(0, 0), (0, 5)], (4, 12))
        >>> matches = match_glands(segmented, annotated)
        >>> matches.num_found, matches.annotated.dice.round(3).tolist()
        (1, [0.667, 0.0])
        >>> matches.segmented.hausdorff.tolist()
        [2.0, 5.0]
    """
    if segmented.shape != annotated.shape:
        raise ValueError(f"masks of {segmented.shape} and {annotated.shape} pixels (h, w) are of two images")
    segmented, annotated = (masks.select(masks.areas() > 0) for masks in (segmented, annotated))
    pred, gt, shared = segmented.intersections(annotated)
    chosen = _choose(pred, gt, shared, len(segmented))
    pairs = chosen[chosen >= 0]
    covers = 2 * shared[pairs] >= annotated.areas()[gt[pairs]]
    return GlandMatches(
        segmented=_score(segmented, annotated, chosen, gt, shared),
        annotated=_score(annotated, segmented, _choose(gt, pred, shared, len(annotated)), pred, shared),
        num_found=len(np.unique(gt[pairs[covers]])),
    )


def gland_scores(images: Sequence[GlandMatches]) -> dict[str, float]:
    """The scores of a test set: ``GLAND_SCORES`` by name; nan for no object on either side of any image.

    - ``F1`` = 2 TP / (2 TP + FP + FN), in [0, 1].
    - ``object_dice``, in [0, 1], and ``object_hausdorff``, px: the mean over the segmented objects, weighted
      by their area, and the same over the annotated ones; the mean of both. Where one of the sides has no
      object in any image, the other alone counts.
    - ``count_ratio``: the smaller by the larger of the numbers of segmented and annotated objects, in [0, 1],
      of each image with an object, averaged over these. glas-report 8 names a count without a definition:
      this is ours.

    Examples:
        >>> masks = MaskRuns.from_crops([np.ones((4, 4), bool)], [(0, 0)], (8, 8))
        >>> gland_scores([match_glands(masks, masks)])
        {'F1': 1.0, 'object_dice': 1.0, 'object_hausdorff': 0.0, 'count_ratio': 1.0}
    """
    sides = [
        [image.segmented for image in images],
        [image.annotated for image in images],
    ]
    numbers = np.array([[len(objects.areas) for objects in side] for side in sides]).reshape(2, -1)
    some = numbers.max(axis=0, initial=0) > 0
    total = numbers.sum()
    found = sum(image.num_found for image in images)
    values = [
        2 * found / total if total else np.nan,
        _weighted(sides, "dice"),
        _weighted(sides, "hausdorff"),
        (numbers.min(axis=0)[some] / numbers.max(axis=0)[some]).mean() if some.any() else np.nan,
    ]
    return dict(zip(GLAND_SCORES, map(float, values), strict=True))


def hausdorff_distance(one: MaskRuns, i: int, other: MaskRuns, j: int) -> float:
    """The greatest distance of a pixel of either mask to the nearest pixel of the other one, px.

    Neither mask may be empty; distances are Euclidean, between the centres of pixels.
    """
    crops = [one.crop(i), other.crop(j)]
    origins = np.array([origin for _, origin in crops])
    corner = origins.min(axis=0)
    size = (origins + [crop.shape for crop, _ in crops]).max(axis=0) - corner
    masks = np.zeros((2, *size), bool)
    for mask, (crop, _), (top, left) in zip(masks, crops, origins - corner, strict=True):
        mask[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
    greatest = 0.0
    for mask, target in (masks, masks[::-1]):
        alone = mask & ~target
        if alone.any():
            greatest = max(greatest, float(distances_to(target)[alone].max()))
    return greatest


def _choose(owner: np.ndarray, other: np.ndarray, shared: np.ndarray, num: int) -> np.ndarray:
    """The pair of each of ``num`` objects with the most pixels ``shared`` (P,), the first other of equals;
    int64 (num,), -1: it is in no pair."""
    chosen = np.full(num, -1, np.int64)
    order = np.lexsort((-other, shared, owner))  # the best comes last, and stays
    chosen[owner[order]] = order
    return chosen


def _score(
    masks: MaskRuns, others: MaskRuns, chosen: np.ndarray, partner: np.ndarray, shared: np.ndarray
) -> ObjectScores:
    """``chosen`` int64 (N,), the pair of each of ``masks``; ``partner`` and ``shared`` (P,), by pair."""
    areas, other_areas = masks.areas(), others.areas()
    dice = np.zeros(len(masks))
    hausdorff = np.full(len(masks), np.hypot(*masks.shape))
    has = chosen >= 0
    pairs = chosen[has]
    dice[has] = 2 * shared[pairs] / (areas[has] + other_areas[partner[pairs]])
    for i in np.flatnonzero(has).tolist():
        hausdorff[i] = hausdorff_distance(masks, i, others, int(partner[chosen[i]]))
    if len(others):
        boxes, other_boxes = masks.boxes(), others.boxes()
        for i in np.flatnonzero(~has).tolist():
            hausdorff[i] = _to_nearest(masks, i, others, np.abs(other_boxes - boxes[i]).max(axis=1))
    return ObjectScores(areas, dice, hausdorff)


def _to_nearest(masks: MaskRuns, i: int, others: MaskRuns, least: np.ndarray) -> float:
    """The lowest Hausdorff distance of mask ``i`` to one of ``others``.

    ``least`` (M,): what it is at least. Where the boxes of two masks end apart, so do the masks.
    """
    lowest = np.inf
    for j in np.argsort(least, kind="stable").tolist():
        if least[j] >= lowest:
            break
        lowest = min(lowest, hausdorff_distance(masks, i, others, j))
    return lowest


def _weighted(sides: Sequence[Sequence[ObjectScores]], name: str) -> float:
    """The mean over the sides that have objects of the mean of ``name``, weighted by area."""
    means = []
    for side in sides:
        areas = np.concatenate([np.zeros(0), *(objects.areas for objects in side)])
        if len(areas):
            values = np.concatenate([getattr(objects, name) for objects in side])
            means.append(np.average(values, weights=areas))
    return np.mean(means) if means else np.nan
