"""Albumentations' transforms, applied to the image once and to the stack of layers once."""

import importlib
import os
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from cellmm.datasets.transforms.moving_cells import (
    moving_layers,
    pack_layers,
    refuse_moved_targets,
    replace_cells,
    unpack_layers,
)
from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS

# transforms that keep every pixel of an image
WHOLE = ("D4", "HorizontalFlip", "RandomRotate90", "SquareSymmetry", "Transpose", "VerticalFlip")


def library() -> ModuleType:
    """The module ``albumentations``, imported on first use: predicting does without, and starts faster."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # or importing it asks the network for a version
    return importlib.import_module("albumentations")


@TRANSFORMS.register_module()
class Albumentations(BaseTransform):
    """Apply albumentations' transforms to ``img``, ``gt_layers`` and ``gt_nuclei``.

    Cells without a pixel are dropped. Up to four layers are warped as a single mask with nearest-neighbour
    sampling (``pack_layers``), so that the cost does not grow with the number of cells. Random numbers come
    from ``results['rng']`` alone: the same draw gives the same image in any process. CoarseDropout hides
    pixels and keeps the cells.

    Args:
        transforms: configs such as ``dict(type='Affine', rotate=(-180, 180), p=1.0)``. A ``border_mode``
            other than 0 (constant) is refused: a mirrored border would show a cell twice under one id.
            Transforms of intensity clip to [0, 1] and are refused on images beyond it: use RandomIntensity.
        min_area: cells with fewer pixels left are dropped, px.
    """

    reads = ("img", "rng")
    moves_pixels = True

    def __init__(self, *, transforms: Sequence[dict], min_area: int = 1) -> None:
        A = library()
        parts = [_build(config) for config in transforms]
        self.clips = [type(part).__name__ for part in parts if isinstance(part, A.ImageOnlyTransform)]
        self.compose = A.Compose(parts)
        self.min_area = min_area
        keeps = all(isinstance(part, A.ImageOnlyTransform) or type(part).__name__ in WHOLE for part in parts)
        self.removes_cells = min_area > 1 or not keeps

    def transform(self, results: dict) -> dict:
        image = results["img"]
        refuse_moved_targets(results, "Albumentations")
        if "ignore" in results:
            raise CellMMError(
                "Albumentations would leave the ignored pixels behind: put it before the step that writes "
                "them, or use RandomWarp alone"
            )
        if self.clips and (image.min() < 0 or image.max() > 1):
            raise CellMMError(
                f"{', '.join(self.clips)} would clip {results.get('img_path')} to [0, 1]: "
                "use Normalize(mode='percentile') and RandomIntensity"
            )
        if "eval_instances" in results:
            raise CellMMError(
                "Albumentations cannot be taken back, so predictions would be put in the wrong place: "
                "in a test pipeline use CropRegion, Rescale and PadTo"
            )
        self.compose.set_random_seed(int(results["rng"].integers(2**31)))
        cells = moving_layers(results) if "gt_layers" in results else None
        masks = {} if cells is None else dict(masks=pack_layers(cells))
        try:
            warped = self.compose(image=np.ascontiguousarray(image), **masks)
        except library().augmentations.crops.transforms.CropSizeError as error:
            raise CellMMError(
                f"{results.get('img_path')}: {error}; take a smaller crop, or pad the image before it"
            ) from error
        results["img"] = warped["image"].reshape(*warped["image"].shape[:2], image.shape[2])
        results["img_shape"] = results["img"].shape[:2]
        if cells is not None:
            layers = unpack_layers(warped["masks"], len(cells))[: cells.num_layers]
            replace_cells(results, layers, self.min_area)
        return results


def _build(config: dict) -> Any:
    config = dict(config)
    name = config.pop("type")
    if config.get("border_mode", 0) != 0:
        raise ValueError(f"{name}: border_mode must be 0 (constant), a mirrored border shows cells twice")
    A = library()
    if not hasattr(A, name):
        raise ValueError(f"albumentations {A.__version__} has no transform {name!r}")
    return getattr(A, name)(**config)
