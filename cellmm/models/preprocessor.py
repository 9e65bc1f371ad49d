"""Makes one batch on the model's device of a list of images."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor
from torch.nn import functional as F

from cellmm.checks import check_whole
from cellmm.errors import CellMMError
from cellmm.registry import MODELS


@MODELS.register_module()
class CellDataPreprocessor(BaseDataPreprocessor):
    """Pad images at the bottom and right to a common size and stack them.

    ``inputs``: list of float32 (C, h, w) -> (B, C, H, W), with H and W multiples of ``divisor``. The padding
    is 0, the mean of a normalised image. The segmentor cuts off predictions outside (h, w).

    Args:
        in_channels: channels that every image must have: the only place where a config states them.
        divisor: what the network's sizes are multiples of; CellSegmentor takes it from its encoder.
    """

    def __init__(
        self,
        in_channels: int,
        divisor: int = 32,
        non_blocking: bool = False,
    ) -> None:
        super().__init__(non_blocking)
        check_whole(1, in_channels=in_channels, divisor=divisor)
        self.in_channels, self.divisor = in_channels, divisor

    def forward(self, data: dict, training: bool = False) -> dict:
        samples = data.get("data_samples")
        for i, image in enumerate(data["inputs"]):
            if image.shape[0] != self.in_channels:
                name = samples[i].get("img_path", f"image {i}") if samples else f"image {i}"
                raise CellMMError(
                    f"{name}: {image.shape[0]} channels, but the model takes {self.in_channels}; "
                    "choose some with `cellmm predict --channels` or channels=[...] of LoadImage, or set "
                    "model.data_preprocessor.in_channels"
                )
        data = self.cast_data(data)
        return dict(inputs=self.pad(data["inputs"]), data_samples=data.get("data_samples"))

    def pad(self, images: Sequence[Tensor]) -> Tensor:
        """Images (C, h, w) as one batch (B, C, H, W)."""
        height = max(image.shape[-2] for image in images)
        width = max(image.shape[-1] for image in images)
        height += -height % self.divisor
        width += -width % self.divisor
        return torch.stack(
            [F.pad(image, (0, width - image.shape[-1], 0, height - image.shape[-2])) for image in images]
        )
