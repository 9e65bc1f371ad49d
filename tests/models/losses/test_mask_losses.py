"""The convention that all losses share, and the losses between masks."""

import math

import pytest
import torch

from cellmm.models.losses.functional import dice_coefficient
from cellmm.registry import MODELS

NAMES = ["DiceLoss", "MaskBCELoss", "SigmoidFocalLoss", "BCELoss", "MSELoss"]


@pytest.mark.parametrize("name", NAMES)
def test_weight_average_and_no_elements(name):
    torch.manual_seed(0)
    loss, heavy = MODELS.build(dict(type=name)), MODELS.build(dict(type=name, loss_weight=3.0))
    logits, targets = torch.randn(4, 9), (torch.rand(4, 9) > 0.5).float()
    torch.testing.assert_close(
        heavy(logits, targets, avg_factor=2.0), 1.5 * loss(logits, targets, avg_factor=1)
    )
    count = 4 if name in ("DiceLoss", "MaskBCELoss") else 36
    torch.testing.assert_close(loss(logits, targets), loss(logits, targets, avg_factor=count))
    for avg_factor in (None, 1.0):
        empty = loss(logits[:0].requires_grad_(), targets[:0], avg_factor=avg_factor)
        assert empty == 0
        empty.backward()
    with pytest.raises(ValueError, match="loss_weight must be 0 or more, got -1"):
        MODELS.build(dict(type=name, loss_weight=-1))


@pytest.mark.parametrize("name", NAMES)
def test_elements_of_weight_zero_are_not_learned(name):
    torch.manual_seed(0)
    loss = MODELS.build(dict(type=name))
    logits, targets = torch.randn(2, 9), (torch.rand(2, 9) > 0.5).float()
    weight = (torch.arange(9) < 6).float().expand(2, 9)
    torch.testing.assert_close(
        loss(logits, targets, weight, avg_factor=2), loss(logits[:, :6], targets[:, :6], avg_factor=2)
    )
    assert torch.equal(loss(logits, targets, weight[:1] * 0 + 1), loss(logits, targets, torch.ones(2, 9)))


def test_values_by_hand():
    logits, targets = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
    dice = MODELS.build(dict(type="DiceLoss"))(logits, targets)
    assert dice.item() == pytest.approx(1 - 2 * 0.5 / 1.5, abs=1e-5)
    bce = MODELS.build(dict(type="MaskBCELoss"))(logits, targets)
    assert bce.item() == pytest.approx(math.log(2))
    focal = MODELS.build(dict(type="SigmoidFocalLoss"))(logits, targets, avg_factor=1.0)
    assert focal.item() == pytest.approx(0.25 * math.log(2) * (0.25 + 0.75))
    square = MODELS.build(dict(type="MSELoss"))(torch.tensor([1.0, 0.5]), torch.tensor([0.0, 0.0]))
    assert square.item() == pytest.approx(1.25 / 2)


def test_masks_that_are_partly_learned():
    """The average is over the learned pixels of each mask; one without any counts 0."""
    logits, targets = torch.tensor([[0.0, math.log(3), 9.0]] * 2), torch.tensor([[1.0, 0.0, 0.0]] * 2)
    weight = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    bce = MODELS.build(dict(type="MaskBCELoss"))(logits, targets, weight, avg_factor=1.0)
    assert bce.item() == pytest.approx((math.log(2) + math.log(4)) / 2)
    dice = MODELS.build(dict(type="DiceLoss"))(logits, targets, weight, avg_factor=1.0)
    expected = 1 - dice_coefficient(torch.tensor([0.5, 0.75]), torch.tensor([1.0, 0.0]))
    assert dice.item() == pytest.approx(expected.item())


def test_weighted_cross_entropy_by_hand():
    """2 log 2, log 4, and two pixels of weight 0: mean of four."""
    loss = MODELS.build(dict(type="CrossEntropyLoss"))
    logits = torch.tensor([[0, 0], [0, math.log(3)], [5, 0], [1, 2.0]]).T.reshape(1, 2, 2, 2)
    classes, weight = torch.tensor([[[1, 0], [1, 1]]]), torch.tensor([[[2.0, 1.0], [0.0, 0.0]]])
    assert loss(logits, classes, weight).item() == pytest.approx(math.log(2), rel=1e-6)
    assert loss(logits, classes, weight, avg_factor=8).item() == pytest.approx(math.log(2) / 2, rel=1e-6)
    assert loss(logits, classes, weight * 0) == 0


@pytest.mark.parametrize("squared", [True, False])
def test_dice_counts_a_pixel_as_often_as_its_weight_says(squared):
    loss = MODELS.build(dict(type="DiceLoss", squared=squared))
    logits, targets = torch.tensor([[0.0, math.log(3), -1.0]]), torch.tensor([[1.0, 0.0, 1.0]])
    weight = torch.tensor([[1, 3, 2]])
    repeated = [part.repeat_interleave(weight[0], 1) for part in (logits, targets)]
    assert loss(logits, targets, weight.float()).item() == pytest.approx(loss(*repeated).item(), rel=1e-6)
    perfect = loss(200 * targets - 100, targets, weight.float())
    assert perfect.item() == pytest.approx(0, abs=1e-6)
