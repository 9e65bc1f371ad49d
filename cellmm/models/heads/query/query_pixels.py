"""The maps that queries look at, and the features that their masks are made of."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cellmm.models.feature_spec import FeatureSpec
from cellmm.models.layers import CheckpointedSequential, coordinate_channels, norm_layer


class QueryPixels(nn.Module):
    """Decoder maps, finest first -> levels (B, D, h, w), coarsest first, and mask features (B, E, H, W).

    A level is a 1x1 convolution of a decoder map and its pixel positions x and y. The mask features are a
    1x1 convolution of the map at ``mask_stride`` and one of the next coarser map, upsampled, added; then a
    3x3 convolution and a group normalisation. Source: Mask2Former (3.1) for what queries need of pixels;
    positions as channels: IAUNet.

    Args:
        in_specs: of the decoder's maps, finest first.
        dim, mask_dim: D and E.
        strides: of the levels, coarsest first.
        mask_stride: of the mask features.

    Raises:
        ValueError: there is no map of one of the strides.
    """

    def __init__(
        self,
        in_specs: Sequence[FeatureSpec],
        dim: int,
        mask_dim: int,
        strides: Sequence[int],
        mask_stride: int,
    ) -> None:
        super().__init__()
        known = [spec.stride for spec in in_specs]
        needed = (*strides, mask_stride, 2 * mask_stride)
        if missing := sorted(set(needed) - set(known)):
            raise ValueError(
                f"strides {tuple(strides)} and mask_stride {mask_stride} need maps of the strides {missing}, "
                f"but the decoder's have {known}"
            )
        self.levels = [known.index(stride) for stride in strides]
        self.fine, self.coarse = known.index(mask_stride), known.index(2 * mask_stride)
        channels = [spec.channels for spec in in_specs]
        self.project = nn.ModuleList(nn.Conv2d(channels[i] + 2, dim, 1) for i in self.levels)
        self.lateral = nn.Conv2d(channels[self.fine], mask_dim, 1)
        self.upsampled = nn.Conv2d(channels[self.coarse], mask_dim, 1)
        self.smooth = CheckpointedSequential(
            nn.Conv2d(mask_dim, mask_dim, 3, padding=1, bias=False), norm_layer("GN", mask_dim)
        )

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        levels = []
        for project, i in zip(self.project, self.levels, strict=True):
            x = features[i]
            levels.append(project(torch.cat([x, coordinate_channels(x, 1).to(x.dtype)], 1)))
        fine = self.lateral(features[self.fine])
        coarse = F.interpolate(self.upsampled(features[self.coarse]), size=fine.shape[-2:], mode="nearest")
        return levels, self.smooth(fine + coarse)
