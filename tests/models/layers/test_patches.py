"""Patches are cut from, added to and written into maps where they lie, also beyond their borders."""

import pytest
import torch

from cellmm.models.layers.patches import add_patches, cut_patches, write_patches

FIRST = torch.tensor([[0, 0], [3, 2], [-2, 4], [5, -1], [40, 40]])


def padded(x):
    return torch.nn.functional.pad(x, (50, 50, 50, 50))


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
def test_cut(form):
    x = torch.rand(2, 3, 8, 9).contiguous(memory_format=form)
    image = torch.tensor([0, 1, 1, 0, 1])
    out = cut_patches(x, image, FIRST, (4, 5))
    for patch, i, (row, col) in zip(out, image, FIRST.tolist(), strict=True):
        assert torch.equal(patch, padded(x)[i, :, 50 + row : 54 + row, 50 + col : 55 + col])


def test_add():
    x = torch.rand(5, 3, 8, 9).contiguous(memory_format=torch.channels_last)
    patches = torch.rand(5, 3, 4, 5)
    expected = padded(x)
    for image, patch, (row, col) in zip(expected, patches, FIRST.tolist(), strict=True):
        image[:, 50 + row : 54 + row, 50 + col : 55 + col] += patch
    add_patches(x, patches, FIRST)
    assert torch.equal(x, expected[:, :, 50:58, 50:59])


def test_write_several_into_an_image():
    x = torch.zeros(2, 1, 8, 8)
    write_patches(x, torch.ones(2, 1, 2, 3), torch.tensor([1, 1]), torch.tensor([[0, 1], [6, 5]]))
    assert x[0].sum() == 0 and x[1].sum() == 12
    assert (x[1, 0, 0:2, 1:4] == 1).all() and (x[1, 0, 6:8, 5:8] == 1).all()
