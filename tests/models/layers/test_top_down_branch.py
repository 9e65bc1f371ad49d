"""Branches on several decoder levels."""

import pytest
import torch

from cellmm.registry import MODELS

CHANNELS = (3, 5, 4)


def maps(batch=2):
    return [torch.rand(batch, c, 13 // s + 1, 9 // s + 1) for c, s in zip(CHANNELS, (1, 2, 4), strict=True)]


def build(**options):
    return MODELS.build(dict(type="TopDownBranch", in_channels=CHANNELS, channels=6, depth=2, **options))


@pytest.mark.parametrize(("level", "num_levels", "reads"), [(0, 1, 1), (0, 3, 3), (1, 1, 1), (1, 3, 2)])
@pytest.mark.parametrize("coord_order", [0, 2])
def test_sizes_and_gradient(level, num_levels, reads, coord_order):
    branch, x = build(level=level, num_levels=num_levels, coord_order=coord_order), maps()
    assert [y.shape[1] for y in branch.inputs(x)] == branch.in_channels
    assert len(branch.in_channels) == reads
    out = branch(x)
    assert out.shape == (2, 6, *x[level].shape[-2:])
    out.square().sum().backward()
    assert all(p.grad is not None for p in branch.parameters())


def test_what_lies_below_is_upsampled_and_joined():
    """Two levels of one block each, weights 1, no normalisation: 2x2 blocks of the lower map are seen."""
    config = dict(type="TopDownBranch", in_channels=(1, 1), channels=1, depth=1, num_levels=2, norm="none")
    branch = MODELS.build(config)
    with torch.no_grad():
        for p in branch.parameters():
            p.zero_()
        for level in branch.levels:
            level[0][0].weight[:, :, 1, 1] = 1
    low = torch.tensor([[[[1.0, 2.0]]]])
    out = branch([torch.full((1, 1, 2, 4), 10.0), low])
    assert out.tolist() == [[[[11, 11, 12, 12], [11, 11, 12, 12]]]]


def test_levels_pass_on_what_lies_below():
    """Only the coarsest map changes, and the result changes with it."""
    x = maps(batch=1)
    other = [*x[:2], x[2] + 1]
    for num_levels, changes in ((1, False), (2, False), (3, True)):
        branch = build(num_levels=num_levels).eval()
        assert torch.equal(branch(x), branch(other)) != changes


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (dict(level=3), "level must be 0 to 2, a level of the decoder, got 3"),
        (dict(num_levels=4), "num_levels must be 1 to 3, the decoder's levels, got 4"),
        (dict(coord_order=3), "coord_order must be 0, 1 or 2, got 3"),
    ],
)
def test_levels_that_the_decoder_does_not_have(options, says):
    with pytest.raises(ValueError, match=says):
        build(**options)
