"""The encoder of the SE-U-Net."""

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn

from cellmm.checks import check_whole
from cellmm.models.feature_spec import specs_on
from cellmm.models.layers import ConvNormAct, ConvStack, PixelGrid
from cellmm.models.layers.pixel_grid import grids_down
from cellmm.registry import MODELS


@MODELS.register_module()
class SEUNetEncoder(BaseModule):
    """U-Net encoder with squeeze-and-excitation in every level.

    (B, C, H, W) -> one map per level, finest first: level i has ``widths[i]`` channels at stride
    ``stem_stride * 2**i``, as ``out_specs`` say. H and W must be multiples of ``divisor``, the coarsest
    stride (the preprocessor pads). Without padding, any size of ``min_size`` or more will do: it leaves a
    pixel on the coarsest map. Source: sparseseunet 4.2.1.

    Args:
        in_channels: image channels, e.g. 2 for a pair of focal planes.
        widths: channels of each level.
        stem_stride: 1 as published; 2 starts with a 5x5 convolution of stride 2, four times cheaper.
        depth: 3x3 convolutions per level.
        norm: ``'BN'``, ``'GN'`` or ``'none'``.
        se: squeeze-and-excitation gates.
        padding: ``'same'``; ``'valid'``: convolutions without padding, and a map loses an odd row before it
            is pooled. The encoder of DiskMask's EncoNet is like that, without normalisation and gates
            (diskmask 3.2).
    """

    def __init__(
        self,
        in_channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512, 1024),
        stem_stride: int = 1,
        depth: int = 2,
        norm: str = "BN",
        se: bool = True,
        padding: str = "same",
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_whole(1, in_channels=in_channels, widths=widths, depth=depth)
        if stem_stride not in (1, 2):
            raise ValueError(f"stem_stride must be 1 or 2, got {stem_stride}")
        padded = padding == "same"
        stem = PixelGrid() if stem_stride == 1 else PixelGrid(2) if padded else PixelGrid().conv(5, stride=2)
        self.out_specs = specs_on(widths, grids_down(stem, len(widths), 0 if padded else depth)[1])
        self.divisor = self.out_specs[-1].stride if padded else 1
        self.min_size = 1 if padded else _smallest_input(len(widths), depth, stem_stride)
        first = in_channels
        self.stem: nn.Module = nn.Identity()
        if stem_stride == 2:
            self.stem = ConvNormAct(
                in_channels, widths[0], kernel_size=5, stride=2, norm=norm, padding=padding
            )
            first = widths[0]
        inputs = (first, *widths[:-1])
        self.levels = nn.ModuleList(
            ConvStack(cin, cout, depth=depth, norm=norm, se=se, padding=padding)
            for cin, cout in zip(inputs, widths, strict=True)
        )
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        x = self.stem(x)
        for i, level in enumerate(self.levels):
            x = level(x if i == 0 else self.pool(x))
            features.append(x)
        return features


def _smallest_input(levels: int, depth: int, stem_stride: int) -> int:
    """The side of the smallest input that leaves a pixel on the coarsest map, without padding."""
    side = 1
    for _ in range(levels - 1):  # back from the coarsest map
        side = 2 * (side + 2 * depth)
    return stem_stride * (side + 2 * depth - 1) + (5 if stem_stride == 2 else 1)
