"""Label images of cells that share no pixel: what is done with them, and the instances that they are."""

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from scipy import ndimage
from skimage.segmentation import watershed

from cellmm.structures import PredictedInstances
from cellmm.structures.semantic_maps import disk


def label_components(mask: np.ndarray) -> np.ndarray:
    """int32 (h, w): the number, from 1, of the component that each pixel of ``mask`` belongs to, else 0.

    Pixels are connected by their sides: two cells that touch at a corner are two.
    """
    return ndimage.label(mask)[0]


def fill_holes(regions: np.ndarray) -> np.ndarray:
    """Holes of a region, as far as no other region lies in them, become part of it."""
    filled = regions.copy()
    for number, place in _boxes(regions):
        own = regions[place] == number
        filled[place][ndimage.binary_fill_holes(own) & (regions[place] == 0)] = number
    return filled


def part_bridges(regions: np.ndarray, radius: int) -> np.ndarray:
    """Part each region where a disk of ``radius`` px does not fit through; numbered anew from 1.

    Places that the disk can move between without leaving the region are one part: the components of the
    region's erosion. Every pixel of the region goes to the part that reaches it first. A region that the
    disk does not fit into stays whole.

    >>> bar = np.zeros((5, 11), int)
    >>> bar[1:4, :4] = bar[1:4, 7:] = bar[2] = 1  # two squares and a bridge of one pixel
    >>> part_bridges(bar, radius=1)[2].tolist()
    [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2]
    """
    parted, num, around = np.zeros_like(regions), 0, disk(radius)
    for number, place in _boxes(regions):
        own = regions[place] == number
        cores, found = ndimage.label(cv2.erode(own.view(np.uint8), around))
        parts = own.astype(parted.dtype) if found < 2 else watershed(np.zeros(own.shape), cores, mask=own)
        parted[place][own] = num + parts[own]
        num += max(found, 1)
    return parted


def remove_small(regions: np.ndarray, min_area: int) -> np.ndarray:
    """Without the regions of fewer than ``min_area`` pixels; the others keep their numbers."""
    areas = np.bincount(regions.ravel())
    return np.where(areas[regions] >= min_area, regions, 0)


def grow(regions: np.ndarray, distance: int, within: np.ndarray | None = None) -> np.ndarray:
    """Add to each region the pixels at most ``distance`` px (Euclid) away that belong to no other region.

    A pixel goes to the nearest region, so that none eats into its neighbour. ``within``: bool (h, w), pixels
    that may be added; None: all.
    """
    if not regions.any():
        return regions
    away, (rows, columns) = ndimage.distance_transform_edt(regions == 0, return_indices=True)
    added = away <= distance if within is None else (away <= distance) & (within | (regions > 0))
    return np.where(added, regions[rows, columns], 0)


def mean_in_regions(values: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Mean of ``values`` (h, w) in each region, float64 (highest number + 1,); 0 where there is no pixel."""
    areas = np.bincount(regions.ravel())
    return np.bincount(regions.ravel(), weights=values.ravel()) / np.maximum(areas, 1)


def instances_of(regions: np.ndarray, scores: np.ndarray) -> PredictedInstances:
    """The regions as instances of label 0, best first; windows are 1 on the cell and 0 beside it.

    ``scores``: by the number of the region, (highest number + 1,), in [0, 1].
    """
    found = list(_boxes(regions))
    order = np.argsort([-scores[number] for number, _ in found], kind="stable")
    found = [found[i] for i in order]
    windows = [(regions[place] == number).astype(np.float32) for number, place in found]
    origins = [(rows.start, columns.start) for _, (rows, columns) in found]
    return PredictedInstances(
        probs=windows,
        scores=torch.tensor([scores[number] for number, _ in found], dtype=torch.float32).clamp(0, 1),
        labels=torch.zeros(len(found), dtype=torch.long),
        origins=np.array(origins, np.int64).reshape(-1, 2),
        grid_shape=regions.shape,
    )


def _boxes(regions: np.ndarray) -> Iterator[tuple[int, tuple[slice, slice]]]:
    """(number, rows and columns of its box with a pixel around it, where there is any) of each region."""
    for number, box in enumerate(ndimage.find_objects(regions), start=1):
        if box is not None:
            rows, columns = (slice(max(side.start - 1, 0), side.stop + 1) for side in box)
            yield number, (rows, columns)
