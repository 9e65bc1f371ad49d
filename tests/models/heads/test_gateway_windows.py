"""Windows grow until masks fit; the work is bounded, and what a net that has learned gives stays."""

import pytest
import torch

from cellmm.models.feature_spec import feature_pyramid
from cellmm.models.heads.gateway_windows import is_cut
from cellmm.models.heads.gateways import Gateways
from cellmm.registry import MODELS, TASK_UTILS

CHANNELS = (5, 6, 7)


def build(finder=(), **windows):
    torch.manual_seed(0)
    return MODELS.build(
        dict(
            type="GatewayHead",
            in_specs=feature_pyramid(CHANNELS),
            feature_channels=4,
            mask_decoder=dict(type="DecoNet", widths=(4, 6), norm="BN", padding="same", upsample="nearest"),
            finder=dict(type="PeakFinder", **dict(finder)),
            windows=dict(dict(type="GrowingWindows", size=16), **windows),
        )
    ).eval()


def windows(**options):
    return TASK_UTILS.build(dict(dict(type="GrowingWindows", multiple=4, size=16), **options))


def grid(shape, step):
    """Points on a grid, at least half a step from the border."""
    rows, cols = (torch.arange(step // 2, n - step // 2 + 1, step) for n in shape)
    return torch.cartesian_prod(rows, cols).float()


def found(points, probs=0.9):
    probs = torch.as_tensor(probs, dtype=torch.float32).expand(len(points)).clone()
    return Gateways(points, torch.full((len(points),), 2.0), probs)


def run(windows, gateways, shape, half):
    """``decode_each`` where gateway g draws a rectangle of ``half[g]`` (rows, columns) to each side.

    -> what it gives, and the pixels that went through DecoNet.
    """
    pixels = []

    def decode(which, first, gates):
        size = gates.shape[-2:]
        pixels.append(gates.numel())
        out = torch.full(gates.shape, 0.002)
        for k, g in enumerate(which.tolist()):
            row, col = (gateways.points[g] - first[k]).tolist()
            y, x = (torch.arange(n) for n in size)
            inside = ((y - row).abs() <= half[g][0])[:, None] & ((x - col).abs() <= half[g][1])
            out[k, inside] = 0.998
        return out, first, (out > 0.5).flatten(1).any(1) * 0.998

    return windows.decode_each(gateways, shape, decode, mask_thr=0.5, score_thr=0.05), sum(pixels)


def left_out(drawn):
    return sum(drawn.limits.values())


def same(a, b):
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("step", [7, 8, 12])
def test_masks_without_end_cost_three_times_those_of_a_net_that_has_learned(step):
    """A map of 128 x 128 pixels with 14 cells, as of the quick start; a net that has not learned sees disks
    all over, and its masks have no end: unbounded that takes a hundred times the work."""
    shape = (128, 128)
    points = grid(shape, 32)[:14]
    _, learned = run(windows(size=64), found(points), shape, [(12, 9)] * 14)
    assert learned == 14 * 64 * 64
    many = grid(shape, step)
    drawn, weak = run(windows(size=64), found(many, 0.4), shape, [(199, 199)] * len(many))
    assert weak <= 3 * learned
    assert left_out(drawn) > len(many) / 2
    kept = [mask for mask in drawn.probs if mask.numel()]
    assert len(kept) == len(many) - left_out(drawn) and {mask.shape for mask in kept} <= {
        shape
    }  # none is cut
    everything, unbounded = run(
        windows(size=64, patience=None), found(many, 0.4), shape, [(199, 199)] * len(many)
    )
    assert unbounded > 10 * weak and left_out(everything) == 0


@pytest.mark.parametrize("bias", [-3.0, 0.0, 3.0])
def test_a_head_with_random_weights_is_bounded(bias):
    """Of the real nets: at most 16 windows and all of F, and one and a half times what gave masks."""
    head = build(finder=dict(score_thr=0.0))
    head.mask_decoder.logits.bias.data += bias
    pixels, decode = [], head.decode_windows
    head.decode_windows = lambda features, f, image, first, gates: (
        pixels.append(gates.numel()) or decode(features, f, image, first, gates)
    )
    maps = [torch.randn(1, c, 192 // 2**i, 192 // 2**i) for i, c in enumerate(CHANNELS)]
    with torch.no_grad():
        probs = 1 - head(maps)["disk_logits"].softmax(1)[0, 0]
        out = head.predict(maps, [None])[0]
    number = len(head.finder.find(probs))
    assert number > 300
    assert sum(pixels) <= 16 * 16 * 16 + 192 * 192 + number / 2 * 16 * 16
    ((text, left),) = out.limits.items()
    assert left > 0 and "{} gateways were not opened" in text and "patience=None" in text


def test_a_thousand_cells_that_are_found_are_all_looked_at():
    points = grid((256, 256), 8)
    assert len(points) == 1024
    half = [(2, 3)] * len(points)
    drawn, pixels = run(windows(), found(points), (256, 256), half)
    assert left_out(drawn) == 0 and pixels == 1024 * 16 * 16
    everything, _ = run(windows(patience=None), found(points), (256, 256), half)
    assert same(drawn.probs, everything.probs) and torch.equal(drawn.scores, everything.scores)


def test_doubtful_gateways_that_give_nothing_end_only_their_like():
    """40 cells, and 100 less probable places that give no mask: 16 windows, 16 as large as the map, 20."""
    points = grid((64, 64), 5)[:140]
    probs = torch.cat([torch.full((40,), 0.9), torch.full((100,), 0.2)])
    half = [(2, 2)] * 40 + [(-1, -1)] * 100
    for batch_size in (1, 16, 500):
        drawn, _ = run(windows(batch_size=batch_size), found(points, probs), (64, 64), half)
        assert all(mask.numel() for mask in drawn.probs[:40])
        assert left_out(drawn) == 100 - 16 - 16 - 20


@pytest.mark.parametrize("order", [1, -1])
def test_long_cells_may_grow(order):
    """Twelve cells that are longer than the window, seven of them longer than the next: all get drawn."""
    shape = (160, 96)
    points = torch.tensor([[6.0 + 12 * i, 48.0] for i in range(12)])
    half = ([(2, 12)] * 5 + [(2, 30)] * 7)[::order]
    drawn, pixels = run(windows(), found(points), shape, half)
    assert left_out(drawn) == 0
    assert [mask.shape[1] for mask in drawn.probs] == ([32] * 5 + [64] * 7)[::order]
    everything, all_pixels = run(windows(patience=None), found(points), shape, half)
    assert pixels == all_pixels and same(drawn.probs, everything.probs)


def test_without_patience_no_work_is_counted(monkeypatch):
    monkeypatch.setattr("cellmm.models.heads.gateway_windows.DecodingBudget", None)
    points = grid((64, 64), 16)
    drawn, _ = run(windows(patience=None), found(points), (64, 64), [(3, 4)] * len(points))
    assert left_out(drawn) == 0 and all(prob.numel() for prob in drawn.probs)


def test_nothing_changes_the_order_of_what_is_returned():
    """Components come by their place, and are looked at by their probability."""
    points = grid((64, 64), 16)
    probs = torch.linspace(0.6, 0.9, len(points))
    half = [(2 + i % 4, 3) for i in range(len(points))]
    drawn, _ = run(windows(batch_size=2), found(points, probs), (64, 64), half)
    for mask, (rows, cols) in zip(drawn.probs, half, strict=True):
        assert int((mask > 0.5).sum()) == (2 * rows + 1) * (2 * cols + 1)


def test_gateways_beyond_max_gates_are_counted():
    head = build(finder=dict(max_gates=3, score_thr=0.0))
    maps = [torch.randn(1, c, 64 // 2**i, 64 // 2**i) for i, c in enumerate(CHANNELS)]
    head.decode_windows = lambda features, f, image, first, gates: (
        torch.zeros(len(gates), *gates.shape[-2:]),
        torch.zeros(len(gates), 6, 1, 1),
    )
    with torch.no_grad():
        probs = 1 - head(maps)["disk_logits"].softmax(1)[0, 0]
        reached = head.predict(maps, [None])[0].limits
    ((text, left),) = reached.items()
    head.finder.max_gates = None
    assert left > 3 and "max_gates=3" in text and "set max_gates=None" in text
    assert len(head.finder.find(probs)) <= left + 3


@pytest.mark.parametrize(("top", "expected"), [(0, False), (8, True), (16, False)])
def test_masks_at_a_border_of_the_map_are_whole(top, expected):
    """A window of 16 rows on a map of 32: its upper border is the map's at 0, its lower one at 16."""
    masks = torch.zeros(1, 16, 32, dtype=torch.bool)
    masks[:, :8] = True
    if top == 16:
        masks = masks.flip(1)
    assert is_cut(masks, torch.tensor([[top, 0]]), (16, 32), (32, 32)).tolist() == [expected]
