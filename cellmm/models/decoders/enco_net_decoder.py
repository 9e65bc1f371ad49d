"""The decoder of DiskMask's EncoNet."""

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn

from cellmm.checks import check_whole
from cellmm.models.feature_spec import FeatureSpec, channels_of, specs_on
from cellmm.models.layers import ConvStack, PixelGrid, UNetGrids, Upsample
from cellmm.models.layers.pixel_grid import grids_up
from cellmm.registry import MODELS


@MODELS.register_module()
class EncoNetDecoder(BaseModule):
    """A U-Net decoder without skips: what is known of an object has to pass through all layers.

    Takes the encoder's maps, finest first, the finest at stride 2. Gives one map at stride 1, which becomes
    the feature map F and the disk logits, and then the encoder's maps: the skips between the nets, which
    DecoNet takes. Source: diskmask 2.3.2, 3.2.

    With ``padding='valid'`` and two convolutions per block, 516x516 pixels go down as 256, 252 | 126, 122 |
    61, 57 | 28, 24 and up as 48, 44 | 88, 84 | 168, 164 | 328, 324: F is 324x324, its first pixel lies at
    (92, 92) of the image, and the encoder's maps are cropped by 44, 21, 9 and 3 to start where a
    DecoNet of the same shape on F wants them (9.5 and 3.75 would be exact: less than a pixel of theirs).

    Args:
        in_specs: of the encoder's maps, finest first.
        widths: channels of the maps on the way up, finest first, the first at stride 1; as many as
            ``in_specs``.
        depth, norm, padding: as in the encoder.
        upsample: ``'deconv'`` or ``'nearest'``, see Upsample.
    """

    def __init__(
        self,
        in_specs: Sequence[FeatureSpec],
        widths: Sequence[int] = (64, 64, 128, 256),
        depth: int = 2,
        norm: str = "none",
        padding: str = "valid",
        upsample: str = "deconv",
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_whole(1, widths=widths or 1, depth=depth)
        in_channels = channels_of(in_specs)
        if len(widths) != len(in_channels):
            raise ValueError(
                f"widths must have as many entries as the encoder has maps, got {widths} for maps of "
                f"{in_channels} channels"
            )
        self.upsamples, self.levels = nn.ModuleList(), nn.ModuleList()
        below = in_channels[-1]
        for width in reversed(widths):
            up = Upsample(below, width, upsample)
            self.upsamples.append(up)
            self.levels.append(
                ConvStack(up.out_channels, width, depth=depth, norm=norm, se=False, padding=padding)
            )
            below = width
        padded = padding == "same"
        finest = grids_up(in_specs[-1].grid, len(widths), 0 if padded else depth)[1][-1]
        self.crops = (0,) * len(widths)
        skips = [spec.grid for spec in in_specs]
        if not padded:
            deco_net = UNetGrids.of(finest, len(widths), depth)
            self.crops = tuple(grid.crop_of(skip) for grid, skip in zip(deco_net.into, skips, strict=True))
        cropped = [
            PixelGrid(skip.stride, skip.origin + crop * skip.stride)
            for skip, crop in zip(skips, self.crops, strict=True)
        ]
        self.out_specs = specs_on((widths[0], *in_channels), (finest, *cropped))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        x = features[-1]
        for up, level in zip(self.upsamples, self.levels, strict=True):
            x = level(up(x))
        return [x, *(skip[..., crop:, crop:] for skip, crop in zip(features, self.crops, strict=True))]
