"""The decoder of the SE-U-Net."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from cellmm.checks import check_whole
from cellmm.models.feature_spec import FeatureSpec, channels_of, specs_on
from cellmm.models.layers import ConvStack, Upsample
from cellmm.models.layers.fused import UpsampledConv, tail_of
from cellmm.registry import MODELS


@MODELS.register_module()
class SEUNetDecoder(BaseModule):
    """U-Net decoder: upsample by 2, concatenate the skip, convolve, squeeze-and-excite.

    Takes the encoder's maps, finest first, and gives as many; map i has ``widths[i]`` channels at the stride
    of the encoder's map i, and the last map is the encoder's bottleneck, unchanged. Any encoder will do.
    Source: sparseseunet 4.2.1.

    Args:
        in_specs: of the encoder's maps, finest first.
        widths: channels of the maps that come out, finest first; one fewer than ``in_specs``, without those
            that ``num_skips`` counts.
        depth, norm, se: as in the encoder.
        keep_skips: append the encoder's map of its level to each map that comes out, after its own
            ``widths[i]`` channels, for branches at every level (sparseseunet 4.5.4). The bottleneck has no
            skip.
        num_skips: so many of the finest maps are the encoder's, unchanged, and need no width: for heads that
            join them to coarser maps by themselves, such as QueryHead.
        upsample: ``'nearest'``; ``'deconv'``: a 2x2 transposed convolution to the channels of the level
            (Ronneberger et al., 2015), for which each stride must be twice the one before.

    Raises:
        ValueError: widths or strides that do not fit.
    """

    def __init__(
        self,
        in_specs: Sequence[FeatureSpec],
        widths: Sequence[int],
        depth: int = 2,
        norm: str = "BN",
        se: bool = True,
        keep_skips: bool = False,
        num_skips: int = 0,
        upsample: str = "nearest",
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_whole(1, widths=widths or 1, depth=depth)
        check_whole(0, num_skips=num_skips)
        unchanged, in_specs = tuple(in_specs[:num_skips]), tuple(in_specs[num_skips:])
        in_channels = channels_of(in_specs)
        if len(widths) != len(in_channels) - 1:
            without = f" besides {num_skips} of num_skips" if num_skips else ""
            raise ValueError(
                f"widths must have one entry fewer than the encoder has maps, got {widths} for maps of "
                f"{in_channels} channels{without}"
            )
        strides = [spec.stride for spec in in_specs]
        if upsample == "deconv" and any(2 * fine != coarse for fine, coarse in pairwise(strides)):
            raise ValueError(f"upsample='deconv' doubles maps, but the encoder's have strides {strides}")
        self.keep_skips, self.num_skips, self.fused = keep_skips, num_skips, None
        skips, below = in_channels[:-1], (*widths[1:], in_channels[-1])
        self.upsamples = None
        if upsample != "nearest":
            self.upsamples = nn.ModuleList(
                Upsample(low, width, upsample) for low, width in zip(below, widths, strict=True)
            )
            below = tuple(up.out_channels for up in self.upsamples)
        kept = skips if keep_skips else (0,) * len(widths)
        out_channels = (*(w + k for w, k in zip(widths, kept, strict=True)), in_channels[-1])
        self.out_specs = unchanged + specs_on(out_channels, (spec.grid for spec in in_specs))
        self.skips = skips
        self.levels = nn.ModuleList(
            ConvStack(skip + low, width, depth=depth, norm=norm, se=se)
            for skip, low, width in zip(skips, below, widths, strict=True)
        )

    def fuse_for_inference(self) -> None:
        """Convolve what is upsampled before it is, see UpsampledConv, once the norms are folded.

        Nothing is left to do where transposed convolutions upsample.
        """
        if self.upsamples is not None:
            return
        self.fused = nn.ModuleList(
            nn.ModuleList([UpsampledConv(level[0], slice(skip, None), slice(0, skip)), tail_of(level)])
            for skip, level in zip(self.skips, self.levels, strict=True)
        )
        self.levels = None

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        unchanged, features = features[: self.num_skips], features[self.num_skips :]
        x = features[-1]
        outputs = [x]
        for i in reversed(range(len(features) - 1)):
            skip = features[i]
            if self.fused is None:
                if self.upsamples is None:
                    x = F.interpolate(x, size=skip.shape[-2:], mode="nearest")
                else:
                    x = self.upsamples[i](x)[..., : skip.shape[-2], : skip.shape[-1]]
                x = self.levels[i](torch.cat([skip, x], dim=1))
            else:
                joined, tail = self.fused[i]
                x = tail(joined(x, skip))
            outputs.append(torch.cat([x, skip], dim=1) if self.keep_skips else x)
        return [*unchanged, *outputs[::-1]]
