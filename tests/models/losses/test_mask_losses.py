"""The registered losses: weight, normaliser, no pairs at all."""

import math

import pytest
import torch

from cellmm.registry import MODELS


@pytest.mark.parametrize("name", ["DiceLoss", "MaskBCELoss", "SigmoidFocalLoss"])
def test_weight_normalizer_and_empty(name):
    torch.manual_seed(0)
    loss, heavy = MODELS.build(dict(type=name)), MODELS.build(dict(type=name, loss_weight=3.0))
    logits, targets = torch.randn(4, 9), (torch.rand(4, 9) > 0.5).float()
    torch.testing.assert_close(heavy(logits, targets, 2.0), 1.5 * loss(logits, targets, 1.0))
    empty = loss(logits[:0].requires_grad_(), targets[:0], 1.0)
    assert empty == 0
    empty.backward()


def test_values_by_hand():
    logits, targets = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
    dice = MODELS.build(dict(type="DiceLoss"))(logits, targets, 1.0)
    assert dice.item() == pytest.approx(1 - 2 * 0.5 / 1.5, abs=1e-5)
    bce = MODELS.build(dict(type="MaskBCELoss"))(logits, targets, 1.0)
    assert bce.item() == pytest.approx(math.log(2))
    focal = MODELS.build(dict(type="SigmoidFocalLoss"))(logits, targets, 1.0)
    assert focal.item() == pytest.approx(0.25 * math.log(2) * (0.25 + 0.75))
