"""Losses of probability maps, each form by hand."""

import math

import pytest
import torch

from cellmm.errors import CellMMError
from cellmm.models.losses.functional import sigmoid_focal, soft_focal
from cellmm.registry import MODELS

LOGITS = torch.tensor([[[math.log(3), math.log(3)]]])  # p = 0.75
TARGETS = torch.tensor([[[1.0, 0.0]]])
ONES = torch.ones(1, 1, 2)
PROXIMITY = torch.tensor([[[0.5, 0.8]]])
POSITIVE = -0.25 * 0.25**2 * math.log(0.75)
NEGATIVE = -0.75 * 0.75**2 * math.log(0.25)


def test_soft_focal_mixes_its_two_terms_and_is_sigmoid_focal_at_the_ends():
    x = torch.tensor(math.log(3))
    assert soft_focal(x, torch.tensor(0.4)).item() == pytest.approx(0.4 * POSITIVE + 0.6 * NEGATIVE)
    logits, targets = torch.randn(50), (torch.rand(50) > 0.5).float()
    assert torch.equal(soft_focal(logits, targets), sigmoid_focal(logits, targets))


def test_bce_by_hand():
    """-log 0.75 and -log 0.25; the mean counts the learned pixels alone."""
    loss = MODELS.build(dict(type="PixelBCELoss"))
    assert loss(LOGITS, TARGETS, ONES, None).item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)
    weight = torch.tensor([[[1.0, 0.0]]])
    assert loss(LOGITS, TARGETS, weight).item() == pytest.approx(math.log(4 / 3))
    heavy = MODELS.build(dict(type="PixelBCELoss", loss_weight=2.0, pos_weight=3))
    assert heavy(LOGITS, TARGETS, ONES).item() == pytest.approx(3 * math.log(4 / 3) + math.log(4))
    soft = loss(LOGITS[..., :1], TARGETS[..., :1] * 0.5, ONES[..., :1])
    assert soft.item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)


@pytest.mark.parametrize(
    ("form", "first", "second"),
    [
        ("none", POSITIVE, NEGATIVE),
        ("target", 0.5 * POSITIVE + 0.5 * NEGATIVE, NEGATIVE),  # y' = 0.5 and 0
        ("weight", 0.5 * POSITIVE, 0.8 * NEGATIVE),
        ("negatives", POSITIVE, 0.2 * NEGATIVE),
    ],
)
def test_focal_by_hand(form, first, second):
    loss = MODELS.build(dict(type="ProximityFocalLoss", form=form, loss_weight=3.0))
    value = loss(LOGITS, TARGETS, ONES, PROXIMITY)
    assert value.item() == pytest.approx(3 * (first + second) / 2, rel=1e-5)
    assert loss.needs_proximity == (form != "none")


def test_a_form_that_needs_proximity_says_so():
    assert MODELS.build(dict(type="ProximityFocalLoss", form="none"))(LOGITS, TARGETS, ONES, None) > 0
    for form in ("target", "weight", "negatives"):
        loss = MODELS.build(dict(type="ProximityFocalLoss", form=form))
        with pytest.raises(CellMMError, match=f"form='{form}'.*put ProximityMap before PackCellInputs"):
            loss(LOGITS, TARGETS, ONES, None)
    with pytest.raises(ValueError, match="form must be one of .*got 'wieght'"):
        MODELS.build(dict(type="ProximityFocalLoss", form="wieght"))


@pytest.mark.parametrize(
    "config", [dict(type="PixelBCELoss"), dict(type="ProximityFocalLoss", form="negatives")]
)
def test_nothing_to_learn_is_zero_and_half_precision_is_computed_in_float32(config):
    loss = MODELS.build(config)
    logits = torch.randn(2, 3, 5, requires_grad=True)
    value = loss(logits, torch.rand(2, 3, 5), torch.zeros(2, 3, 5), torch.rand(2, 3, 5))
    value.backward()
    assert value == 0 and not logits.grad.any()
    wide = torch.zeros(1, 300, 300, dtype=torch.bfloat16)
    value = loss(wide, wide, torch.ones_like(wide), wide)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(wide.float(), wide.float(), torch.ones(1, 300, 300), wide.float()))
