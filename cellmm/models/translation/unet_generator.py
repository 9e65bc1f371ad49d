"""The generator of pix2pix: an image becomes another image of the same size."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cellmm.checks import check_share, check_whole
from cellmm.errors import CellMMError
from cellmm.models.layers import norm_layer
from cellmm.registry import MODELS

SLOPE = 0.2  # of the leaky ReLU below 0


@MODELS.register_module()
class UNetGenerator(nn.Module):
    """A U-Net of strided convolutions: each level halves the image, the last of nine takes 512 px to one.

    Encoder level: convolution 4x4 of stride 2, normalisation, leaky ReLU. Decoder level: transposed
    convolution 4x4 of stride 2, normalisation, dropout in the coarsest ones, ReLU; the encoder's map of the
    same size is concatenated. At full size a transposed convolution 1x1 makes the output. The first and the
    coarsest level of the encoder have no normalisation: the latter has a single pixel, of which a batch of
    one image has no variance.

    (B, C, H, W) -> (B, out_channels, H, W), ``z``; the image is tanh(z), in [-1, 1], and sigmoid(2 z) the
    same in [0, 1]. H and W are multiples of ``divisor``.

    Dropout stays on in eval mode, so that outputs vary, as published: it fills empty background. It draws
    from ``rng``, a generator of the CPU, if that is given, so that the same image comes out on any device;
    otherwise from torch's global generator.

    Source: sparseseunet 4.4.2; pix2pix.

    Args:
        in_channels, out_channels: of the images; Pix2Pix gives them.
        widths: channels of the levels, finest first. The last decoder level has twice the first of them.
        dropout: share of the features that is dropped, from 0 to 1 (excluded).
        dropout_levels: how many levels of the decoder drop features, from the coarsest on.
        norm: ``'BN'``, ``'GN'`` or ``'none'``.

    Attributes:
        divisor: what the sides of the input are multiples of.

    Raises:
        ValueError: an argument out of range.
        CellMMError: an input of another size.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        widths: Sequence[int] = (64, 128, 256, 512, 512, 512, 512, 512, 512),
        dropout: float = 0.5,
        dropout_levels: int = 3,
        norm: str = "BN",
    ) -> None:
        super().__init__()
        check_whole(1, in_channels=in_channels, out_channels=out_channels, widths=widths)
        check_whole(0, dropout_levels=dropout_levels)
        check_share(dropout=dropout)
        if len(widths) < 2 or dropout == 1 or dropout_levels > len(widths):
            raise ValueError(
                "widths must be two or more, dropout below 1, dropout_levels no more than the levels, got "
                f"{tuple(widths)}, {dropout} and {dropout_levels}"
            )
        self.divisor, self.dropout, self.dropout_levels = 2 ** len(widths), dropout, dropout_levels
        last = len(widths) - 1
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(widths):
            channels = in_channels if level == 0 else widths[level - 1]
            norm_here = "none" if level in (0, last) else norm
            self.encoder.append(_level(nn.Conv2d, channels, width, norm_here))
        for level in range(last, -1, -1):
            channels = widths[level] * (1 if level == last else 2)  # with those of the encoder
            self.decoder.append(
                _level(nn.ConvTranspose2d, channels, widths[level - 1] if level else 2 * widths[0], norm)
            )
        self.output = nn.ConvTranspose2d(2 * widths[0], out_channels, 1)
        init_weights(self)

    def forward(self, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        if any(side % self.divisor for side in x.shape[-2:]):
            raise CellMMError(
                f"UNetGenerator: an image of {x.shape[-2]}x{x.shape[-1]} px, but its {len(self.encoder)} "
                f"levels take multiples of {self.divisor}; crop to that, or give fewer widths"
            )
        skips = []
        for level in self.encoder:
            x = F.leaky_relu(level(x), SLOPE)
            skips.append(x)
        x = skips.pop()
        for number, level in enumerate(self.decoder):
            x = level(x)
            if number < self.dropout_levels:
                x = self._drop(x, rng)
            x = F.relu(x)
            if skips:
                x = torch.cat([x, skips.pop()], 1)
        return self.output(x)

    def _drop(self, x: Tensor, rng: torch.Generator | None) -> Tensor:
        if rng is None:
            return F.dropout(x, self.dropout)
        kept = torch.rand(x.shape, generator=rng) >= self.dropout
        return x * kept.to(x.device) / (1 - self.dropout)


def _level(convolution: type[nn.Module], in_channels: int, out_channels: int, norm: str) -> nn.Sequential:
    return nn.Sequential(
        convolution(in_channels, out_channels, 4, stride=2, padding=1, bias=norm == "none"),
        norm_layer(norm, out_channels),
    )


def init_weights(network: nn.Module) -> None:
    """Draw weights of convolutions from N(0, 0.02), those of batch norms from N(1, 0.02). Source: pix2pix."""
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(part.weight, 0.0, 0.02)
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.weight, 1.0, 0.02)
        else:
            continue
        if part.bias is not None:
            nn.init.zeros_(part.bias)
