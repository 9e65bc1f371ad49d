"""A branch of convolutions that forks from the decoder at one level or at several."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cellmm.models.layers.blocks import ConvStack


class TopDownBranch(nn.Module):
    """Decoder maps -> one map of ``channels`` at the size of the first.

    At each level ``depth`` 3x3 blocks on the decoder's map, joined with what the level below passed on,
    upsampled. One level is the branch of the single-level model. Source: sparseseunet 4.5.2, 4.5.4.

    Args:
        in_channels: channels of the maps that ``forward`` takes, finest first.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, depth: int, norm: str) -> None:
        super().__init__()
        last = len(in_channels) - 1
        self.levels = nn.ModuleList(
            ConvStack(one + (channels if i < last else 0), channels, depth=depth, norm=norm, se=False)
            for i, one in enumerate(in_channels)
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        x = self.levels[-1](maps[-1])
        for one, level in zip(reversed(maps[:-1]), reversed(self.levels[:-1]), strict=True):
            x = level(torch.cat([one, F.interpolate(x, size=one.shape[-2:], mode="nearest")], 1))
        return x
