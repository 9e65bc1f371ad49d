"""Branches that fork at several levels."""

import pytest
import torch

from cellmm.models.layers import TopDownBranch


@pytest.mark.parametrize("levels", [1, 3])
def test_sizes_and_gradient(levels):
    maps = [torch.rand(2, c, 13 // s + 1, 9 // s + 1) for c, s in ((3, 1), (5, 2), (4, 4))][:levels]
    branch = TopDownBranch([one.shape[1] for one in maps], 6, depth=2, norm="BN")
    out = branch(maps)
    assert out.shape == (2, 6, 14, 10)
    out.square().sum().backward()
    assert all(p.grad is not None for p in branch.parameters())


def test_what_lies_below_is_upsampled_and_joined():
    """Two levels of one block each, weights 1, no normalisation: 2x2 blocks of the lower map are seen."""
    branch = TopDownBranch([1, 1], 1, depth=1, norm="none")
    with torch.no_grad():
        for p in branch.parameters():
            p.zero_()
        for level in branch.levels:
            level[0][0].weight[:, :, 1, 1] = 1
    low = torch.tensor([[[[1.0, 2.0]]]])
    out = branch([torch.full((1, 1, 2, 4), 10.0), low])
    assert out.tolist() == [[[[11, 11, 12, 12], [11, 11, 12, 12]]]]
