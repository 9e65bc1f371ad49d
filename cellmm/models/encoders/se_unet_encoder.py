"""The way down of the SE-U-Net."""

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn

from cellmm.checks import check_whole
from cellmm.models.layers import ConvNormAct, ConvStack
from cellmm.registry import MODELS


@MODELS.register_module()
class SEUNetEncoder(BaseModule):
    """U-Net encoder with squeeze-and-excitation in every level.

    (B, C, H, W) -> one map a level, finest first: level i has ``widths[i]`` channels at stride
    ``stem_stride * 2**i``. H and W must be multiples of ``stride``, the coarsest one (the preprocessor pads);
    without padding any size will do that leaves a pixel on the coarsest map.
    Source: sparseseunet 4.2.1.

    Args:
        in_channels: image channels, e.g. 2 for a pair of focal planes.
        widths: channels of each level.
        stem_stride: 1 as published; 2 starts with a 5x5 convolution of stride 2, four times cheaper.
        depth: 3x3 convolutions a level.
        norm: ``'BN'``, ``'GN'`` or ``'none'``.
        se: squeeze-and-excitation gates.
        padding: ``'same'``; ``'valid'``: convolutions without padding, and a map loses an odd row before it
            is pooled. DiskMask's EncoNet goes down like that, without normalisation and gates (diskmask 3.2).
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
        self.out_channels = tuple(widths)
        self.coarsest_stride = stem_stride * 2 ** (len(widths) - 1)
        self.stride = self.coarsest_stride if padding == "same" else 1
        if padding == "valid":
            self.min_size = 1
            for _ in range(len(widths) - 1):  # back from one pixel on the coarsest map
                self.min_size = 2 * (self.min_size + 2 * depth)
            self.min_size = stem_stride * (self.min_size + 2 * depth - 1) + (5 if stem_stride == 2 else 1)
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
