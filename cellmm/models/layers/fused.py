"""Convolution blocks in the form that predicts fastest. What is here cannot learn any more."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cellmm.models.layers.blocks import ConvNormAct


def fold_norms(module: nn.Module) -> None:
    """Make the batch normalisation of every ConvNormAct in ``module`` part of its convolution, in place.

    The result stays the same up to rounding. Other normalisations stay as they are.
    """
    for block in module.modules():
        if isinstance(block, ConvNormAct) and isinstance(block[1], _BatchNorm):
            block[0], block[1] = fuse_conv_bn_eval(block[0].eval(), block[1].eval()), nn.Identity()


def tail_of(block: nn.Sequential) -> nn.Sequential:
    """The layers of ``block`` after the first."""
    return nn.Sequential(*list(block)[1:])


class UpsampledConv(nn.Module):
    """A ConvNormAct of 3x3 on two joined maps, the first of them upsampled to the nearest pixel.

    ``forward(low, skip)``: low (B, C1, h, w) and skip (B, C2, 2h, 2w) -> (B, C', 2h, 2w), the same as the
    block gives for the join of the upsampled ``low`` and ``skip``, up to rounding. Nothing is upsampled or
    joined: of the nine pixels that a 3x3 kernel sees, several come from the same pixel of the small map, four
    pixels in all, so that a transposed convolution of 4x4 and stride 2 gives the same with four ninths of the
    products.

    Args:
        block: with ``padding='same'`` and stride 1.
        low: which of its input channels are the upsampled ones.
        skip: which are the others; there may be none.
    """

    def __init__(self, block: ConvNormAct, low: slice, skip: slice) -> None:
        super().__init__()
        weight, bias = block[0].weight.detach(), block[0].bias
        form = dict(memory_format=torch.channels_last)
        transposed = _spread(_spread(weight[:, low], 2), 3).transpose(0, 1)
        self.low_weight = nn.Parameter(transposed.contiguous(**form), requires_grad=False)
        self.skip_weight = nn.Parameter(weight[:, skip].contiguous(**form), requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.tail = tail_of(block)

    def forward(self, low: Tensor, skip: Tensor | None) -> Tensor:
        out = F.conv_transpose2d(low, self.low_weight, self.bias, stride=2, padding=1)
        if skip is not None:
            out = F.conv2d(skip, self.skip_weight, padding=1).add_(out)
        return self.tail(out)


def _spread(kernel: Tensor, axis: int) -> Tensor:
    """Three taps along ``axis`` as the four of a transposed convolution: what a small pixel gives to the fine
    pixel before its own two, to these, and to the one after them."""
    before, own, after = kernel.unbind(axis)
    return torch.stack([after, own + after, before + own, before], axis)
