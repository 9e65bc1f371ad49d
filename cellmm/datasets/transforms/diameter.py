"""Images whose cells are alike in size."""

import math
from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from cellmm.datasets.transforms.geometry import rescale
from cellmm.registry import TRANSFORMS

LARGEST = 8.0  # times as large, at most


@TRANSFORMS.register_module()
class RescaleToDiameter(BaseTransform):
    """Scale the image so that its cells are ``diameter`` pixels across, times a random factor.

    How large they are is ``cell_diameter`` of the results, in pixels of the image, which ``cellmm predict``
    sets where it is known. In training it is that of the annotation: the diameter of a circle as large as the
    median cell, crowd regions aside (as the diameter of Cellpose; Stringer et al., 2021). Otherwise nothing
    is scaled: a test must not learn the size from the annotation, so there the model finds it, see
    DiameterFinder.

    Args:
        diameter: pixels.
        scale: range of the factor, in training only; halving is as likely as doubling.
    """

    reads = ("img", "rng")
    writes = ("cell_diameter",)
    moves_pixels = True
    removes_cells = True

    def __init__(self, *, diameter: float, scale: Sequence[float] = (1.0, 1.0)) -> None:
        if not 0 < diameter < float("inf"):
            raise ValueError(f"RescaleToDiameter: diameter is {diameter}; give pixels above 0")
        if np.shape(scale) != (2,) or not 0 < scale[0] <= scale[1] < float("inf"):
            raise ValueError(f"RescaleToDiameter: scale must be (lowest, highest) above 0, got {scale!r}")
        self.diameter, self.scale = float(diameter), (float(scale[0]), float(scale[1]))

    def transform(self, results: dict) -> dict:
        factor, known = 1.0, results.get("cell_diameter")
        if known is None and "gt_layers" in results and "eval_instances" not in results:
            factor = float(np.exp(results["rng"].uniform(*np.log(self.scale))))
            known = diameter_of_areas(_annotated_areas(results))
        if known is not None:
            factor *= self.diameter / known
            results["cell_diameter"] = known
        return rescale(results, min(factor, LARGEST), step=type(self).__name__)


def _annotated_areas(results: dict) -> np.ndarray:
    areas = results["gt_layers"].areas()
    return areas[~results["gt_ignore"].astype(bool)] if "gt_ignore" in results else areas


def diameter_of_areas(areas: np.ndarray) -> float | None:
    """Of a circle as large as the median of ``areas`` (N,), pixels; None: all areas are 0."""
    areas = areas[areas > 0]
    return 2 * math.sqrt(float(np.median(areas)) / math.pi) if areas.size else None
