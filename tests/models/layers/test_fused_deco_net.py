"""FusedDecoNet draws the masks of its DecoNet, in blocks from the gateway on."""

import math

import pytest
import torch

from cellmm.models.layers import DecoNet
from cellmm.models.layers.fused import fold_norms
from cellmm.models.layers.fused_deco_net import BLOCK, EMPTY, FusedDecoNet
from cellmm.models.layers.patches import cut_patches
from cellmm.registry import MODELS

from .test_fused import with_statistics

CHANNELS = (5, 6, 7)


def build(**options):
    torch.manual_seed(0)
    form = dict(widths=(4, 6), norm="BN", padding="same", upsample="nearest", fine_skip=True)
    return with_statistics(MODELS.build(dict(dict(form, **options), type="DecoNet", in_channels=3)))


def open_gates(size, *places):
    """A disk of radius 2 in each window, cut by its border."""
    rows, cols = (torch.arange(side) for side in size)
    return torch.stack([(rows[:, None] - row) ** 2 + (cols - col) ** 2 <= 4 for row, col in places])


def both(net, size, gates, first, image, least):
    """Logits and coarsest maps of DecoNet and of its fused form, windows of two images."""
    maps = [torch.randn(2, c, 80 // 2**i, 96 // 2**i) for i, c in enumerate(CHANNELS)]
    features = torch.nn.Conv2d(CHANNELS[0], 3, 1)
    f = features(maps[0])
    windows = [cut_patches(maps[i], image, first // 2**i, [n // 2**i for n in size]) for i in net.levels]
    x = cut_patches(f, image, first, size) * gates[:, None]
    expected = net(x, windows)
    fold_norms(net)
    fused = FusedDecoNet(features, net)
    skips = windows[1:] if net.fine_skip else windows
    return expected, fused(maps[0], skips, image, first, gates, least)


@torch.no_grad()
@pytest.mark.parametrize("size", [(16, 16), (48, 32), (80, 96), (4, 8)])
def test_windows_that_share_a_convolution_are_padded_where_they_end(size):
    net = build(map_channels=CHANNELS)
    fold_norms(net)
    fused = FusedDecoNet(torch.nn.Conv2d(CHANNELS[0], 3, 1), net)
    maps = [torch.randn(1, c, 80 // 2**i, 96 // 2**i) for i, c in enumerate(CHANNELS)]
    first = torch.tensor([[0, 0], [80 - size[0], 96 - size[1]], [(80 - size[0]) // 8 * 4, 0]])
    image = torch.zeros(3, dtype=torch.long)
    gates = open_gates(size, *[(side // 2, size[1] // 2) for side in (size[0],) * 3])
    skips = [cut_patches(maps[i], image, first // 2**i, [n // 2**i for n in size]) for i in (1, 2)]
    apart = fused(maps[0], skips, image, first, gates, 1e-9)
    together = fused(maps[0], skips, image, first, gates, 1e-9, fused.share(maps[1]))
    for expected, found in zip(apart, together, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


FORMS = dict(
    ours={},
    no_fine_skip=dict(fine_skip=False),
    no_norm=dict(norm="none"),
    no_maps=dict(map_channels=(), fine_skip=False),
    one_level=dict(widths=(4,)),
    shallow=dict(depth=1),
    deep=dict(depth=3),
)


@torch.no_grad()
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [(16, 16), (48, 32), (36, 52), (80, 96), (4, 24)])
def test_everything_is_drawn_where_the_mask_has_no_end(form, size):
    net = build(**dict(dict(map_channels=CHANNELS), **FORMS[form]))
    assert FusedDecoNet.fits(net)
    height, width = size
    places = [(height // 2, width // 2), (0, 0), (height - 1, width - 1), (0, width // 2)]
    first = torch.tensor([[0, 0], [80 - height, 96 - width], [0, 0], [(80 - height) // 8 * 4, 0]]) // 4 * 4
    image = torch.tensor([0, 1, 0, 1])
    gates = open_gates(size, *places)
    (logits, coarsest), (drawn, fused_coarsest) = both(net, size, gates, first, image, least=1e-9)
    assert float(logits.min()) > -20
    torch.testing.assert_close(drawn, logits[:, 0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(fused_coarsest, coarsest, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_drawing_follows_the_mask():
    """With a threshold that some pixels pass: what is drawn is right, and is all that blocks can reach."""
    net = build(map_channels=CHANNELS)
    size, image, first = (80, 96), torch.tensor([0, 1]), torch.zeros(2, 2, dtype=torch.long)
    gates = open_gates(size, (30, 30), (70, 8))
    torch.manual_seed(3)
    net.logits.weight.data *= 3
    state = torch.get_rng_state()
    (logits, _), _ = both(net, size, gates, first, image, least=0.5)
    threshold = float(logits.flatten().quantile(0.9985))
    net = build(map_channels=CHANNELS)
    net.logits.weight.data *= 3
    torch.set_rng_state(state)
    (logits, _), (drawn, _) = both(net, size, gates, first, image, least=1 / (1 + math.exp(-threshold)))
    empty = drawn == EMPTY
    torch.testing.assert_close(drawn[~empty], logits[:, 0][~empty], atol=1e-4, rtol=1e-4)
    assert empty.any() and (~empty).sum() > 2 * 4 * BLOCK**2 / 2
    hot = (drawn > threshold)[:, None].float()
    reached = torch.nn.functional.max_pool2d(torch.maximum(hot, gates[:, None].float()), 3, 1, 1)[:, 0] > 0
    assert not (reached & empty).any()  # no block next to the mask is left out


def test_other_forms_stay_as_they_are():
    assert not FusedDecoNet.fits(build(map_channels=CHANNELS, norm="GN"))
    assert not FusedDecoNet.fits(build(map_channels=CHANNELS, upsample="deconv"))
    assert not FusedDecoNet.fits(DecoNet(3, (), widths=(4, 6)))
    assert not FusedDecoNet.fits(torch.nn.Identity())
