"""Dice, BCE and focal against values computed by hand."""

import math

import pytest
import torch

from cellmm.models.losses.functional import (
    cross_entropy,
    dice_coefficient,
    mask_bce,
    pairwise_dice,
    sigmoid_focal,
)


def test_dice_by_hand():
    probs, target = torch.tensor([0.5, 1.0, 0.0]), torch.tensor([1.0, 1.0, 0.0])
    assert dice_coefficient(probs, target).item() == pytest.approx(2 * 1.5 / (1.25 + 2))
    assert dice_coefficient(torch.zeros(3), torch.zeros(3)) == 1
    assert dice_coefficient(torch.zeros(3), torch.ones(3)).item() == pytest.approx(0, abs=1e-6)


def test_pairwise_dice_is_dice_of_every_pair():
    torch.manual_seed(0)
    probs, targets = torch.rand(4, 30), (torch.rand(3, 30) > 0.5).float()
    expected = torch.stack([torch.stack([dice_coefficient(p, t) for t in targets]) for p in probs])
    torch.testing.assert_close(pairwise_dice(probs, targets), expected)
    assert pairwise_dice(probs, targets[:0]).shape == (4, 0)


def test_mask_bce_by_hand():
    logits, target = torch.tensor([[0.0, math.log(3)]]), torch.tensor([[1.0, 0.0]])
    assert mask_bce(logits, target).item() == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_focal_by_hand():
    logits, targets = torch.tensor([math.log(3), math.log(3)]), torch.tensor([1.0, 0.0])
    positive, negative = sigmoid_focal(logits, targets, alpha=0.25, gamma=2.0).tolist()
    assert positive == pytest.approx(-0.25 * 0.25**2 * math.log(0.75))
    assert negative == pytest.approx(-0.75 * 0.75**2 * math.log(0.25))


@pytest.mark.parametrize("function", [dice_coefficient, mask_bce, sigmoid_focal])
def test_half_precision_is_computed_in_float32(function):
    size = (1, 400_000)
    value = function(torch.full(size, 0.5, dtype=torch.bfloat16), torch.ones(size, dtype=torch.bfloat16))
    reference = function(torch.full(size, 0.5), torch.ones(size))
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, reference, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("function", [dice_coefficient, mask_bce, sigmoid_focal])
def test_gradients(function):
    torch.manual_seed(0)
    x, target = torch.rand(2, 6, requires_grad=True), (torch.rand(2, 6) > 0.5).float()
    function(x, target).sum().backward()
    step = 1e-2
    for index in [(0, 0), (1, 3)]:
        delta = torch.zeros_like(x)
        delta[index] = step
        with torch.no_grad():
            slope = (function(x + delta, target).sum() - function(x - delta, target).sum()) / (2 * step)
        assert x.grad[index].item() == pytest.approx(slope.item(), rel=2e-2, abs=2e-3)


def test_cross_entropy_by_hand():
    logits = torch.tensor([[0, 0], [0, math.log(3)], [5, 0], [1, 2.0]]).T.reshape(1, 2, 2, 2)
    classes = torch.tensor([[[1, 0], [0, 1]]])
    values = cross_entropy(logits, classes).flatten().tolist()
    expected = [math.log(2), math.log(4), math.log1p(math.exp(-5)), math.log1p(math.exp(-1))]
    assert values == pytest.approx(expected, rel=1e-4)
