"""What predicting pays for, and what it wastes."""

import torch

from cellmm.models.heads.gateway_budget import DecodingBudget


def test_masks_at_a_place_that_is_covered_do_not_pay():
    """Each gateway gives the same large mask: the second and later ones are wasted."""
    shape = (64, 64)
    points = torch.tensor([[32.0, 24.0 + i] for i in range(0, 16, 4)])
    budget = DecodingBudget(4, free=0, shape=shape)
    masks = torch.zeros(4, 16, 16, dtype=torch.bool)
    masks[:, 4:12, 2:14] = True
    first = torch.tensor([[24, 24]]).expand(4, 2)
    whole = torch.tensor([False, True, True, True])
    budget.spend(torch.arange(4), 256, points, whole, masks, first)
    assert budget.paid.tolist() == [False, True, False, False]
    assert budget.allowed(1, 9999) == 0
    budget = DecodingBudget(4, free=700, shape=shape)
    budget.spend(torch.arange(4), 256, points, whole, masks, first)
    assert budget.allowed(1, 9999) == 700 + 128 - 3 * 256 and budget.allowed(25, 9) == 2
    # a larger window gives the first one its mask: what was wasted has paid
    budget.spend(
        torch.arange(1), 1024, torch.tensor([[2.0, 2.0]]), torch.tensor([True]), masks[:1], first[:1]
    )
    assert budget.paid[0] and budget.spent[0] == 1280 and budget.allowed(1, 9999) == 700 + 640 + 128 - 2 * 256
    assert budget.allowed(1, 3) == 3
