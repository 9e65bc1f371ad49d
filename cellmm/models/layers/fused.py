"""Convolution blocks in the form that predicts fastest. What is here cannot learn any more."""

import itertools

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
    joined: a 3x3 kernel on pixels that come in fours is a 2x2 kernel on the small map, another for each of
    the four, which takes four ninths of the products.

    Args:
        block: with ``padding='same'`` and stride 1.
        low: which of its input channels are the upsampled ones.
        skip: which are the others; there may be none.
    """

    def __init__(self, block: ConvNormAct, low: slice, skip: slice) -> None:
        super().__init__()
        weight, bias = block[0].weight.detach(), block[0].bias
        self.channels = len(weight)
        fours = [kernel for rows in _halves(weight[:, low], 2) for kernel in _halves(rows, 3)]
        form = dict(memory_format=torch.channels_last)
        self.low_weight = nn.Parameter(torch.cat(fours).contiguous(**form), requires_grad=False)
        self.skip_weight = nn.Parameter(weight[:, skip].contiguous(**form), requires_grad=False)
        bias = weight.new_zeros(self.channels) if bias is None else bias.detach()
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.tail = tail_of(block)

    def forward(self, low: Tensor, skip: Tensor | None) -> Tensor:
        height, width = low.shape[-2:]
        fours = F.conv2d(low, self.low_weight, padding=1).split(self.channels, 1)
        if skip is None:
            out = fours[0].new_empty(len(low), 2 * height, 2 * width, self.channels).permute(0, 3, 1, 2)
            out[:] = self.bias.to(out.dtype)[:, None, None]
        else:
            out = F.conv2d(skip, self.skip_weight, self.bias, padding=1)
        for (row, col), part in zip(itertools.product((0, 1), repeat=2), fours, strict=True):
            out[..., row::2, col::2] += part[..., row : row + height, col : col + width]
        return self.tail(out)


def _halves(kernel: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """What three taps along ``axis`` are on the small map, for even and for odd pixels: an even pixel sees
    the small pixel before its own and its own, an odd one its own and the next."""
    before, own, after = kernel.unbind(axis)
    return torch.stack([before, own + after], axis), torch.stack([before + own, after], axis)
