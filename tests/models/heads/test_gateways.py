"""Gateways opened by hand."""

import torch

from cellmm.models.heads.gateways import Gateways


def test_opening_by_hand():
    gateways = Gateways(torch.tensor([[2.0, 2.0], [2.0, 6.0]]), torch.tensor([1.0, 2.0]), torch.ones(2))
    cross = [[0, 0, 0, 0], [0, 0, 1, 0], [0, 1, 1, 1], [0, 0, 1, 0]]
    first = torch.tensor([[0, 0], [1, 4]])
    gates = gateways.open(torch.tensor([0, 1]), first, (4, 4))
    assert gates.dtype == torch.bool and gates[0].int().tolist() == cross
    # rows 1 to 4, columns 4 to 7, disk of radius 2 round (2, 6)
    assert gates[1].int().tolist() == [[0, 1, 1, 1], [1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 0]]
    labels = torch.zeros(8, 8, dtype=torch.int32)
    labels[:, 6:] = 2
    gateways.labels = labels
    assert not gateways.open(torch.tensor([0]), first[:1], (4, 4)).any()
    gates = gateways.open(torch.tensor([1]), first[1:], (4, 4))
    assert gates[0].int().tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 0]]
