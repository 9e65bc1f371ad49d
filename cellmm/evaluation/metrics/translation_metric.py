"""Scores of images that were translated from others."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cellmm.errors import CellMMError
from cellmm.evaluation import functional as F
from cellmm.io.planes import write_planes
from cellmm.registry import METRICS
from cellmm.structures import to_counts

from .image_result import image_name
from .per_image_metric import PerImageMetric

SCORES = ("L1", "SSIM", "spectrum")
RANGE = 2.0  # of values in [-1, 1]


@dataclass
class TranslatedImage:
    """One image: ``scores``, float64 (3,), in the order of SCORES."""

    img_id: int
    name: str
    scores: np.ndarray


@METRICS.register_module()
class TranslationMetric(PerImageMetric):
    """``L1``, ``SSIM`` and ``spectrum`` of ``pred_image`` against ``gt_image``, both in [-1, 1].

    Each is the mean over images of: the mean absolute difference, from 0 to 2, the less the better; the
    structural similarity with a data range of 2, at most 1, the more the better, nan where a side of an image
    is below 7 px; the distance of the power spectra in decibels, from 0, the less the better.
    Source: pix2pix; SSIM.

    Args:
        out_dir: folder for the translated images, TIFFs ``<image>_<img_id>.tif`` of 16 bit with the counts of
            the files, see ``to_counts``; None: none are written.
    """

    keys = SCORES

    def __init__(self, *, out_dir: str | Path | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        self.out_dir = out_dir

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Score each image; CellMMError names the image and what is missing or of another size."""
        for sample in data_samples:
            name, image, truth = read_pair(sample, self)
            scores = (
                F.mean_absolute_error(image, truth),
                F.ssim(image, truth, RANGE),
                F.power_spectrum_distance(image, truth),
            )
            if self.out_dir is not None:
                stem = Path(np.atleast_1d(sample["img_path"])[0]).stem
                path = Path(self.out_dir, f"{stem}_{sample['img_id']}.tif")
                write_planes(path, to_counts(image, sample["white"]))
            self.results.append(TranslatedImage(int(sample["img_id"]), name, np.array(scores)))

    def summarize(self, results: list[TranslatedImage]) -> dict[str, float]:
        """All numbers by key."""
        means = np.mean([result.scores for result in results], axis=0)
        return {key: float(mean) for key, mean in zip(SCORES, means, strict=True)}


def read_pair(sample: dict, metric: PerImageMetric) -> tuple[str, np.ndarray, np.ndarray]:
    """The name of an image, its translation and its target, float64 (C, H, W) each, for ``metric``.

    Raises:
        CellMMError: one of them is missing, or they differ in size.
    """
    name = image_name(sample)
    for key, cure in (("gt_image", "end the pipeline with PackImagePair"), ("pred_image", "take Pix2Pix")):
        if key not in sample:
            raise CellMMError(f"{name}: no {key}; {cure}, or leave out {type(metric).__name__}")
    image, truth = (np.asarray(sample[key].cpu(), np.float64) for key in ("pred_image", "gt_image"))
    if image.shape != truth.shape:
        raise CellMMError(
            f"{name}: translated to (C, H, W) {image.shape}, but its target is {truth.shape}; set "
            "model.target_channels as the files have"
        )
    return name, image, truth
