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

    ``forward(x, maps)``: x (B, C, H, W) = F x gate; ``maps``: the image's maps from the first net, those of
    ``levels``, finest first; map i has 2**i times the stride of x and starts where x does (with
    ``padding='valid'``: where EncoNetDecoder crops it to). Maps 1 and coarser are joined before the
    convolutions of each block of the way down. -> logits (B, 1, H', W'), and the coarsest map.
    Source: diskmask 2.3.2, 3.2.

    With ``padding='valid'`` and two convolutions per block, H = 324 comes down as 160, 156 | 78, 74 |
    37, 33 | 16, 12 and up as 24, 20 | 40, 36 | 72, 68 | 136, 132: H' = 132, and ``origin`` = 92 pixels of x
    lie before the first pixel of the logits. Own skips are cropped by 4, 16 and 40.

    Args:
        in_channels: C; the head gives it.
        map_channels: channels of all maps of the image, finest first, the finest at the stride of x; the head
            gives it. An empty tuple: no skips from the first net.
        widths: channels of the levels, finest first. As published EncoNet's: half of U-Net's at each stride.
        fine_skip: the last block sees the finest map too, for sharp outlines; not published.
        depth, norm, padding, upsample: as in EncoNetDecoder.

    Attributes:
        levels: which of the maps ``forward`` takes.
        multiple: the coarsest stride; windows of x must start at multiples of it.
        origin: pixels of x before the first pixel of the logits.
        min_size: side of the smallest x.
        coarsest_channels: channels of the coarsest map.
    """

    def __init__(
        self,
        in_channels: int,
        map_channels: Sequence[int],
        widths: Sequence[int] = (64, 128, 256, 512),
        fine_skip: bool = False,
        depth: int = 2,
        norm: str = "none",
        padding: str = "valid",
        upsample: str = "deconv",
    ) -> None:
        super().__init__()
        skip_channels = tuple(map_channels[1 : len(widths) + 1]) if map_channels else (0,) * len(widths)
        if len(skip_channels) != len(widths):
            raise ValueError(f"{len(widths)} widths, but {len(skip_channels)} maps to skip from")
        if fine_skip and (padding == "valid" or not map_channels):
            raise ValueError("fine_skip needs padding='same' and maps of the image")
        self.fine_skip = fine_skip
        self.levels = tuple(range(0 if fine_skip else 1, len(widths) + 1)) if map_channels else ()
        options = dict(depth=depth, norm=norm, se=False, padding=padding)
        self.stem = ConvNormAct(in_channels, widths[0], 5, 2, norm=norm, padding=padding)
        self.down = nn.ModuleList(
            ConvStack(before + skip, width, **options)
            for before, skip, width in zip((widths[0], *widths[:-1]), skip_channels, widths, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        self.upsamples, self.up = nn.ModuleList(), nn.ModuleList()
        below = widths[-1]
        fine_channels = map_channels[0] if fine_skip else 0
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
        """Raise ValueError if the net cannot take windows of this side; None: any."""
        if window is None:
            return
        if self.padded and window % self.multiple:
            raise ValueError(f"the size of windows must be a multiple of {self.multiple}, got {window}")
        if self.padded and self.norm == "BN" and window == self.multiple:
            raise ValueError(
                f"a window of {window} leaves one pixel to batch normalisation: take {2 * window}"
            )
        if window < self.min_size:
            raise ValueError(
                f"the size of windows must be at least {self.min_size} without padding, got {window}"
            )

    def forward(self, x: Tensor, maps: Sequence[Tensor] = ()) -> tuple[Tensor, Tensor]:
        fine, skips = (maps[0], maps[1:]) if self.fine_skip else (None, maps)
        x = self.stem(x)
        own: list[Tensor] = []
        for i, level in enumerate(self.down):
            x = self.pool(x) if i else x
            if skips:
                x = torch.cat([x, _crop(skips[i], 0, x)], 1)
            x = level(x)
            own.append(x)
        coarsest = own.pop()
        for i, (upsample, level) in enumerate(zip(self.upsamples, self.up, strict=True)):
            x = upsample(x)
            if own:
                x = torch.cat([x, _crop(own.pop(), self.crops[i], x)], 1)
            elif fine is not None:
                x = torch.cat([x, fine], 1)
            x = level(x)
        return self.logits(x), coarsest


def _crop(x: Tensor, first: int, like: Tensor) -> Tensor:
    """Rows and columns of ``x`` from ``first`` on, as many as ``like`` has."""
    height, width = like.shape[-2:]
    return x[..., first : first + height, first : first + width]
