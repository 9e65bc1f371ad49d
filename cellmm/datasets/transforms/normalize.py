"""Bring the values of an image to the range that networks are used to."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS

MODES = ("mean_std", "median_std", "percentile", "divide")


@TRANSFORMS.register_module()
class Normalize(BaseTransform):
    """Shift and scale each channel of ``img``, float32 (H, W, C).

    - ``'mean_std'``, ``'median_std'``: (x - mean or median) / standard deviation of this image;
    - ``'percentile'``: the ``percentiles`` go to 0 and 1; values beyond are kept, not clipped;
    - ``'divide'``: x / ``divisor``, e.g. 255 or 65535, the same for every image.

    A constant channel becomes 0 (``'divide'`` aside). Raises CellMMError naming the file where a value is not
    finite.
    """

    def __init__(
        self,
        *,
        mode: str = "mean_std",
        percentiles: Sequence[float] = (1.0, 99.8),
        divisor: float | None = None,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"mode must be one of {MODES}, got {mode!r}")
        if (mode == "divide") != (divisor is not None):
            raise ValueError("divisor goes with mode='divide', and only with it")
        if not 0 <= percentiles[0] < percentiles[1] <= 100:
            raise ValueError(f"percentiles must be two rising numbers from 0 to 100, got {percentiles}")
        self.mode, self.percentiles, self.divisor = mode, tuple(percentiles), divisor

    def transform(self, results: dict) -> dict:
        image = results["img"]
        if not np.isfinite(image).all():
            raise CellMMError(f"{results.get('img_path')}: pixels that are not finite; leave it out")
        if self.mode == "divide":
            shift, scale = 0.0, float(self.divisor)
        elif self.mode == "percentile":
            shift, top = np.percentile(image, self.percentiles, axis=(0, 1))
            scale = top - shift
        else:
            shift = (
                image.mean((0, 1), dtype=np.float64) if self.mode == "mean_std" else np.median(image, (0, 1))
            )
            scale = image.std((0, 1), dtype=np.float64)
        results["img"] = ((image - shift) / np.where(scale > 0, scale, 1)).astype(np.float32)
        return results
