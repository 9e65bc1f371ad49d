"""Cells of different microscopes at the same scale."""

import math
from collections.abc import Sequence
from numbers import Real

import numpy as np
from mmcv.transforms import BaseTransform

from cellmm.datasets.transforms.geometry import resize
from cellmm.errors import CellMMError
from cellmm.io.memory import MAX_VALUES
from cellmm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RescaleToPixelSize(BaseTransform):
    """Scale image (area averaging to shrink, else linear) and cells (nearest) to pixels of ``pixel_size``.

    ``pixel_size`` of the results, which LoadImage reads from the file, says how large its pixels are. Writes
    ``model_pixel_size``, (y, x) in micrometres.

    Args:
        pixel_size: that the model takes, micrometres: one number, or (y, x).

    Raises CellMMError naming the file where its pixel size is not known, or makes more than 2^30 pixels.
    """

    reads = ("img", "pixel_size")
    writes = ("model_pixel_size",)
    moves_pixels = True
    removes_cells = True

    def __init__(self, *, pixel_size: float | Sequence[float]) -> None:
        size = (pixel_size,) * 2 if isinstance(pixel_size, Real) else tuple(pixel_size)
        if len(size) != 2 or not all(0 < side < float("inf") for side in size):
            raise ValueError(f"RescaleToPixelSize: pixel_size is {pixel_size}; give micrometres above 0")
        self.pixel_size = (float(size[0]), float(size[1]))

    def transform(self, results: dict) -> dict:
        stated = results.get("pixel_size")
        if stated is None:
            raise CellMMError(
                f"{results.get('img_path')} does not state its pixel size, and the model takes pixels of "
                f"{self.pixel_size[0]:g} x {self.pixel_size[1]:g} micrometres: give --pixel-size, or set "
                "pixel_size of LoadImage"
            )
        along_x, along_y = np.hypot(*results.get("to_original", np.eye(3))[:2, :2])  # pixels of the file
        now = stated[0] * along_y, stated[1] * along_x
        factors = [old / new for old, new in zip(now, self.pixel_size, strict=True)]
        shape = results["img"].shape[:2]
        new = tuple(max(1, round(side * factor)) for side, factor in zip(shape, factors, strict=True))
        if math.prod(new) > max(MAX_VALUES, math.prod(shape)):
            raise CellMMError(
                f"{results.get('img_path')} has pixels of {stated[0]:g} x {stated[1]:g} micrometres; to "
                f"scale them to {self.pixel_size[0]:g} x {self.pixel_size[1]:g} makes {new} pixels: check "
                "what the file states, give --pixel-size, or crop it"
            )
        results["model_pixel_size"] = self.pixel_size
        return resize(results, new, step=type(self).__name__)
