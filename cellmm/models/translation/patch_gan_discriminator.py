"""The discriminator of pix2pix: is an image, patch by patch, the real one for this input?"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cellmm.checks import check_whole
from cellmm.models.layers import norm_layer
from cellmm.models.translation.unet_generator import SLOPE, init_weights
from cellmm.registry import MODELS

KERNEL = 4


@MODELS.register_module()
class PatchGANDiscriminator(nn.Module):
    """Convolutions 4x4 that see an input together with an image, and judge each patch of them by itself.

    Each of ``widths`` is a convolution, normalisation (but for the first) and leaky ReLU; a last one of
    stride 1 gives one logit per patch, above 0 for a real image.

    The field of the default is 70 px, as published. The text has five layers of stride 2 and the output
    layer, whose field is 190 px; the strides 2, 2, 2, 1 of pix2pix, and 1 of its output, give the 70.

    Source: sparseseunet 4.4.2; pix2pix.

    Args:
        in_channels: of input and image together; Pix2Pix gives them.
        widths, strides: of the convolutions before the last, from the image on.
        norm: ``'BN'``, ``'GN'`` or ``'none'``.

    Attributes:
        receptive_field: side of a patch, px.

    Raises:
        ValueError: an argument out of range.
    """

    def __init__(
        self,
        in_channels: int,
        widths: Sequence[int] = (64, 128, 256, 512),
        strides: Sequence[int] = (2, 2, 2, 1),
        norm: str = "BN",
    ) -> None:
        super().__init__()
        check_whole(1, in_channels=in_channels, widths=widths, strides=strides)
        if len(widths) != len(strides):
            raise ValueError(f"widths and strides must be as many, got {tuple(widths)} and {tuple(strides)}")
        self.receptive_field = receptive_field([KERNEL] * (len(strides) + 1), [*strides, 1])
        self.layers = nn.ModuleList()
        for i, (width, stride) in enumerate(zip(widths, strides, strict=True)):
            channels = in_channels if i == 0 else widths[i - 1]
            norm_here = "none" if i == 0 else norm
            convolution = nn.Conv2d(channels, width, KERNEL, stride, padding=1, bias=norm_here == "none")
            self.layers.append(nn.Sequential(convolution, norm_layer(norm_here, width)))
        self.output = nn.Conv2d(widths[-1], 1, KERNEL, padding=1)
        init_weights(self)

    def forward(self, inputs: Tensor, *images: Tensor) -> list[Tensor]:
        """Logits (B, 1, h, w) of each of ``images`` (B, C', H, W), given ``inputs`` (B, C, H, W).

        Real and generated images go through one call, one after the other: batches are normalised apart, and
        DistributedDataParallel takes one call per step.
        """
        return [self._judge(torch.cat([inputs, image], 1)) for image in images]

    def _judge(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
        return self.output(x)


def receptive_field(kernel_sizes: Sequence[int], strides: Sequence[int]) -> int:
    """Pixels along a side that one output of convolutions in a row depends on, the first layer first.

    r = (r - 1) stride + kernel_size, from the last layer, where r = 1, to the first.

    >>> receptive_field([4, 4, 4, 4, 4], [2, 2, 2, 1, 1])
    70
    >>> receptive_field([4, 4, 4, 4, 4, 4], [2, 2, 2, 2, 2, 1])
    190
    """
    field = 1
    for size, stride in zip(reversed(kernel_sizes), reversed(strides), strict=True):
        field = (field - 1) * stride + size
    return field
