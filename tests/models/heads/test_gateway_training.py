"""Pieces of training with gateways, by hand."""

import pytest
import torch

from cellmm.models.heads.gateway_training import (
    best_iou,
    cell_masks,
    crop,
    gateways_anywhere,
    grid_points,
    own_pixels,
    owners,
    random_radius,
    random_subset,
    thinned,
)
from cellmm.models.heads.gateways import Gateways


def test_points_on_the_grid():
    """Block 3 of stride 2 is rows 6 and 7: its middle, 6.5, is at 3; with 92 pixels before the map at -43."""
    points = torch.tensor([[6.5, 0.0], [7.0, 1.0]])
    torch.testing.assert_close(grid_points(points, 2, 0), torch.tensor([[3.0, -0.25], [3.25, 0.25]]))
    torch.testing.assert_close(grid_points(points, 1, 92), points - 92)
    torch.testing.assert_close(grid_points(points, 2, 92)[0, 0], torch.tensor(-43.0))


@pytest.mark.parametrize(
    ("first", "size", "rows"),
    [
        ((0, 0), (2, 3), [[1, 2, 3], [4, 5, 6]]),
        ((-1, 1), (2, 3), [[9, 9, 9], [2, 3, 9]]),
        ((1, 2), (2, 2), [[6, 9], [9, 9]]),
        ((2, 0), (1, 2), [[9, 9]]),
        ((0, -5), (1, 3), [[9, 9, 9]]),
    ],
)
def test_crop(first, size, rows):
    x = torch.tensor([[1, 2, 3], [4, 5, 6]])
    assert crop(x, first, size, fill=9).tolist() == rows
    assert crop(x[None], first, size, fill=9).tolist() == [rows]


def layers():
    """Cell 1 on rows 0 and 1, cell 2 on columns 2 and 3 of the other layer, cell 3 in a corner."""
    out = torch.zeros(2, 4, 6, dtype=torch.int32)
    out[0, :2] = 1
    out[1, :, 2:4] = 2
    out[0, 3, 5] = 3
    return out


def test_masks_and_own_pixels():
    masks = cell_masks(layers(), torch.tensor([1, 2, 3, 4]), 1)
    assert masks.sum((1, 2)).tolist() == [12, 8, 1, 0]
    assert masks[0, 0, 2] == masks[1, 0, 2] == 1  # both, where they cross
    shares = cell_masks(layers(), torch.tensor([3, 2]), 2)
    assert shares.tolist() == [[[0, 0, 0], [0, 0, 0.25]], [[0, 1, 0], [0, 1, 0]]]
    assert cell_masks(layers(), torch.zeros(0, dtype=torch.long), 2).shape == (0, 2, 3)
    own = own_pixels(layers())
    assert own[0].tolist() == [1, 1, 0, 0, 1, 1] and own[3].tolist() == [0, 0, 2, 2, 0, 3]


def test_best_iou():
    """Of the mask's 8 pixels 6 are cell 1's twelve: 6 / 14; columns 2 and 3 are cell 2: 8 / 8."""
    probs = torch.zeros(4, 6)
    probs[0, :] = probs[2, :2] = 0.9
    assert best_iou(probs, layers(), 1, 0.5).item() == pytest.approx(6 / 14)
    probs = torch.zeros(4, 6)
    probs[:, 2:4] = 0.6
    assert best_iou(probs, layers(), 1, 0.5) == 1
    assert best_iou(probs, layers(), 1, 0.7) == 0
    assert best_iou(torch.ones(2, 3), layers(), 2, 0.5).item() == pytest.approx(3 / 6)
    assert best_iou(probs, torch.zeros(1, 4, 6, dtype=torch.int32), 1, 0.5) == 0


def test_random_choices():
    torch.manual_seed(0)
    ids = torch.tensor([3, 5, 8, 9])
    seen = [random_subset(ids, 2).tolist() for _ in range(40)]
    assert all(len(set(one)) == 2 for one in seen) and {i for one in seen for i in one} == {3, 5, 8, 9}
    assert sorted(random_subset(ids, 9).tolist()) == [3, 5, 8, 9] and len(random_subset(ids, 0)) == 0
    radius = random_radius(300, 4, torch.zeros(1))
    assert radius.dtype == torch.float32 and radius.unique().tolist() == [1, 2, 3, 4]
    assert random_radius(5, 0, torch.zeros(1)).tolist() == [1] * 5
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


def test_anywhere_on_pixels_of_its_own():
    torch.manual_seed(0)
    own = own_pixels(layers())
    places = set()
    for _ in range(60):
        gateways, ids = gateways_anywhere(own, torch.tensor([2, 4, 1]), torch.tensor([2.0, 5.0, 3.0]))
        assert ids.tolist() == [2, 1] and gateways.radius.tolist() == [2, 3]  # 4 has no pixel
        places.add(tuple(gateways.points[0].int().tolist()))
    assert places == {(2, 2), (2, 3), (3, 2), (3, 3)}
    gateways, ids = gateways_anywhere(own, torch.tensor([4]), torch.tensor([5.0]))
    assert len(gateways) == len(ids) == 0 and gateways.points.shape == (0, 2)


def test_owners():
    """A disk counts first, then pixels of one cell alone; where cells cross it is not to be told."""
    disks = torch.zeros(4, 6, dtype=torch.int32)
    disks[0, 2] = 1
    points = torch.tensor([[0.2, 2.4], [0, 3], [3, 2], [2.6, 5.0], [2, 0]])
    gateways = Gateways(points, torch.ones(5), torch.ones(5))
    assert owners(gateways, disks, own_pixels(layers())).tolist() == [1, 0, 2, 3, 0]
