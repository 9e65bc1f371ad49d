"""How far the set of translated images is from the set of real ones."""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.device import get_device
from torch import nn

from cellmm.errors import CellMMError
from cellmm.evaluation import functional as F
from cellmm.io.checkpoint_files import TORCHVISION, torchvision_file
from cellmm.registry import METRICS

from .per_image_metric import PerImageMetric
from .translation_metric import read_pair

SIDE = 299  # px: what Inception v3 was trained on


@dataclass
class ImageFeatures:
    """One image: of each channel a vector, float32 (C, D), of the translation and of the target."""

    img_id: int
    name: str
    predicted: np.ndarray
    real: np.ndarray


@METRICS.register_module()
class FrechetMetric(PerImageMetric):
    """``FID`` of all ``pred_image`` against all ``gt_image``, which are in [-1, 1]; the less the better.

    The Fréchet distance of the 2,048 features of an Inception v3 that knows photographs. Each channel is a
    grey image of its own, resized to 299 x 299 px. cellmm downloads no weights. Without a file of them the
    distance is that of the power in 32 bands of frequency, and its name is ``FD_spectrum``: it sees texture
    alone, and does not compare with a FID.

    Either is too large with few images: compare numbers of equally many. Numbers of torchvision's weights
    do not compare with those of other ports of Inception. Source: FID; Inception.

    Args:
        weights: torchvision's file of ``inception_v3``, or ``'torchvision://inception_v3'`` for the one in
            its cache.

    Raises:
        CellMMError: the file is missing or of another network; an image or a target is missing.
    """

    def __init__(
        self,
        *,
        weights: str | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        self._network = None if weights is None else load_inception(weights)

    @property
    def keys(self) -> list[str]:
        return ["FD_spectrum" if self._network is None else "FID"]

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the features of each image; CellMMError names the image and what is missing."""
        for sample in data_samples:
            name, image, truth = read_pair(sample, self)
            predicted, real = (self._features(values).astype(np.float32) for values in (image, truth))
            self.results.append(ImageFeatures(int(sample["img_id"]), name, predicted, real))

    def summarize(self, results: list[ImageFeatures]) -> dict[str, float]:
        """The distance by its key; nan of a single image."""
        predicted, real = (
            np.concatenate([getattr(result, key) for result in results]) for key in ("predicted", "real")
        )
        distance = F.frechet_distance(predicted, real) if len(results) > 1 else float("nan")
        return {self.keys[0]: distance}

    @torch.no_grad()
    def _features(self, image: np.ndarray) -> np.ndarray:
        """Of an image (C, H, W), (C, D)."""
        if self._network is None:
            return F.spectrum_features(image)
        self._network.to(device := get_device())
        grey = torch.from_numpy(image).float()[:, None].to(device)
        grey = nn.functional.interpolate(grey, (SIDE, SIDE), mode="bilinear", antialias=True)
        return self._network(grey.expand(-1, 3, -1, -1)).cpu().numpy()


def load_inception(weights: str | Path) -> nn.Module:
    """Inception v3 up to its 2,048 features, for (B, 3, 299, 299) in [-1, 1], with torchvision's weights.

    Raises:
        CellMMError: see ``FrechetMetric``.
    """
    from torchvision.models import inception_v3  # slow to import, and not needed without weights

    path = torchvision_file(weights) if str(weights).startswith(TORCHVISION) else Path(weights)
    if not path.is_file():
        raise CellMMError(
            f"{path}: no such file; give torchvision's weights of inception_v3, or weights=None for "
            "FD_spectrum"
        )
    network = inception_v3(weights=None, init_weights=False, transform_input=False)
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise CellMMError(
            f"{path}: not torchvision's weights of inception_v3, as FrechetMetric needs"
        ) from error
    network.fc, network.AuxLogits = nn.Identity(), None
    return network.eval().requires_grad_(False)
