"""Which gateways open in training, piece by piece, by hand."""

import pytest
import torch

from cellmm.models.heads.gateway_samplers import (
    gateways_at_random,
    owners,
    random_radius,
    random_subset,
    thinned,
)
from cellmm.models.heads.gateway_targets import own_pixels
from cellmm.models.heads.gateways import Gateways
from cellmm.registry import TASK_UTILS


def layers():
    """Cell 1 on rows 0 and 1, cell 2 on columns 2 and 3 of the other layer, cell 3 in a corner."""
    out = torch.zeros(2, 4, 6, dtype=torch.int32)
    out[0, :2] = 1
    out[1, :, 2:4] = 2
    out[0, 3, 5] = 3
    return out


def test_random_choices():
    torch.manual_seed(0)
    ids = torch.tensor([3, 5, 8, 9])
    seen = [random_subset(ids, 2).tolist() for _ in range(40)]
    assert all(len(set(pair)) == 2 for pair in seen) and {i for pair in seen for i in pair} == {3, 5, 8, 9}
    assert sorted(random_subset(ids, 9).tolist()) == [3, 5, 8, 9] and len(random_subset(ids, 0)) == 0
    radius = random_radius(300, 4, torch.zeros(1))
    assert radius.dtype == torch.float32 and radius.unique().tolist() == [1, 2, 3, 4]
    assert random_radius(0, 4, torch.zeros(1)).shape == (0,)


def test_thinning_leaves_the_published_areas():
    """Of a disk of radius 5: 81, 52, 28 and 12 pixels after 0 to 3 passes (diskmask 3.3.2)."""
    y, x = torch.meshgrid(torch.arange(20) - 9, torch.arange(40) - 10, indexing="ij")
    disk = y**2 + x**2 <= 25
    both = disk | disk.roll(20, 1)
    assert [int(thinned(disk, n).sum()) for n in range(4)] == [81, 52, 28, 12]
    assert [int(thinned(both, n).sum()) for n in range(4)] == [162, 104, 56, 24]
    assert torch.equal(thinned(both, 2)[:, 20:], thinned(disk, 2)[:, :20])
    assert not thinned(torch.zeros(3, 5, dtype=torch.bool), 3).any()


def test_at_random_pixels_of_its_own():
    torch.manual_seed(0)
    own = own_pixels(layers())
    places = set()
    for _ in range(60):
        gateways, ids = gateways_at_random(own, torch.tensor([2, 4, 1]), torch.tensor([2.0, 5.0, 3.0]))
        assert ids.tolist() == [2, 1] and gateways.radius.tolist() == [2, 3]  # 4 has no pixel
        places.add(tuple(gateways.points[0].int().tolist()))
    assert places == {(2, 2), (2, 3), (3, 2), (3, 3)}
    gateways, ids = gateways_at_random(own, torch.tensor([4]), torch.tensor([5.0]))
    assert len(gateways) == len(ids) == 0 and gateways.points.shape == (0, 2)


def test_owners():
    """A disk counts first, then pixels of one cell alone; where cells cross it cannot be told."""
    disks = torch.zeros(4, 6, dtype=torch.int32)
    disks[0, 2] = 1
    points = torch.tensor([[0.2, 2.4], [0, 3], [3, 2], [2.6, 5.0], [2, 0]])
    gateways = Gateways(points, torch.ones(5), torch.ones(5))
    assert owners(gateways, disks, own_pixels(layers())).tolist() == [1, 0, 2, 3, 0]


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("UnionGatewaySampler", dict(thinning=-1), "thinning must be 0 or more"),
        ("UnionGatewaySampler", dict(keep_prob=1.5), "keep_prob must be from 0 to 1"),
        ("SingleGatewaySampler", dict(num_gates=0), "num_gates must be 1 or more"),
        ("SingleGatewaySampler", dict(radius=0), "radius must be 1 or more"),
        ("SingleGatewaySampler", dict(random_share=-0.1), "random_share must be from 0 to 1"),
        (
            "SingleGatewaySampler",
            dict(num_gates=3, random_share=0.5, detected_share=0.5),
            "more than 3 num_gates; lower",
        ),
    ],
)
def test_wrong_arguments(kind, options, message):
    with pytest.raises(ValueError, match=message):
        TASK_UTILS.build(dict(type=kind, **options))
