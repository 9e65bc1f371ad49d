"""Gateways found on hand-made maps of disk probabilities."""

import pytest
import torch

from cellmm.models.heads.gateway_finders import _middles
from cellmm.models.heads.gateways import Gateways
from cellmm.registry import TASK_UTILS


def components(probs, **options) -> Gateways:
    return TASK_UTILS.build(dict(type="ComponentFinder", **options)).find(probs)


def peaks(probs, score_thr=0.1, radius=3.0, max_gates=None) -> Gateways:
    options = dict(score_thr=score_thr, radius=radius, max_gates=max_gates)
    return TASK_UTILS.build(dict(type="PeakFinder", **options)).find(probs)


def bumps(points, shape=(40, 50), radius=6.0, height=1.0):
    """Cones of ``height`` at ``points``, the highest counts."""
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in shape), indexing="ij")
    out = torch.zeros(shape)
    for row, col in points:
        away = ((y - row) ** 2 + (x - col) ** 2).sqrt()
        out = torch.maximum(out, height * (1 - away / radius).clamp(min=0))
    return out


def disk(points, shape=(40, 50), radius=6, value=1.0):
    return (bumps(points, shape, radius + 1e-3) > 0).float() * value


def opened(gateways, shape):
    which = torch.arange(len(gateways))
    return gateways.open(which, torch.zeros(len(gateways), 2, dtype=torch.long), shape)


def touching(gates):
    """Whether two of bool (G, h, w) share a pixel or have neighbouring ones, corners included."""
    wide = torch.nn.functional.max_pool2d(gates[:, None].float(), 3, 1, 1)[:, 0].flatten(1)
    shared = wide @ gates.flatten(1).float().T
    return bool(shared.fill_diagonal_(0).any())


def test_components_of_the_filtered_map():
    """A 3 x 3 square and a 4 x 4 one; a lone pixel falls to the median, and a lone hole is filled."""
    probs = torch.zeros(20, 30)
    probs[2:5, 2:5] = 0.9
    probs[10:14, 10:14] = 0.8
    probs[11, 11] = 0.0
    probs[10, 25] = 1.0
    gateways = components(probs)
    assert len(gateways) == 2
    torch.testing.assert_close(gateways.points, torch.tensor([[3.0, 3.0], [11.5, 11.5]]))
    torch.testing.assert_close(gateways.probs, torch.tensor([0.9, 0.8]))
    gates = opened(gateways, (20, 30))
    assert gates.sum((1, 2)).tolist() == [5, 12]  # the median takes the corners
    assert gates[1, 11, 11] and not gates[:, 10, 25].any()


def test_components_join_at_corners():
    """Two squares that meet at a corner are one of 8-connected components (two of 4-connected ones)."""
    probs = torch.zeros(16, 16)
    probs[2:7, 2:7] = probs[7:12, 7:12] = 1.0
    gateways = components(probs, median=1)
    assert len(gateways) == 1
    torch.testing.assert_close(gateways.points, torch.tensor([[6.5, 6.5]]))
    probs[6, 6] = 0.5  # not above
    assert len(components(probs, median=1)) == 2


def test_peaks_best_first():
    probs = torch.maximum(bumps([(10, 10)], height=0.6), bumps([(25, 30)], height=0.9))
    probs = torch.maximum(probs, bumps([(10, 40)], height=0.05))
    gateways = peaks(probs, max_gates=100)
    assert gateways.points.tolist() == [[25, 30], [10, 10]]
    assert gateways.radius.tolist() == [3, 3]
    assert 0.5 < gateways.probs[0] < 0.9 and 0.3 < gateways.probs[1] < 0.6
    assert len(peaks(probs, 0.01, 3.0, 100)) == 3
    assert peaks(probs, 0.01, 3.0, 1).points.tolist() == [[25, 30]]


@pytest.mark.parametrize("radius", [1, 2, 4, 6, 9])
def test_a_flat_top_is_one_gateway_in_its_middle(radius):
    """A sure disk has probability 1 all over, whatever its size."""
    gateways = peaks(disk([(20, 25)], radius=radius), max_gates=100)
    assert gateways.points.tolist() == [[20, 25]] and gateways.radius.tolist() == [3]


