"""Random brightness and colour with MMDetection's arguments."""

from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from cellmm.datasets.transforms.mmdet.arguments import pair, training_rng
from cellmm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PhotoMetricDistortion(BaseTransform):
    """Change brightness, contrast, saturation and hue, and exchange channels, each with probability 1/2.

    Contrast comes before or after the colours, with equal probability. Saturation, hue and the order of
    channels change in images of three channels only. Nothing is clipped, and neither the depth of the file
    nor a Normalize before it matters.

    Args:
        brightness_delta: the most that is added to or taken from all pixels, in 255ths of the range between
            the image's least and greatest value.
        contrast_range: (lowest, highest) factor of all pixels.
        saturation_range: (lowest, highest) factor of the saturation.
        hue_delta: the most that the hue turns, degrees.
    """

    reads = ("img", "rng")
    writes = ("img",)

    def __init__(
        self,
        *,
        brightness_delta: float = 32,
        contrast_range: Sequence[float] = (0.5, 1.5),
        saturation_range: Sequence[float] = (0.5, 1.5),
        hue_delta: float = 18,
    ) -> None:
        if brightness_delta < 0 or hue_delta < 0:
            raise ValueError("PhotoMetricDistortion: brightness_delta and hue_delta must be 0 or more")
        numbers = (int, float)
        self.contrast = sorted(pair("PhotoMetricDistortion", "contrast_range", contrast_range, numbers))
        self.saturation = sorted(pair("PhotoMetricDistortion", "saturation_range", saturation_range, numbers))
        self.brightness_delta, self.hue_delta = brightness_delta, hue_delta

    def transform(self, results: dict) -> dict:
        rng, image = training_rng(results, "PhotoMetricDistortion"), results["img"]
        is_done = rng.random(6) < 0.5  # brightness, contrast, its place, saturation, hue, channels
        shift = rng.uniform(-self.brightness_delta, self.brightness_delta)
        contrast, saturation = rng.uniform(*self.contrast), rng.uniform(*self.saturation)
        hue, order = rng.uniform(-self.hue_delta, self.hue_delta), rng.permutation(3)
        if is_done[0]:
            image = image + shift / 255 * (image.max() - image.min())
        if is_done[1] and is_done[2]:
            image = image * contrast
        if image.shape[2] == 3:
            top = image.max(axis=2, keepdims=True)
            if is_done[3]:
                image = top - (top - image) * saturation
            if is_done[4]:
                image = _turn_hue(image.astype(np.float32), hue)
        if is_done[1] and not is_done[2]:
            image = image * contrast
        if is_done[5] and image.shape[2] == 3:
            image = image[..., order]
        results["img"] = np.ascontiguousarray(image, dtype=np.float32)
        return results


def _turn_hue(image: np.ndarray, degrees: float) -> np.ndarray:
    """An RGB image, float32 of any range, with each pixel's least and greatest value kept."""
    low = image.min(axis=2, keepdims=True)
    hsv = cv2.cvtColor(image - low, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + degrees) % 360
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) + low
