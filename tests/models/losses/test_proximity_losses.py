"""Losses of probability maps by hand, with and without proximity."""

import math

import pytest
import torch

from cellmm.errors import CellMMError
from cellmm.models.losses import functional
from cellmm.models.losses.functional import mean_over_ranks, sigmoid_focal, soft_focal
from cellmm.registry import MODELS

LOGITS = torch.tensor([[[math.log(3), math.log(3)]]])  # p = 0.75
TARGETS = torch.tensor([[[1.0, 0.0]]])
PROXIMITY = torch.tensor([[[0.5, 0.8]]])
POSITIVE = -0.25 * 0.25**2 * math.log(0.75)
NEGATIVE = -0.75 * 0.75**2 * math.log(0.25)
GUIDED = ["ProximityFocalLoss", "ProximityTargetFocalLoss", "ProximityWeightFocalLoss"]


def test_soft_focal_mixes_its_two_terms_and_is_sigmoid_focal_at_the_ends():
    x = torch.tensor(math.log(3))
    assert soft_focal(x, torch.tensor(0.4)).item() == pytest.approx(0.4 * POSITIVE + 0.6 * NEGATIVE)
    logits, targets = torch.randn(50), (torch.rand(50) > 0.5).float()
    assert torch.equal(soft_focal(logits, targets), sigmoid_focal(logits, targets))


def test_bce_by_hand():
    """-log 0.75 and -log 0.25."""
    loss = MODELS.build(dict(type="BCELoss"))
    assert loss(LOGITS, TARGETS).item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)
    weight = torch.tensor([[[1.0, 0.0]]])
    assert loss(LOGITS, TARGETS, weight, avg_factor=1).item() == pytest.approx(math.log(4 / 3))
    heavy = MODELS.build(dict(type="BCELoss", loss_weight=2.0, pos_weight=3))
    assert heavy(LOGITS, TARGETS).item() == pytest.approx(3 * math.log(4 / 3) + math.log(4))
    soft = loss(LOGITS[..., :1], TARGETS[..., :1] * 0.5)
    assert soft.item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("ProximityTargetFocalLoss", 0.5 * POSITIVE + 0.5 * NEGATIVE, NEGATIVE),  # y' = 0.5 and 0
        ("ProximityWeightFocalLoss", 0.5 * POSITIVE, 0.8 * NEGATIVE),
        ("ProximityFocalLoss", POSITIVE, 0.2 * NEGATIVE),
    ],
)
def test_guided_focal_by_hand(name, first, second):
    loss = MODELS.build(dict(type=name, loss_weight=3.0))
    value = loss(LOGITS, TARGETS, proximity=PROXIMITY)
    assert value.item() == pytest.approx(3 * (first + second) / 2, rel=1e-5)
    weighted = loss(LOGITS, TARGETS, torch.tensor([[[0.0, 2.0]]]), 1.0, proximity=PROXIMITY)
    assert weighted.item() == pytest.approx(3 * 2 * second, rel=1e-5)


@pytest.mark.parametrize("name", GUIDED)
def test_a_loss_that_needs_proximity_says_so(name):
    loss = MODELS.build(dict(type=name))
    assert loss.needs_proximity and not MODELS.build(dict(type="SigmoidFocalLoss")).needs_proximity
    with pytest.raises(CellMMError, match=f"{name} .*put ProximityMap before PackCellInputs"):
        loss(LOGITS, TARGETS)


@pytest.mark.parametrize("name", ["BCELoss", "SigmoidFocalLoss", *GUIDED])
def test_nothing_to_learn_is_zero_and_half_precision_is_computed_in_float32(name):
    loss = MODELS.build(dict(type=name))
    guide = lambda x: dict(proximity=x) if loss.needs_proximity else {}  # noqa: E731
    logits = torch.randn(2, 3, 5, requires_grad=True)
    value = loss(logits, torch.rand(2, 3, 5), torch.zeros(2, 3, 5), **guide(torch.rand(2, 3, 5)))
    value.backward()
    assert value == 0 and not logits.grad.any()
    wide = torch.zeros(1, 300, 300, dtype=torch.bfloat16)
    value = loss(wide, wide, torch.ones_like(wide), **guide(wide))
    assert value.dtype == torch.float32
    expected = loss(wide.float(), wide.float(), torch.ones(1, 300, 300), **guide(wide.float()))
    torch.testing.assert_close(value, expected)


def test_ranks_with_other_ignored_shares_are_one_process(monkeypatch):
    """The mean over two ranks, 3 and 20 pixels of which are learned, is the loss of both in one batch."""
    loss = MODELS.build(dict(type="ProximityFocalLoss"))
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 5, requires_grad=True)
    targets, proximity = (torch.rand(2, 4, 5) > 0.5).float(), torch.rand(2, 4, 5)
    weight = torch.ones(2, 4, 5)
    weight[0].view(-1)[3:] = 0

    def learn(some: slice) -> torch.Tensor:
        count = mean_over_ranks(weight[some].sum().item(), logits)
        return loss(logits[some], targets[some], weight[some], count, proximity=proximity[some])

    whole = learn(slice(None))
    (grad,) = torch.autograd.grad(whole, logits)
    monkeypatch.setattr(functional, "all_reduce", lambda total: total.fill_(23.0))
    monkeypatch.setattr(functional, "get_world_size", lambda: 2)
    ranks = [learn(slice(i, i + 1)) for i in range(2)]
    torch.testing.assert_close(sum(ranks) / 2, whole)
    torch.testing.assert_close(torch.autograd.grad(sum(ranks) / 2, logits)[0], grad)


def test_a_printed_target_that_leaves_nothing_is_told():
    loss = MODELS.build(dict(type="ProximityTargetFocalLoss"))
    nothing, everywhere = torch.zeros_like(TARGETS), torch.ones_like(PROXIMITY)
    assert loss(LOGITS, nothing, proximity=everywhere) > 0, "no overlap, nothing to learn"
    with pytest.raises(CellMMError, match="P is 1 on all overlap: choose kind v0, v1 or v4 .*") as info:
        loss(LOGITS, TARGETS, proximity=everywhere)
    assert "\n" not in str(info.value)
    assert loss(LOGITS, TARGETS, proximity=PROXIMITY) > 0
    assert loss(LOGITS, TARGETS, proximity=everywhere) > 0, "a batch of thin overlaps, after others"
