"""Instance activation maps: their start, their weights."""

import pytest
import torch

from cellmm.registry import MODELS


def build(kind="InstanceActivation", **options):
    torch.manual_seed(0)
    part = MODELS.build(dict(type=kind, in_channels=4, num_queries=4, **options))
    part.reset_parameters()
    return part


def test_spatial_prior_starts_each_query_at_its_own_place():
    part = build(coord_order=2, spatial_prior=0.3)
    torch.nn.init.zeros_(part.conv.weight[:, :4])
    maps = part(torch.rand(1, 4, 41, 41))[0]
    peaks = {divmod(weights.argmax().item(), 41) for weights in maps}
    assert peaks == {(10, 10), (10, 30), (30, 10), (30, 30)}


@pytest.mark.parametrize("coord_order", [0, 1, 2])
def test_weights(coord_order):
    x = torch.rand(2, 4, 5, 7)
    sigmoid = build(coord_order=coord_order)(x)
    softmax = build("SoftmaxInstanceActivation", coord_order=coord_order)(x)
    assert sigmoid.shape == softmax.shape == (2, 4, 5, 7)
    torch.testing.assert_close(softmax.sum((2, 3)), torch.ones(2, 4))
    odds = sigmoid / (1 - sigmoid)  # both are of the same logits
    torch.testing.assert_close(softmax, odds / odds.sum((2, 3), keepdim=True))


def test_a_prior_needs_positions():
    with pytest.raises(ValueError, match="spatial_prior needs coord_order=2 of the head, got 1"):
        build(coord_order=1, spatial_prior=0.25)
