"""The way up of the SE-U-Net."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from cellmm.checks import check_whole
from cellmm.models.layers import ConvStack
from cellmm.registry import MODELS


@MODELS.register_module()
class SEUNetDecoder(BaseModule):
    """U-Net decoder: upsample by 2, concatenate the skip, convolve, squeeze-and-excite.

    Takes the encoder's maps (finest first) and gives as many, finest first; map i has ``widths[i]`` channels
    at the stride of the encoder's map i, and the last one is the encoder's bottleneck, unchanged.
    Source: sparseseunet 4.2.1.

    Args:
        in_channels: channels of the encoder's maps, finest first.
        widths: channels of the maps that come out, finest first; one fewer than ``in_channels``.
        depth, norm, se: as in the encoder.
        keep_skips: concatenate to each map that comes out the encoder's map of its level, after its own
            ``widths[i]`` channels: what branches at every level take (sparseseunet 4.5.4). The bottleneck
            has no skip.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        widths: Sequence[int],
        depth: int = 2,
        norm: str = "BN",
        se: bool = True,
        keep_skips: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_whole(1, widths=widths or 1, depth=depth)
        if len(widths) != len(in_channels) - 1:
            raise ValueError(
                f"widths must have one entry fewer than in_channels, got {widths} for {in_channels}"
            )
        self.keep_skips = keep_skips
        skips, below = in_channels[:-1], (*widths[1:], in_channels[-1])
        kept = skips if keep_skips else (0,) * len(widths)
        self.out_channels = (*(w + k for w, k in zip(widths, kept, strict=True)), in_channels[-1])
        self.levels = nn.ModuleList(
            ConvStack(skip + low, width, depth=depth, norm=norm, se=se)
            for skip, low, width in zip(skips, below, widths, strict=True)
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        x = features[-1]
        outputs = [x]
        for skip, level in zip(reversed(features[:-1]), reversed(self.levels), strict=True):
            x = F.interpolate(x, size=skip.shape[-2:], mode="nearest")
            x = level(torch.cat([skip, x], dim=1))
            outputs.append(torch.cat([x, skip], dim=1) if self.keep_skips else x)
        return outputs[::-1]
