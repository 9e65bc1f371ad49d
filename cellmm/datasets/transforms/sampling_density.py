"""Where to look in an image: the cells, smoothed."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from scipy.ndimage import gaussian_filter

from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS

MEANS_PER_SIGMA = 8  # means that are remembered in one sigma


@TRANSFORMS.register_module()
class SamplingDensity(BaseTransform):
    """Write ``sampling_density``, float32 (H, W) with sum 1: how often a crop's centre falls on each pixel.

    The pixels of any cell (crowd regions left out) are 1, the others 0, smoothed by a Gaussian with the
    border repeated; an image without cells is uniform. For RandomWarp(centre='density'), and before anything
    that moves pixels at random: each image is smoothed once per process, then remembered by ``img_id`` and
    ``img_path``. diskmask 3.1.4, precomputeSFD.

    What is remembered is means of s x s pixels, s = floor(sigma / 8) or 1 where that is less, interpolated
    linearly: 6 x 6 for the published sigma, a 36th of the memory. Of an image of 520x696 px with 15 cells
    this moves 0.1 % of the probability.

    Args:
        sigma: standard deviation of the Gaussian, px.
        truncate: the Gaussian ends after so many sigmas.
        overlap_weight: of pixels that several cells share, before they are smoothed; 1 for those of one cell.
            Ours: with a small sigma and a large weight, crops lie around overlaps.
        cache_mb: what is remembered, MiB per process; images beyond it are smoothed each time.
    """

    reads = ("gt_layers",)
    writes = ("sampling_density",)
    annotation_only = True

    def __init__(
        self,
        *,
        sigma: float = 50.0,
        truncate: float = 2.0,
        overlap_weight: float = 1.0,
        cache_mb: float = 256,
    ) -> None:
        if sigma <= 0 or truncate <= 0:
            raise ValueError(
                f"SamplingDensity: sigma and truncate must be above 0, got {sigma} and {truncate}"
            )
        if not 0 <= overlap_weight < float("inf"):
            raise ValueError(f"SamplingDensity: overlap_weight must be 0 or more, got {overlap_weight}")
        self.sigma, self.truncate, self.overlap_weight = sigma, truncate, overlap_weight
        self.step = max(1, int(sigma // MEANS_PER_SIGMA))
        self.cache: dict[tuple, tuple[tuple[int, int], np.ndarray]] = {}
        self.bytes_left = int(cache_mb * 2**20)

    def transform(self, results: dict) -> dict:
        if "gt_layers" not in results:
            raise CellMMError(
                f"SamplingDensity needs the cells of {results.get('img_path')}: put LoadCells before it"
            )
        key = results.get("img_id"), str(results.get("img_path"))
        shape = results["gt_layers"].shape
        known, coarse = self.cache.get(key, (shape, None))
        if known != shape:
            raise CellMMError(
                f"{results.get('img_path')} was {known} pixels (h, w) and now is {shape}: put "
                "SamplingDensity before anything that moves pixels at random"
            )
        if coarse is None:
            coarse = self._smooth(results)
            if coarse.nbytes <= self.bytes_left:
                self.bytes_left -= coarse.nbytes
                self.cache[key] = shape, coarse
        density = coarse
        if self.step > 1:
            size = (coarse.shape[1] * self.step, coarse.shape[0] * self.step)
            density = cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)[: shape[0], : shape[1]]
        results["sampling_density"] = density / np.float32(density.sum(dtype=np.float64))
        return results

    def _smooth(self, results: dict) -> np.ndarray:
        """Smoothed cells as means of s x s pixels, float32 (ceil(H / s), ceil(W / s)); flat without cells."""
        cells = results["gt_layers"]
        if (crowd := results.get("gt_ignore")) is not None and crowd.any():
            cells = cells.select(~crowd)
        mask = cells.covered().astype(np.float32)
        mask[cells.overlap()] = self.overlap_weight
        if not mask.any():
            mask[:] = 1
        smooth = gaussian_filter(mask, self.sigma, mode="nearest", truncate=self.truncate)
        smooth = np.pad(smooth, [(0, -n % self.step) for n in mask.shape], mode="edge")
        (height, width), s = smooth.shape, self.step
        return smooth.reshape(height // s, s, width // s, s).mean(axis=(1, 3))
