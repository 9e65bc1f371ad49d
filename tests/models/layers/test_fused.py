"""Folded norms and convolved-before-upsampled maps give what the layers that learn give."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cellmm.models.layers import ConvNormAct, ConvStack
from cellmm.models.layers.fused import UpsampledConv, fold_norms, tail_of


def with_statistics(module: nn.Module) -> nn.Module:
    """Batch norms as after a training."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 2)
            nn.init.normal_(layer.bias)
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    return module.eval()


@torch.no_grad()
@pytest.mark.parametrize("norm", ["BN", "GN", "none"])
def test_norms_are_folded(norm):
    torch.manual_seed(0)
    stack = with_statistics(ConvStack(3, 8, depth=2, norm=norm))
    x = torch.rand(2, 3, 10, 12)
    before = stack(x)
    fold_norms(stack)
    torch.testing.assert_close(stack(x), before, atol=1e-5, rtol=1e-4)
    kept = [layer for layer in stack.modules() if isinstance(layer, nn.BatchNorm2d | nn.GroupNorm)]
    assert len(kept) == (2 if norm == "GN" else 0)


@torch.no_grad()
@pytest.mark.parametrize("norm", ["BN", "GN", "none"])
@pytest.mark.parametrize("shape", [(5, 7), (1, 1), (6, 1)])
@pytest.mark.parametrize("skips", [0, 4])
@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
def test_upsampled_maps_are_convolved_before(norm, shape, skips, form):
    torch.manual_seed(1)
    block = with_statistics(ConvNormAct(3 + skips, 8, norm=norm))
    low = torch.randn(2, 3, *shape).contiguous(memory_format=form)
    skip = torch.randn(2, skips, *(2 * side for side in shape)).contiguous(memory_format=form)
    expected = block(torch.cat([F.interpolate(low, scale_factor=2, mode="nearest"), skip], 1))
    fold_norms(block)
    fused = UpsampledConv(block, slice(0, 3), slice(3, None))
    torch.testing.assert_close(fused(low, skip if skips else None), expected, atol=1e-5, rtol=1e-4)


def test_tail_of():
    block = nn.Sequential(nn.Identity(), nn.ReLU(), nn.Tanh())
    assert list(tail_of(block)) == [block[1], block[2]]
