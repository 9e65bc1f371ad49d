"""Bring the values of an image into the range that networks expect."""

import logging
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log

from cellmm.checks import check_whole
from cellmm.datasets.transforms.fill import find_fill
from cellmm.datasets.transforms.norm_statistics import NormStatistics, sample_pixels
from cellmm.datasets.transforms.percentiles import channel_percentiles
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

    ``local``: in the first three modes, take the values of blocks of about this many pixels a side instead
    of the whole image, interpolated between the blocks, for uneven light and staining in large images (as
    the block size of tile normalisation in Cellpose). A block without pixels of image takes the values of
    all of them. It should be several cells wide; None: the whole image.

    ``norm_statistics`` in ``results``, see ``statistics``, are used instead of the image's own, so that parts
    of a large image are normalised as the whole.
    """

    reads = ("img", "norm_statistics")
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
        local: int | None = None,
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
        check_whole(1, local=local)
        if local is not None and self.fixed is not None:
            raise ValueError("local does not go with values that are the same for every image; leave it out")
        self.mode, self.percentiles, self.local = mode, tuple(percentiles), local
        # bytes by a hash of the image's path, which all workers share, also those of later validations
        self._warned = {text: torch.zeros(2**16, dtype=torch.uint8).share_memory_() for text in (MASK, FILL)}

    def transform(self, results: dict) -> dict:
        image, path = results["img"], str(results.get("img_path"))
        if not np.isfinite(image).all():
            raise CellMMError(f"{path}: pixels that are not finite; leave it out")
        statistics = results.get("norm_statistics")
        if statistics is None:
            statistics = self._measure(image, image.shape[:2], 1, path)
        self._check_channels(image)
        results["img"] = statistics.apply(image)
        return results

    def statistics(
        self, shape: Sequence[int], blocks: Iterable[tuple[int, int, np.ndarray]], path: object = None
    ) -> NormStatistics:
        """What normalises an image of ``shape`` (H, W) that is read in parts.

        Of images of more than 2^23 pixels every second, third ... row and column counts, as many as that
        takes. A part from (top, left) on takes ``results["norm_statistics"] = statistics.part(top, left,
        bottom, right)``.

        Args:
            blocks: (top, left, pixels (h, w, C)) of parts that cover the image.
            path: names the image in warnings and errors.

        Raises:
            CellMMError: a value is not finite.
        """
        if self.fixed is not None:
            return self._fixed_statistics(shape)
        sample, stride = sample_pixels(shape, blocks)
        if not np.isfinite(sample).all():
            raise CellMMError(f"{path}: pixels that are not finite; leave it out")
        return self._measure(sample, shape, stride, str(path))

    def _measure(self, image: np.ndarray, shape: Sequence[int], stride: int, path: str) -> NormStatistics:
        """The statistics of an image of ``shape`` by every ``stride``-th row and column of it, ``image``."""
        if _has_two_values(image):
            self._warn(path, MASK)
        if self.fixed is not None:
            return self._fixed_statistics(shape)
        fill = find_fill(image)
        found = NormStatistics(*self._grid(image, fill, stride), shape=(int(shape[0]), int(shape[1])))
        if fill is None:
            return found
        share = shape[0] * shape[1] / fill.size
        self._warn(path, FILL, round(np.count_nonzero(fill) * share), shape[0] * shape[1])
        return replace(
            found,
            fill=fill,
            fill_values=np.unique(image[fill], axis=0),
            fill_becomes=found.apply(image)[~fill].mean(0, dtype=np.float64),
            stride=stride,
        )

    def _fixed_statistics(self, shape: Sequence[int]) -> NormStatistics:
        shift, scale = (np.reshape(value, (1, 1, -1)) for value in self.fixed)
        return NormStatistics(shift, scale, shape=(int(shape[0]), int(shape[1])))

    def _grid(self, image: np.ndarray, fill: np.ndarray | None, stride: int) -> tuple[np.ndarray, np.ndarray]:
        """Shift and scale, (gh, gw, C): of the whole image, or of blocks of about ``local`` pixels."""
        whole = self._shift_and_scale(image if fill is None else image[~fill][:, None])
        if self.local is None:
            return tuple(np.reshape(value, (1, 1, -1)) for value in whole)
        num = [max(round(side * stride / self.local), 1) for side in image.shape[:2]]
        shift, scale = (np.tile(np.reshape(value, (1, 1, -1)), (*num, 1)) for value in whole)
        rows, cols = (
            np.linspace(0, side, count + 1).round().astype(int)
            for side, count in zip(image.shape, num, strict=False)
        )
        for i, j in np.ndindex(*num):
            block = np.s_[rows[i] : rows[i + 1], cols[j] : cols[j + 1]]
            pixels = image[block] if fill is None else image[block][~fill[block]][:, None]
            if pixels.size:
                shift[i, j], own = self._shift_and_scale(pixels)
                scale[i, j] = np.where(own > 0, own, scale[i, j])
        return shift, scale

    def _check_channels(self, image: np.ndarray) -> None:
        if self.fixed is not None and (num := np.size(self.fixed[0])) not in (1, image.shape[-1]):
            raise CellMMError(
                f"Normalize: mean and std have {num} numbers, the image has {image.shape[-1]} channels: "
                "give one number per channel"
            )

    def _shift_and_scale(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.mode == "percentile":
            shift, top = channel_percentiles(image, self.percentiles)
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
