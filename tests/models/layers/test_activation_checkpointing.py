"""Activations that are computed again: nothing but the memory changes."""

import copy

import pytest
import torch

from cellmm.errors import CellMMError
from cellmm.models.layers import ConvStack
from cellmm.registry import MODELS


def test_result_gradients_and_statistics_are_the_same():
    """Also where the input needs no gradient, as an image does."""
    torch.manual_seed(0)
    plain = ConvStack(2, 4, depth=2)
    again = copy.deepcopy(plain)
    again.activation_checkpointing = True
    x = torch.rand(3, 2, 8, 8)
    for net in (plain, again):
        net(x).square().sum().backward()
    for expected, other in zip(plain.parameters(), again.parameters(), strict=True):
        assert expected.grad.abs().sum() > 0
        assert torch.equal(expected.grad, other.grad)
    for expected, other in zip(plain.buffers(), again.buffers(), strict=True):
        assert torch.equal(expected, other)
    assert [m.momentum for m in again.modules() if hasattr(m, "momentum")] == [0.1, 0.1]
    assert torch.equal(plain.eval()(x), again.eval()(x))


def test_fewer_tensors_are_kept():
    net, x = ConvStack(2, 4, depth=3), torch.rand(1, 2, 8, 8)

    def kept(activation_checkpointing):
        net.activation_checkpointing, sizes = activation_checkpointing, []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            net(x)
        return sum(sizes)

    assert kept(True) < kept(False) / 4


def segmentor(activation_checkpointing):
    return MODELS.build(
        dict(
            type="CellSegmentor",
            data_preprocessor=dict(type="CellDataPreprocessor", in_channels=1),
            encoder=dict(type="SEUNetEncoder", widths=(4, 4)),
            decoder=dict(type="SEUNetDecoder", widths=(4,)),
            heads=dict(
                instances=dict(
                    type="IAMHead",
                    feature_dim=4,
                    instance_branch=dict(channels=4, depth=1),
                    mask_branch=dict(channels=4, depth=1, mask_dim=4),
                )
            ),
            activation_checkpointing=activation_checkpointing,
        )
    )


def test_names_of_a_model():
    names = ["encoder.levels.0", "heads.instances.mask_branch.levels.0.0"]
    model = segmentor(names)
    assert [
        name for name, module in model.named_modules() if getattr(module, "activation_checkpointing", False)
    ] == names
    with pytest.raises(
        CellMMError,
        match="model.activation_checkpointing: there is no stack .* 'encoder.level.0'; did you mean enc",
    ):
        segmentor(["encoder.level.0"])
