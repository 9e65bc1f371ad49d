"""Instances from probability maps, by a watershed from seeds."""

from collections.abc import Mapping

import numpy as np
import torch
from scipy import ndimage
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from cellmm.registry import TASK_UTILS
from cellmm.structures import PredictedInstances

EIGHT = np.ones((3, 3), dtype=bool)


@TASK_UTILS.register_module()
class SeededWatershed:
    """Flood the foreground from one seed per cell; cells share no pixel. Source: sparseseunet 4.2, 5.7.

    The foreground is the cytoplasm above ``foreground_thr``.

    Seeds with a map of nuclei: the 8-connected components of the nuclei above ``seed_thr`` in the foreground.
    Seeds without one: let d be the distance to the nearest pixel that is background or border. A seed is the
    neighbourhood of a maximum of d. Two maxima are two seeds if every path between them crosses a pixel whose
    d is less than ``neck`` times the smaller maximum, and at least 1 px less. So two round cells that touch
    are two, and a long or bent cell is one.

    With a map of borders, flooding follows its probability, so that cells meet where it is highest. Without
    one it follows minus the distance to the background, so that cells meet at necks. (Cytoplasm is near 1 all
    over a cell: noise would decide where cells meet.) Pixels that touch at a corner are connected.

    There is one class: all cells have label 0, and a SemanticHead refuses to learn others. Lengths and areas
    are in pixels of the maps.

    Args:
        foreground_thr, seed_thr: see above.
        border_thr: without nuclei, no seed lies on pixels of the border map above this.
        min_seed: components of nuclei with fewer pixels are not seeds.
        neck: without nuclei, a cell is split where its width falls below this share of the widths on both
            sides.
        keep_unseeded: a component of the foreground without a seed is one cell; False: it is dropped.
        min_area: smaller cells are dropped.
    """

    needs_maps = ("cytoplasm",)

    def __init__(
        self,
        foreground_thr: float = 0.5,
        seed_thr: float = 0.5,
        border_thr: float = 0.5,
        min_seed: int = 1,
        neck: float = 0.8,
        keep_unseeded: bool = True,
        min_area: int = 1,
    ) -> None:
        for name, value in dict(
            foreground_thr=foreground_thr, seed_thr=seed_thr, border_thr=border_thr, neck=neck
        ).items():
            if not 0 < value < 1:
                raise ValueError(f"{name} must be between 0 and 1, got {value}")
        self.foreground_thr, self.seed_thr, self.border_thr = foreground_thr, seed_thr, border_thr
        self.min_seed, self.neck = min_seed, neck
        self.keep_unseeded, self.min_area = keep_unseeded, min_area

    def __call__(self, maps: Mapping[str, np.ndarray]) -> PredictedInstances:
        """Maps by name, float32 (h, w) in [0, 1]: cytoplasm and, if the model has them, nuclei and border.

        Returns:
            Windows above 0.5 in the pixels of the cell alone, with the mean cytoplasm probability as score;
            all labels are 0.
        """
        cytoplasm = maps["cytoplasm"]
        regions = self.regions(maps)
        boxes = ndimage.find_objects(regions)
        areas = np.bincount(regions.ravel())[1:]
        sums = np.bincount(regions.ravel(), weights=cytoplasm.ravel())[1:]
        scores = sums / np.maximum(areas, 1)
        order = np.argsort(-scores, kind="stable")
        order = order[areas[order] >= max(self.min_area, 1)]
        level, foreground = self._level(cytoplasm), cytoplasm > self.foreground_thr
        windows, origins = [], np.zeros((len(order), 2), dtype=np.int64)
        for i, index in enumerate(order):  # each window with one pixel around the cell
            rows, cols = (slice(max(side.start - 1, 0), side.stop + 1) for side in boxes[index])
            origins[i] = rows.start, cols.start
            window = level[rows, cols].copy()
            others = foreground[rows, cols] & (regions[rows, cols] != index + 1)
            window[others] = 1 - window[others]
            windows.append(window)
        return PredictedInstances(
            probs=windows,
            scores=torch.from_numpy(scores[order].astype(np.float32)),
            labels=torch.zeros(len(order), dtype=torch.long),
            origins=origins,
            grid_shape=cytoplasm.shape,
        )

    def regions(self, maps: Mapping[str, np.ndarray]) -> np.ndarray:
        """Number of the cell that each pixel belongs to, from 1, or 0: int (h, w)."""
        foreground = maps["cytoplasm"] > self.foreground_thr
        border = maps.get("border")
        if "nuclei" in maps:
            seeds, num = ndimage.label((maps["nuclei"] > self.seed_thr) & foreground, EIGHT)
            sizes = np.bincount(seeds.ravel(), minlength=num + 1)
            seeds[sizes[seeds] < self.min_seed] = 0
        else:
            inner = foreground if border is None else foreground & (border <= self.border_thr)
            seeds, num = ndimage.label(self._middles(inner), EIGHT)
        if self.keep_unseeded:
            components, num_components = ndimage.label(foreground, EIGHT)
            alone = np.ones(num_components + 1, dtype=bool)
            alone[0] = False
            alone[components[seeds > 0]] = False
            seeds = np.where(alone[components], components + num, seeds)
        if not seeds.any():
            return np.zeros(foreground.shape, dtype=np.int32)
        landscape = -_distance(foreground) if border is None else border
        return watershed(landscape, seeds, mask=foreground, connectivity=2)

    def _middles(self, inner: np.ndarray) -> np.ndarray:
        """bool (h, w): the neighbourhoods of the maxima of the distance, one per cell; see the class.

        Reconstruction from below the distance leaves a plateau around each maximum that stands out.
        """
        distance = np.where(inner, _distance(inner), -1.0)
        below = np.where(inner, np.minimum(self.neck * distance, distance - 1), -1.0)
        flooded = np.pad(reconstruction(below, distance), 1, constant_values=-1.0)
        return (local_maxima(flooded, connectivity=2)[1:-1, 1:-1] > 0) & inner

    def _level(self, cytoplasm: np.ndarray) -> np.ndarray:
        """The probability, stretched so that ``foreground_thr`` becomes 0.5; what is above it stays above.

        The window of a cell holds 1 - level in the pixels of other cells. So two cells that touch share no
        pixel and leave no gap when their windows are resampled.
        """
        thr = self.foreground_thr
        level = np.where(cytoplasm > thr, 0.5 + (cytoplasm - thr) / (2 * (1 - thr)), cytoplasm / (2 * thr))
        level = level.astype(np.float32)
        above = np.nextafter(np.float32(0.5), np.float32(1))
        return np.where(cytoplasm > thr, np.maximum(level, above), np.minimum(level, np.float32(0.5)))


def _distance(inside: np.ndarray) -> np.ndarray:
    """Pixels to the nearest pixel that is not ``inside``; 1 everywhere if all are inside."""
    if inside.all():
        return np.ones(inside.shape)
    return ndimage.distance_transform_edt(inside)
