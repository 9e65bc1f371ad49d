"""Bring the values of an image into the range that networks expect."""

import logging
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log

from cellmm.datasets.transforms.fill import find_fill
from cellmm.errors import CellMMError
from cellmm.messages import NAMED, is_told
from cellmm.registry import TRANSFORMS

MODES = ("mean_std", "median_std", "percentile", "divide")
MASK = "holds two values only, as a mask does; leave it out if it is not an image"
FILL = (
    "{} of {} pixels are a missing tile or a padded border (areas of one value with straight outlines): they "
    "are left out of the normalisation; if they belong to the image, take mode='divide' in Normalize"
)


@TRANSFORMS.register_module()
class Normalize(BaseTransform):
    """Shift and scale each channel of ``img``, float32 (H, W, C).

    - ``'mean_std'``, ``'median_std'``: (x - mean or median) / standard deviation of this image;
    - ``'percentile'``: the ``percentiles`` go to 0 and 1; values beyond are kept, not clipped;
    - ``'divide'``: x / ``divisor``, e.g. 255 or 65535, the same for every image;
    - with ``mean`` and ``std``, as in MMDetection: (x - mean) / std, the same for every image. Each is one
      number, or one per channel in the order of the channels of ``img`` (R, G, B). ``to_rgb`` must be True
      for three channels and makes no difference for others.

    In the first three modes a constant channel becomes 0, and pixels that hold no image (see ``find_fill``: a
    missing tile of a stitched image, a padded border) do not count, become the mean of the others, and are
    counted in a warning. An image of two values, which may be a mask, is a warning too. Of each kind the
    first ten images are named, once each, whichever worker reads them; then the warning tells how many there
    are so far. Raises CellMMError naming the file where a value is not finite.
    """

    reads = ("img",)
    writes = ("img",)

    def __init__(
        self,
        *,
        mode: str = "mean_std",
        percentiles: Sequence[float] = (1.0, 99.8),
        divisor: float | None = None,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        to_rgb: bool = True,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"mode must be one of {MODES}, got {mode!r}")
        if (mode == "divide") != (divisor is not None):
            raise ValueError("divisor goes with mode='divide', and only with it")
        if not 0 <= percentiles[0] < percentiles[1] <= 100:
            raise ValueError(f"percentiles must be two rising numbers from 0 to 100, got {percentiles}")
        self.fixed = _fixed(mean, std, to_rgb)
        if self.fixed is not None and mode != "mean_std":
            raise ValueError(f"mean and std do not go with mode={mode!r}; leave mode out")
        if divisor is not None:
            self.fixed = 0.0, float(divisor)
        self.mode, self.percentiles = mode, tuple(percentiles)
        # bytes by a hash of the image's path, which all workers share, also those of later validations
        self._warned = {text: torch.zeros(2**16, dtype=torch.uint8).share_memory_() for text in (MASK, FILL)}

    def transform(self, results: dict) -> dict:
        image = results["img"]
        if not np.isfinite(image).all():
            raise CellMMError(f"{results.get('img_path')}: pixels that are not finite; leave it out")
        path = str(results.get("img_path"))
        if _has_two_values(image):
            self._warn(path, MASK)
        fill = find_fill(image) if self.fixed is None else None
        shift, scale = self._shift_and_scale(image if fill is None else image[~fill][:, None])
        image = ((image - shift) / np.where(scale > 0, scale, 1)).astype(np.float32)
        if fill is not None:
            self._warn(path, FILL, np.count_nonzero(fill), fill.size)
            image[fill] = image[~fill].mean(0, dtype=np.float64)
        results["img"] = image
        return results

    def _shift_and_scale(self, image: np.ndarray) -> tuple[np.ndarray | float, np.ndarray | float]:
        if self.fixed is not None:
            if (num := np.size(self.fixed[0])) not in (1, image.shape[-1]):
                raise CellMMError(
                    f"Normalize: mean and std have {num} numbers, the image has {image.shape[-1]} channels: "
                    "give one number per channel"
                )
            return self.fixed
        if self.mode == "percentile":
            shift, top = np.percentile(image, self.percentiles, axis=(0, 1))
            return shift, top - shift
        shift = image.mean((0, 1), dtype=np.float64) if self.mode == "mean_std" else np.median(image, (0, 1))
        return shift, image.std((0, 1), dtype=np.float64)

    def _warn(self, path: str, text: str, *numbers: int) -> None:
        warned, place = self._warned[text], zlib.crc32(path.encode(errors="surrogatepass")) % 2**16
        if warned[place]:
            return
        warned[place] = 1
        images = int(warned.sum())
        if is_told(images):
            so_far = f"{images} images so far, the last one " if images > NAMED else ""
            print_log(f"{so_far}{path}: {text.format(*numbers)}", logger="current", level=logging.WARNING)


def _fixed(mean: Any, std: Any, to_rgb: bool) -> tuple[np.ndarray, np.ndarray] | None:
    """Mean and standard deviation that are the same for every image, (1,) or (C,); None: not given."""
    if mean is None and std is None:
        return None
    if mean is None or std is None:
        raise ValueError(f"{'mean' if mean is None else 'std'} is missing; give both mean and std")
    mean, std = np.atleast_1d(np.float64(mean)), np.atleast_1d(np.float64(std))
    if mean.ndim != 1 or mean.shape != std.shape or not (np.isfinite(mean).all() and (std > 0).all()):
        raise ValueError("mean and std need one number per channel each, those of std above 0")
    if not to_rgb and len(mean) == 3:
        raise ValueError("to_rgb=False: channels are R, G, B here; reverse mean and std and leave it out")
    return mean, std


def _has_two_values(image: np.ndarray) -> bool:
    """Whether a channel is not constant, and no channel holds more than two values."""
    pixels = image.reshape(-1, image.shape[-1])
    some = pixels[:: max(1, len(pixels) // 1000)]
    for part in (some, pixels):  # most images are known by a few pixels
        low, high = part.min(0), part.max(0)
        if ((part != low) & (part != high)).any():
            return False
    return bool((low < high).any())
