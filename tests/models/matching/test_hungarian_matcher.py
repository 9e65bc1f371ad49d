"""One-to-one matching on cases with known answers."""

import pytest
import torch

from cellmm.registry import TASK_UTILS

FAR = 20.0


def _logits(masks: torch.Tensor) -> torch.Tensor:
    return (masks * 2 - 1) * FAR


def test_finds_the_permutation():
    masks = torch.eye(4)
    matcher = TASK_UTILS.build(dict(type="HungarianMatcher"))
    order = torch.tensor([2, 0, 3, 1])
    query, cell = matcher(torch.zeros(4, 1), _logits(masks[order]), torch.zeros(4, dtype=torch.long), masks)
    assert dict(zip(query.tolist(), cell.tolist(), strict=True)) == {0: 2, 1: 0, 2: 3, 3: 1}


def test_the_class_decides_between_equal_masks():
    mask = torch.tensor([[1.0, 1.0, 0.0]])
    cls_logits = torch.tensor([[-3.0, 2.0], [2.0, -3.0]])
    matcher = TASK_UTILS.build(dict(type="HungarianMatcher"))
    query, _ = matcher(cls_logits, _logits(mask.repeat(2, 1)), torch.tensor([0]), mask)
    assert query.tolist() == [1]


def test_lambda_weighs_mask_against_class():
    """Query 0 has the better mask, query 1 the better class: lambda decides."""
    target = torch.tensor([[1.0, 1.0, 1.0, 1.0]])
    logits = torch.tensor([[FAR] * 4, [FAR, FAR, -FAR, -FAR]])
    cls_logits = torch.tensor([[-2.0], [2.0]])
    for weight, best in ((1.0, 0), (0.0, 1)):
        matcher = TASK_UTILS.build(dict(type="HungarianMatcher", mask_weight=weight))
        assert matcher(cls_logits, logits, torch.tensor([0]), target)[0].tolist() == [best]


@pytest.mark.parametrize(("queries", "cells"), [(3, 5), (5, 3), (3, 0)])
def test_any_number_of_queries_and_cells(queries, cells):
    torch.manual_seed(0)
    matcher = TASK_UTILS.build(dict(type="HungarianMatcher"))
    query, cell = matcher(
        torch.randn(queries, 1),
        torch.randn(queries, 8),
        torch.zeros(cells, dtype=torch.long),
        (torch.rand(cells, 8) > 0.5).float(),
    )
    assert len(query) == len(cell) == min(queries, cells)
    assert len(set(query.tolist())) == len(set(cell.tolist())) == len(query)


def test_bad_values():
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        TASK_UTILS.build(dict(type="HungarianMatcher", mask_weight=2))


def test_predictions_that_are_not_finite_are_paired_all_the_same():
    """The loss on the pairs says so: training stops there, with the names of the files."""
    matcher = TASK_UTILS.build(dict(type="HungarianMatcher"))
    nan = torch.full((2, 4), float("nan"))
    query, cell = matcher(nan[:, :1], nan, torch.tensor([0]), torch.ones(1, 4))
    assert len(query) == len(cell) == 1
