"""Maps of centres, boundaries, distances and offsets: what auxiliary heads learn beside the masks."""

from collections.abc import Callable, Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from cellmm.datasets.transforms.moving_cells import learned_cells
from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS
from cellmm.structures import LabelLayers
from cellmm.structures.auxiliary_maps import boundary_map, centre_map, distance_map, offset_maps

MAPS: dict[str, Callable[[LabelLayers, float], np.ndarray]] = dict(
    center=lambda cells, sigma: centre_map(cells, sigma=sigma),
    boundary=lambda cells, sigma: boundary_map(cells).astype(np.float32),
    distance=lambda cells, sigma: distance_map(cells),
    center_offsets=lambda cells, sigma: offset_maps(cells),
)


@TRANSFORMS.register_module()
class AuxiliaryMaps(BaseTransform):
    """Write ``gt_<name>`` for each of ``targets``, all classes together.

    - ``gt_center``, float32 (H, W): heat map of the centres, see ``centre_map``;
    - ``gt_boundary``, float32 (H, W) of 0 and 1: see ``boundary_map``;
    - ``gt_distance``, float32 (H, W): see ``distance_map``;
    - ``gt_center_offsets``, float32 (2, H, W): see ``offset_maps``.

    After everything that moves pixels, so that the maps are those of the augmented cells. Where cells end in
    crowd regions (``gt_ignore``) is not known: they are no cells, and their pixels become ``ignore``.
    Source: maskrcnn-report.

    Args:
        targets: among center, boundary, distance, center_offsets.
        sigma: px, of the centres' Gaussian.
    """

    reads = ("gt_layers",)
    annotation_only = True

    def __init__(self, *, targets: Sequence[str] = ("center", "boundary"), sigma: float = 5.0) -> None:
        targets = (targets,) if isinstance(targets, str) else tuple(targets)
        if not targets or not set(targets) <= set(MAPS):
            raise CellMMError(f"AuxiliaryMaps: targets are {targets}; choose from {', '.join(MAPS)}")
        if not 0 < sigma < float("inf"):
            raise CellMMError(f"AuxiliaryMaps: sigma is {sigma}; give pixels above 0")
        self.targets, self.sigma = targets, sigma
        self.writes = (*(f"gt_{name}" for name in targets), "ignore")

    def transform(self, results: dict) -> dict:
        cells, _, crowd = learned_cells(results)
        for name in self.targets:
            results[f"gt_{name}"] = MAPS[name](cells, self.sigma)
        if crowd is not None:
            results["ignore"] = crowd | results["ignore"] if "ignore" in results else crowd
        return results
