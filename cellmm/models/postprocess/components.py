"""Instances from maps of boundaries, by connected components."""

from abc import abstractmethod
from collections.abc import Mapping

import numpy as np

from cellmm.checks import check_whole
from cellmm.models.postprocess.label_regions import (
    fill_holes,
    grow,
    instances_of,
    label_components,
    mean_in_regions,
    part_bridges,
    remove_small,
)
from cellmm.registry import TASK_UTILS
from cellmm.structures import PredictedInstances

BACKGROUNDS = ("foreground", "largest")


class _Components:
    """Components of pixels, cleaned, then grown by what the boundary took from them.

    In this order: ``bridge``, ``fill_holes``, ``grow``, ``min_area``. Lengths and areas are in pixels of the
    maps. All cells have label 0. Cells share no pixel.
    """

    def __init__(self, grow: int, bridge: int, fill_holes: bool, min_area: int) -> None:
        check_whole(0, grow=grow, bridge=bridge, min_area=min_area)
        self.grow, self.bridge, self.fill_holes, self.min_area = grow, bridge, fill_holes, min_area

    @abstractmethod
    def cores(self, maps: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Numbers (h, w) of cells without their boundaries, the probability (h, w) whose mean over a core is
        its score, and the pixels (h, w) that cells may grow over (None: all)."""

    def __call__(self, maps: Mapping[str, np.ndarray]) -> PredictedInstances:
        """Maps by name, float32 (h, w) in [0, 1] -> the cells, whose windows are 1 or 0."""
        regions, probs, within = self.cores(maps)
        if self.bridge:
            regions = part_bridges(regions, self.bridge)
        if self.fill_holes:
            regions = fill_holes(regions)
        scores = mean_in_regions(probs, regions)
        regions = grow(regions, self.grow, within)
        return instances_of(remove_small(regions, self.min_area), scores)


@TASK_UTILS.register_module()
class ClassComponents(_Components):
    """Cells of exclusive classes: components of the pixels whose likeliest class is ``interior``.

    The score is the mean probability of ``interior`` over the component. Source: nuclei-notes.

    Args:
        grow: px by which each component is dilated, half of the boundary; pixels go to the nearest one.
        bridge: px; part cells where a disk of this radius does not fit through, see ``part_bridges``; 0: do
            not.
        fill_holes: holes of a cell belong to it.
        min_area: smaller cells are dropped.
    """

    needs_maps = ("interior", "boundary", "exterior")

    def __init__(self, grow: int = 1, bridge: int = 0, fill_holes: bool = True, min_area: int = 1) -> None:
        super().__init__(grow, bridge, fill_holes, min_area)

    def cores(self, maps: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, None]:
        interior = maps["interior"]
        inside = (interior > maps["boundary"]) & (interior > maps["exterior"])
        return label_components(inside), interior, None


@TASK_UTILS.register_module()
class BoundaryComponents(_Components):
    """Cells parted by their boundaries: components of pixels of ``boundary_thr`` or less.

    Which of them are background, by ``background``:

    - 'foreground': pixels where the map ``cytoplasm`` is ``foreground_thr`` or less belong to no component,
      and cells do not grow over them. The background may lie in any number of pieces. With cuts instead of
      boundaries there is no other way. The score is the mean cytoplasm.
    - 'largest': without a map of the foreground, the largest component alone, as published. Where cells and
      the edge of the image part the background, its other pieces are taken for cells. The score is 1 minus
      the mean boundary. Source: nuclei-notes.

    Args:
        boundary_thr, foreground_thr, background: see above.
        grow, bridge, fill_holes, min_area: see ClassComponents.
    """

    def __init__(
        self,
        boundary_thr: float = 0.5,
        foreground_thr: float = 0.5,
        background: str = "foreground",
        grow: int = 1,
        bridge: int = 0,
        fill_holes: bool = True,
        min_area: int = 1,
    ) -> None:
        super().__init__(grow, bridge, fill_holes, min_area)
        for name, value in dict(boundary_thr=boundary_thr, foreground_thr=foreground_thr).items():
            if not 0 < value < 1:
                raise ValueError(f"{name} must be between 0 and 1, got {value}")
        if background not in BACKGROUNDS:
            raise ValueError(f"background must be one of {BACKGROUNDS}, got {background!r}")
        self.boundary_thr, self.foreground_thr, self.background = boundary_thr, foreground_thr, background
        self.needs_maps = ("boundary", "cytoplasm") if background == "foreground" else ("boundary",)

    def cores(self, maps: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        boundary = maps["boundary"]
        free = boundary <= self.boundary_thr
        if self.background == "foreground":
            covered = maps["cytoplasm"] > self.foreground_thr
            return label_components(free & covered), maps["cytoplasm"], covered
        regions = label_components(free)
        areas = np.bincount(regions.ravel())
        areas[0] = 0
        return np.where(regions == areas.argmax(), 0, regions), 1 - boundary, None
