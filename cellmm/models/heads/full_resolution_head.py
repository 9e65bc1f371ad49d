"""A probability map at full resolution, of the image itself and of what the decoder knows of it."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Conv2d
from torch.nn import functional as F

from cellmm.checks import check_whole
from cellmm.errors import CellMMError
from cellmm.models.feature_spec import FeatureSpec
from cellmm.models.heads.semantic_head import SemanticHead
from cellmm.models.layers import ConvStack
from cellmm.models.losses.functional import mean_over_ranks
from cellmm.registry import MODELS


@MODELS.register_module()
class FullResolutionHead(SemanticHead):
    """A few convolutions at stride 1 see the image and the finest map, and give the logits of one map.

    A network whose finest map has stride 2 sees pixels of the image in blocks. This head looks at each of
    them: the finest map, as ``channels`` channels and upsampled to the nearest pixel, is joined to the image,
    ``depth`` 3x3 convolutions follow, and a 1x1 convolution gives the logits. All heads can agree with its
    map, see ForegroundAgreement. The loss is that of SemanticHead and Dice of each image's map, which does
    not depend on how much background there is. Source: ours.

    Args:
        in_specs: of the image and of the decoder's maps, finest first; the model gives them.
        target, loss, weighted: see SemanticHead. PixelWeights weighs pixels near outlines.
        channels, depth: of the convolutions at full resolution; their cost is that of the image's pixels.
        norm: ``'BN'``, ``'GN'`` or ``'none'``.
        dice_weight: factor of the Dice loss; 0: none.
    """

    reads_image = True

    def __init__(
        self,
        in_specs: Sequence[FeatureSpec],
        target: str = "cytoplasm",
        channels: int = 16,
        depth: int = 2,
        norm: str = "BN",
        loss: dict | None = None,
        dice_weight: float = 1.0,
        weighted: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        check_whole(1, channels=channels, depth=depth)
        if not 0 <= dice_weight < float("inf"):
            raise ValueError(f"dice_weight is {dice_weight}: a number from 0 is needed")
        image, finest = in_specs[:2]
        if finest.origin:
            raise CellMMError(
                f"FullResolutionHead: the finest map starts at pixel {finest.origin} of the image; set "
                "padding='same' in the encoder and in the decoder"
            )
        super().__init__((channels,), image.stride, target, loss, weighted, init_cfg=init_cfg)
        self.times = finest.stride
        self.narrow = Conv2d(finest.channels, channels, 1)
        self.layers = ConvStack(image.channels + channels, channels, depth=depth, norm=norm, se=False)
        self.dice = MODELS.build(dict(type="DiceLoss", loss_weight=dice_weight)) if dice_weight else None

    def forward(self, features: list[Tensor]) -> Tensor:
        """Logits (B, 1, H, W), float32."""
        image, finest = features[:2]
        seen = F.interpolate(self.narrow(finest), scale_factor=self.times, mode="nearest")
        return super().forward([self.layers(torch.cat([image, seen], 1))])

    def map_loss(
        self, logits: Tensor, targets: Tensor, weight: Tensor, count: Tensor, **guide: Tensor
    ) -> Tensor:
        loss = super().map_loss(logits, targets, weight, count, **guide)
        if self.dice is None:
            return loss
        pixels = (x.flatten(1) for x in (logits, targets, weight.to(logits.dtype)))
        return loss + self.dice(*pixels, mean_over_ranks(len(logits), logits))
