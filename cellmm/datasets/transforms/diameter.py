"""Images whose cells are alike in size."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from cellmm.datasets.transforms.geometry import resize
from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS

LARGEST = 8.0  # times as large, at most


@TRANSFORMS.register_module()
class RescaleToDiameter(BaseTransform):
    """Scale an annotated image so that its cells are ``diameter`` pixels across, times a random factor.

    The size of the cells is the diameter of a circle as large as the median cell, crowd regions aside, as
    with the diameter of Cellpose (Stringer et al., 2021). An image without cells is scaled by the random
    factor alone. For training pipelines: a test would learn from the annotation how large the cells are; there
    DiameterFinder of the model finds it in the image.

    Args:
        diameter: pixels.
        scale: range of the factor, drawn so that halving is as likely as doubling.

    Raises CellMMError in test pipelines.
    """

    reads = ("img", "rng", "gt_layers")
    moves_pixels = True
    removes_cells = True
    annotation_only = True

    def __init__(self, *, diameter: float, scale: Sequence[float] = (1.0, 1.0)) -> None:
        if not 0 < diameter < float("inf"):
            raise ValueError(f"RescaleToDiameter: diameter is {diameter}; give pixels above 0")
        if np.shape(scale) != (2,) or not 0 < scale[0] <= scale[1] < float("inf"):
            raise ValueError(f"RescaleToDiameter: scale must be (lowest, highest) above 0, got {scale!r}")
        self.diameter, self.scale = float(diameter), (float(scale[0]), float(scale[1]))

    def transform(self, results: dict) -> dict:
        if "eval_instances" in results:
            raise CellMMError(
                "RescaleToDiameter takes the size of the cells from the annotation, which a test must not: "
                "leave it out of the test pipeline, and set model.cell_size"
            )
        factor = np.exp(results["rng"].uniform(*np.log(self.scale)))
        areas = results["gt_layers"].areas()
        if "gt_ignore" in results:
            areas = areas[~results["gt_ignore"].astype(bool)]
        if (areas := areas[areas > 0]).size:
            factor *= self.diameter / (2 * np.sqrt(np.median(areas) / np.pi))
        shape = results["img"].shape[:2]
        factor = min(factor, LARGEST)
        new = tuple(max(1, round(side * factor)) for side in shape)
        return resize(results, new, step=type(self).__name__)
