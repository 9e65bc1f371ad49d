"""Random changes of brightness that fit images of any range."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from cellmm.checks import check_share
from cellmm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomIntensity(BaseTransform):
    """Contrast, brightness, gamma, blur and noise on ``img``, in units of its own range; nothing is clipped.

    For normalised images (after Normalize); albumentations' own transforms of intensity clip to [0, 1].

    Args:
        brightness: b in ``img + b``, drawn from (-brightness, brightness).
        contrast: c in ``img * c``, drawn from (1 - contrast, 1 + contrast).
        gamma: g in ``img ** g`` between the image's least and greatest value, from (1 - gamma, 1 + gamma).
        blur: standard deviation of a Gaussian blur in pixels, drawn from (0, blur).
        noise: standard deviation of Gaussian noise, drawn from (0, noise).
        invert: probability that bright becomes dark, within the image's least and greatest value.
    """

    reads = ("img", "rng")
    writes = ("img",)

    def __init__(
        self,
        *,
        brightness: float = 0.0,
        contrast: float = 0.0,
        gamma: float = 0.0,
        blur: float = 0.0,
        noise: float = 0.0,
        invert: float = 0.0,
    ) -> None:
        if min(brightness, contrast, gamma, blur, noise) < 0 or max(contrast, gamma) >= 1:
            raise ValueError("the ranges must not be negative, contrast and gamma be below 1")
        check_share(invert=invert)
        self.brightness, self.contrast, self.gamma = brightness, contrast, gamma
        self.blur, self.noise, self.invert = blur, noise, invert

    def transform(self, results: dict) -> dict:
        rng, image = results["rng"], results["img"]
        if self.invert and rng.random() < self.invert:
            image = image.max() + image.min() - image
        if self.gamma:
            low, high = image.min(), image.max()
            power = rng.uniform(1 - self.gamma, 1 + self.gamma)
            span = max(high - low, np.finfo(np.float32).tiny)
            image = low + span * ((image - low) / span) ** power
        image = image * rng.uniform(1 - self.contrast, 1 + self.contrast)
        image = image + rng.uniform(-self.brightness, self.brightness)
        if self.blur and (sigma := rng.uniform(0, self.blur)) > 0.1:
            image = cv2.GaussianBlur(image, (0, 0), sigma).reshape(image.shape)
        if self.noise:
            image = image + rng.uniform(0, self.noise) * rng.standard_normal(image.shape, dtype=np.float32)
        results["img"] = image.astype(np.float32)
        return results