def test_flat_tops_do_not_take_the_place_of_other_gateways():
    probs = torch.maximum(disk([(10, 10), (30, 10)]), disk([(20, 40)], value=0.7))
    gateways = peaks(probs, 0.1, 3.0, 3)
    assert gateways.points.tolist() == [[10, 10], [30, 10], [20, 40]]


@pytest.mark.parametrize("apart", [4, 5, 6, 7, 8, 12])
@pytest.mark.parametrize("slope", [0, 1])
def test_near_gateways_do_not_touch(apart, slope):
    second = (20 + slope * apart, 20 + apart)
    probs = bumps([(20, 20), second], radius=4)
    gateways = peaks(probs, max_gates=100)
    assert sorted(gateways.points.tolist()) == [[20, 20], list(map(float, second))]
    gates = opened(gateways, probs.shape)
    assert gates.flatten(1).any(1).all() and not touching(gates)


def test_of_two_peaks_within_the_radius_one_counts():
    probs = torch.zeros(20, 20)
    probs[10, 8] = probs[10, 10] = 1.0
    assert len(peaks(probs, 0.01, 3.0, 100)) == 1


@pytest.mark.parametrize("shape", [(33, 47), (1, 1), (5, 3)])
def test_none_at_all(shape):
    for gateways in (
        components(torch.zeros(shape)),
        peaks(torch.zeros(shape), max_gates=100),
    ):
        assert len(gateways) == 0 and gateways.points.shape == (0, 2)
        assert gateways.probs.shape == gateways.radius.shape == (0,)
        assert opened(gateways, shape).shape == (0, *shape)


def test_at_the_border_and_on_one_row():
    gateways = peaks(disk([(0, 0)]), max_gates=100)
    assert len(gateways) == 1 and (gateways.points[0] <= 3).all()
    assert len(peaks(torch.ones(1, 9), max_gates=100)) == 1


def every_pair(disk_probs, threshold, radius):
    """PeakFinder by the distances of all pairs."""
    smooth = disk_probs[None, None]
    for _ in range(2):
        smooth = torch.nn.functional.avg_pool2d(smooth, 3, 1, 1, count_include_pad=False)
    smooth = smooth.mul(1000).round() / 1000
    highest = torch.nn.functional.max_pool2d(smooth, 2 * int(radius) + 1, 1, int(radius))
    points = _middles(((smooth == highest) & (smooth >= threshold))[0, 0])
    probs, order = smooth[0, 0, points[:, 0], points[:, 1]].sort(descending=True, stable=True)
    points = points[order].float()
    away = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    kept = []
    for i in range(len(points)):
        if not (away[i, kept] < radius).any():
            kept.append(i)
    away = away[kept][:, kept].fill_diagonal_(float("inf"))
    return points[kept], ((away.amin(1) - 2) / 2).clamp(min=0, max=radius), probs[kept]


@pytest.mark.parametrize("radius", [1.0, 2.5, 3.0, 6.0])
@pytest.mark.parametrize("levels", [3, 1000])
def test_peaks_are_those_of_all_pairs(radius, levels):
    """Noise; of three levels, most of the map is flat and many peaks are near others of their height."""
    generator = torch.Generator().manual_seed(levels)
    probs = torch.randint(levels, (90, 110), generator=generator) / levels
    if levels == 3:
        probs = (probs > 0.6).float()
    gateways = peaks(probs, 0.1, radius)
    points, radii, heights = every_pair(probs, 0.1, radius)
    assert len(points) > 20 and gateways.limits == {}
    assert torch.equal(gateways.points, points) and torch.equal(gateways.radius, radii)
    assert torch.equal(gateways.probs, heights)
    ((text, left_out),) = peaks(probs, 0.1, radius, 7).limits.items()
    assert left_out >= len(points) - 7 and "max_gates=7 were not opened; set max_gates=None" in text


@pytest.mark.parametrize(
    "options", [dict(max_gates=0), dict(score_thr=1.5)], ids=lambda options: next(iter(options))
)
def test_wrong_arguments(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        TASK_UTILS.build(dict(type="PeakFinder", **options))
