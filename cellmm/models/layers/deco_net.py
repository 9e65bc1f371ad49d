"""The net that draws one object: DiskMask's DecoNet."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cellmm.models.layers.blocks import ConvNormAct, ConvStack, Upsample
from cellmm.models.layers.pixel_grid import PixelGrid, UNetGrids
from cellmm.registry import MODELS


@MODELS.register_module()
class DecoNet(nn.Module):
    """Features of open gateways -> mask logits: a U-Net that starts with one 5x5 convolution of stride 2.

    ``forward(x, skips)``: x (B, C, H, W) = F x gate; ``skips``: the image's maps from the first net, finest
    first, the first at twice the stride of x, each starting where x does (with ``padding='valid'``: where
    EncoNetDecoder crops them to); they are joined before the convolutions of each block of the way down.
    -> logits (B, 1, H', W'), and the coarsest map. Source: diskmask 2.3.2, 3.2.

    With ``padding='valid'`` and two convolutions a block, H = 324 comes down as 160, 156 | 78, 74 | 37, 33 |
    16, 12 and up as 24, 20 | 40, 36 | 72, 68 | 136, 132: H' = 132, and ``origin`` = 92 pixels of x lie before
    the first pixel of the logits. Own skips are cropped by 4, 16 and 40.

    Args:
        in_channels: C.
        skip_channels: channels of ``skips``, one a level; an empty tuple: no skips from the first net.
        widths: channels of the levels, finest first. As published EncoNet's: half of U-Net's at each stride.
        fine_channels: channels of a map of the image at x's own stride that the last block takes too, for
            sharp outlines; 0 as published.
        depth, norm, padding, upsample: as in EncoNetDecoder.
    """

    def __init__(
        self,
        in_channels: int,
        skip_channels: Sequence[int],
        widths: Sequence[int] = (64, 128, 256, 512),
        fine_channels: int = 0,
        depth: int = 2,
        norm: str = "none",
        padding: str = "valid",
        upsample: str = "deconv",
    ) -> None:
        super().__init__()
        skip_channels = tuple(skip_channels) or (0,) * len(widths)
        if len(skip_channels) != len(widths):
            raise ValueError(f"{len(widths)} widths, but {len(skip_channels)} maps to skip from")
        if fine_channels and padding == "valid":
            raise ValueError("fine_channels needs padding='same'")
        options = dict(depth=depth, norm=norm, se=False, padding=padding)
        self.stem = ConvNormAct(in_channels, widths[0], 5, 2, norm=norm, padding=padding)
        self.down = nn.ModuleList(
            ConvStack(before + skip, width, **options)
            for before, skip, width in zip((widths[0], *widths[:-1]), skip_channels, widths, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        self.upsamples, self.up = nn.ModuleList(), nn.ModuleList()
        below = widths[-1]
        ways_up = [(width, width) for width in reversed(widths[:-1])] + [(widths[0], fine_channels)]
        for width, joined in ways_up:
            upsample_layer = Upsample(below, width, upsample)
            self.upsamples.append(upsample_layer)
            self.up.append(ConvStack(upsample_layer.out_channels + joined, width, **options))
            below = width
        self.logits = nn.Conv2d(widths[0], 1, 1)
        self.coarsest_channels, self.multiple = widths[-1], 2 ** len(widths)
        self.padded, self.norm = padding == "same", norm
        self.min_size = 1 if self.padded else UNetGrids.smallest_input(len(widths), depth)
        self.origin, self.crops = 0, (0,) * (len(widths) - 1)
        if padding == "valid":
            grids = UNetGrids.of(PixelGrid(), len(widths), depth)
            self.origin = grids.up[-1].origin
            own = zip(grids.doubled, reversed(grids.down[:-1]), strict=False)
            self.crops = tuple(grid.crop_of(skip) for grid, skip in own)

    def check_window(self, window: int | None) -> None:
        """Raise ValueError where the net cannot take windows of this side."""
        if window is None:
            return
        if self.padded and window % self.multiple:
            raise ValueError(f"window must be a multiple of {self.multiple}, got {window}")
        if self.padded and self.norm == "BN" and window == self.multiple:
            raise ValueError(f"window {window} leaves one pixel to batch normalisation: take {2 * window}")
        if window < self.min_size:
            raise ValueError(f"window must be at least {self.min_size} without padding, got {window}")

    def forward(
        self, x: Tensor, skips: Sequence[Tensor] = (), fine: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        x = self.stem(x)
        maps: list[Tensor] = []
        for i, level in enumerate(self.down):
            x = self.pool(x) if i else x
            if skips:
                x = torch.cat([x, _crop(skips[i], 0, x)], 1)
            x = level(x)
            maps.append(x)
        coarsest = maps.pop()
        for i, (upsample, level) in enumerate(zip(self.upsamples, self.up, strict=True)):
            x = upsample(x)
            if maps:
                x = torch.cat([x, _crop(maps.pop(), self.crops[i], x)], 1)
            elif fine is not None:
                x = torch.cat([x, fine], 1)
            x = level(x)
        return self.logits(x), coarsest


def _crop(x: Tensor, first: int, like: Tensor) -> Tensor:
    """Rows and columns of ``x`` from ``first`` on, as many as ``like`` has."""
    height, width = like.shape[-2:]
    return x[..., first : first + height, first : first + width]
