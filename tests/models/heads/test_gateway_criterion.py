"""Losses of disks and masks, by hand."""

import math
from types import SimpleNamespace

import pytest
import torch

from cellmm.models.heads.gateway_targets import WindowTargets
from cellmm.models.heads.gateways import SampledGateways
from cellmm.registry import MODELS

WEIGHTED = dict(
    type="GatewayCriterion",
    loss_disk=dict(type="CrossEntropyLoss", loss_weight=3.0),
    loss_mask=dict(type="MaskBCELoss", loss_weight=5.0),
    loss_dice=dict(type="DiceLoss", loss_weight=2.0),
)


def gateways(cells, has_mask):
    cells = [torch.tensor(ids, dtype=torch.long) for ids in cells]
    zeros = torch.zeros(len(cells), dtype=torch.long)
    gates = torch.ones(len(cells), 2, 4, dtype=torch.bool)
    return SampledGateways(zeros, zeros[:, None].expand(-1, 2), gates, zeros.float(), cells, has_mask)


def windows(count):
    """Cell 1 covers the left half of 2 x 4 pixels; the rightmost column is ignored."""
    layers = torch.zeros(1, 2, 4, dtype=torch.int32)
    layers[0, :, :2] = 1
    learned = torch.ones(2, 4)
    learned[:, 3] = 0
    return [WindowTargets(layers, learned, 1) for _ in range(count)]


def losses(config, cells, has_mask, logit=0.0):
    target = SimpleNamespace(classes=torch.tensor([[0, 1]]), weight=torch.tensor([[1.0, 3.0]]))
    disk_logits = torch.zeros(1, 2, 1, 2)
    logits = torch.full((len(cells), 2, 4), logit, requires_grad=True)
    opened = gateways(cells, has_mask)
    return MODELS.build(config)(disk_logits, [target], logits, windows(len(cells)), opened)


def test_weights_and_pixels_that_are_learned():
    """Logit 0 costs log 2 per learned pixel; Dice of probability 1/2: 2 * 4/2 / (6/4 + 4) = 8/11."""
    published = losses(dict(type="GatewayCriterion"), [[1]], [True])
    assert {name: value.item() for name, value in published.items()} == pytest.approx(
        dict(loss_disk=(1 + 3) / 2 * math.log(2), loss_mask=math.log(2))
    )
    ours = losses(WEIGHTED, [[1]], [True])
    assert ours["loss_disk"] == 3 * published["loss_disk"] and ours["loss_mask"] == 5 * published["loss_mask"]
    assert ours["loss_dice"].item() == pytest.approx(2 * (1 - 8 / 11), abs=1e-6)


def test_wrong_gateways_and_empty_masks():
    """A wrong gateway has no mask to learn, an empty union has one, but no Dice."""
    alone = losses(WEIGHTED, [[1]], [True], logit=3.0)
    beside_wrong = losses(WEIGHTED, [[1], []], [True, False], logit=3.0)
    assert all(torch.equal(alone[name], beside_wrong[name]) for name in alone)
    beside_empty = losses(WEIGHTED, [[1], []], [True, True], logit=3.0)
    assert beside_empty["loss_mask"] > alone["loss_mask"]
    torch.testing.assert_close(beside_empty["loss_dice"], alone["loss_dice"] / 2)


@pytest.mark.parametrize("cells", [[], [[]]])
def test_no_mask_at_all(cells):
    found = losses(WEIGHTED, cells, [False] * len(cells))
    assert found["loss_mask"] == found["loss_dice"] == 0
    sum(found.values()).backward()
