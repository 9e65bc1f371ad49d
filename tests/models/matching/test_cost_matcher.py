"""Pairs of least cost, with costs computed by hand."""

import pytest
import torch

from cellmm.models.losses.functional import dice_coefficient, mask_bce, pairwise_bce, pairwise_dice
from cellmm.registry import TASK_UTILS


def build(**weights):
    return TASK_UTILS.build(dict(type="CostMatcher", **weights))


def test_costs_of_all_pairs_are_those_of_each():
    torch.manual_seed(0)
    logits, targets = torch.randn(3, 9), torch.rand(4, 9)
    for i in range(3):
        for j in range(4):
            own, target = logits[i], targets[j]
            torch.testing.assert_close(pairwise_bce(logits, targets)[i, j], mask_bce(own, target))
            dice = pairwise_dice(logits.sigmoid(), targets, squared=False)[i, j]
            torch.testing.assert_close(dice, dice_coefficient(own.sigmoid(), target, squared=False))


def test_the_sum_of_the_costs_decides():
    """Query 0 has the better mask, query 1 the better class, and "no object" is a class too."""
    mask = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    logits = 20 * torch.tensor([[1.0, 1.0, -1.0, -1.0], [1.0, -1.0, -1.0, -1.0]])
    classes = torch.tensor([[0.0, 3.0], [3.0, 0.0]])
    labels = torch.tensor([0])
    assert build()(classes, logits, labels, mask)[0].tolist() == [0]
    by_class = build(bce_weight=0.0, dice_weight=0.1)
    assert by_class(classes, logits, labels, mask)[0].tolist() == [1]


@pytest.mark.parametrize(("queries", "cells"), [(3, 5), (5, 3), (3, 0)])
def test_any_number_of_queries_and_cells(queries, cells):
    torch.manual_seed(0)
    masks = (torch.rand(cells, 8) > 0.5).float()
    labels = torch.zeros(cells, dtype=torch.long)
    query, cell = build()(torch.randn(queries, 2), torch.randn(queries, 8), labels, masks)
    assert len(set(query.tolist())) == len(set(cell.tolist())) == min(queries, cells)


def test_half_precision_and_values_that_are_not_finite():
    logits = torch.full((2, 4), 300.0)
    with torch.autocast("cpu", torch.bfloat16):
        query, _ = build()(
            torch.zeros(2, 2).bfloat16(), logits.bfloat16(), torch.tensor([0]), torch.ones(1, 4)
        )
    assert len(query) == 1
    assert len(build()(logits[:, :2], logits * torch.nan, torch.tensor([0]), torch.ones(1, 4))[0]) == 1


def test_bad_values():
    with pytest.raises(ValueError, match="dice_weight must be 0 or more, got -1"):
        build(dice_weight=-1)
