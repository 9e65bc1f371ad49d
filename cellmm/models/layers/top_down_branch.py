"""A branch of convolutions on the decoder's maps, of one level or of several."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cellmm.checks import check_whole
from cellmm.models.layers.blocks import ConvStack, coordinate_channels, num_coordinates
from cellmm.registry import MODELS


@MODELS.register_module()
class TopDownBranch(nn.Module):
    """Decoder maps (B, D, h, w), finest first -> one map of ``channels`` at the size of map ``level``.

    At each level, ``depth`` 3x3 blocks work on the decoder's map, joined with what the next coarser level
    passed on, upsampled. One level is the branch of the single-level model.
    Source: sparseseunet 4.5.2, 4.5.4.

    Args:
        in_channels: channels of the decoder's maps, finest first. The head gives them.
        channels: width of the branch.
        depth: 3x3 blocks per level, 4 as published.
        level: the finest decoder map that the branch reads; 0, the finest of all, as published.
        num_levels: how many decoder maps the branch reads from ``level`` on. It stops at the coarsest, so
            that the number of all maps means "down to the coarsest" at any ``level``; more are refused.
        coord_order: pixel positions as further channels, see ``coordinate_channels``. The head gives it.
        norm: ``'BN'`` or ``'GN'``.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int = 256,
        depth: int = 4,
        level: int = 0,
        num_levels: int = 1,
        coord_order: int = 0,
        norm: str = "BN",
    ) -> None:
        super().__init__()
        check_whole(1, channels=channels, depth=depth)
        check_whole(0, level=level)
        count = len(in_channels)
        if level >= count:
            raise ValueError(f"level must be 0 to {count - 1}, a level of the decoder, got {level}")
        if not 1 <= num_levels <= count:
            raise ValueError(f"num_levels must be 1 to {count}, the decoder's levels, got {num_levels}")
        self.channels, self.level, self.num_levels = channels, level, num_levels
        self.coord_order = coord_order
        num_coords = num_coordinates(coord_order)
        self.in_channels = [c + num_coords for c in in_channels[level : level + num_levels]]
        last = len(self.in_channels) - 1
        self.levels = nn.ModuleList(
            ConvStack(c + (channels if i < last else 0), channels, depth=depth, norm=norm, se=False)
            for i, c in enumerate(self.in_channels)
        )

    def inputs(self, features: Sequence[Tensor]) -> list[Tensor]:
        """The decoder maps that the branch reads, with their pixel positions, finest first."""
        maps = features[self.level :][: self.num_levels]
        return [torch.cat([x, coordinate_channels(x, self.coord_order).to(x.dtype)], 1) for x in maps]

    def merge(self, maps: Sequence[Tensor]) -> Tensor:
        """``inputs`` -> (B, channels, h, w)."""
        x = self.levels[-1](maps[-1])
        for finer, level in zip(reversed(maps[:-1]), reversed(self.levels[:-1]), strict=True):
            x = level(torch.cat([finer, F.interpolate(x, size=finer.shape[-2:], mode="nearest")], 1))
        return x

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return self.merge(self.inputs(features))
