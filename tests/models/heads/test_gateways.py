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


def test_selecting_keeps_each_gateway_on_its_component():
    points = torch.tensor([[1.0, 1.0], [1.0, 6.0], [6.0, 6.0]])
    labels = torch.zeros(8, 8, dtype=torch.int32)
    labels[1, 1], labels[1, 6], labels[6, 6] = 1, 2, 3
    gateways = Gateways(points, torch.full((3,), float("inf")), torch.tensor([0.7, 0.8, 0.9]), labels)
    near = gateways.nearest(torch.tensor([5.0, 6.0]), 2)
    assert near.points.tolist() == [[6, 6], [1, 6]] and near.probs.tolist() == gateways.probs[[2, 1]].tolist()
    gates = near.open(torch.tensor([0, 1]), torch.zeros(2, 2, dtype=torch.long), (8, 8))
    assert gates.nonzero().tolist() == [[0, 6, 6], [1, 1, 6]]
    assert len(gateways.nearest(points[0], 9)) == 3
    assert len(gateways.select(torch.zeros(0, dtype=torch.long))) == 0
