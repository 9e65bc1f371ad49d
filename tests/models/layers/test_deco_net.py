"""DecoNet: the published sizes, and where an impulse comes out."""

import pytest
import torch
from torch import nn

from cellmm.models.layers import DecoNet

NARROW = (2, 2, 2, 2)


def only_middle(net: nn.Module) -> None:
    """Every convolution hands on its first channel's middle pixel."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
            module.weight.data[:, 0, module.kernel_size[0] // 2, module.kernel_size[1] // 2] = 1


def hand_on(level: nn.Sequential, channel: int) -> None:
    """The first convolution of a block hands on this channel instead."""
    weight = level[0][0].weight.data
    weight[:, channel, 1, 1] = weight[:, 0, 1, 1]
    weight[:, 0] = 0


def lit(x: torch.Tensor) -> tuple[int, int, int, int]:
    """First and last row, first and last column of what is not zero in (1, 1, H, W): all of them must be."""
    rows, cols = x[0, 0].amax(1).nonzero().flatten(), x[0, 0].amax(0).nonzero().flatten()
    box = int(rows[0]), int(rows[-1]), int(cols[0]), int(cols[-1])
    assert (x[0, 0, box[0] : box[1] + 1, box[2] : box[3] + 1] == 1).all()
    return box


def alone(channels: int, size: int, y: int, x: int) -> torch.Tensor:
    image = torch.zeros(1, channels, size, size)
    image[:, :, y, x] = 1
    return image


def test_published_sizes():
    torch.manual_seed(0)
    net = DecoNet(64, (2, 2, 2, 2, 2), widths=NARROW)
    sizes = {}

    def note(name):
        def hook(module, args, out):
            sizes[name] = out.shape[-1]

        return hook

    net.stem.register_forward_hook(note("stem"))
    for way in ("down", "up"):
        for i, level in enumerate(getattr(net, way)):
            for j, conv in enumerate(level):
                conv.register_forward_hook(note(f"{way}{i}{j}"))
    for i, up in enumerate(net.upsamples):
        up.register_forward_hook(note(f"double{i}"))
    skips = [torch.rand(1, 2, n, n) for n in (208, 101, 48, 21)]
    with torch.no_grad():
        logits, coarsest = net(torch.rand(1, 64, 324, 324), skips)
    assert logits.shape == (1, 1, 132, 132) and coarsest.shape == (1, 2, 12, 12)
    assert [sizes["stem"]] + [sizes[f"down{i}1"] for i in range(4)] == [160, 156, 74, 33, 12]
    assert [sizes[f"double{i}"] for i in range(4)] == [24, 40, 72, 136]
    assert [sizes[f"up{i}1"] for i in range(4)] == [20, 36, 68, 132]
    assert net.crops == (4, 16, 40) and net.origin == 92 and net.multiple == 16


@pytest.mark.parametrize(("y", "x"), [(150, 160), (162, 202), (128, 184)])
def test_an_impulse_comes_out_where_the_origin_says(y, x):
    """Down by 16 and up again: a block of 16 pixels that holds (y, x)."""
    net = DecoNet(2, (), widths=NARROW, upsample="nearest")
    only_middle(net)
    top, bottom, left, right = lit(net(alone(2, 324, y, x))[0])
    assert bottom - top == right - left == 15
    assert top <= y - net.origin <= bottom and left <= x - net.origin <= right


@pytest.mark.parametrize("way_up", [0, 1, 2])
def test_own_skips_lie_where_the_rest_does(way_up):
    """An impulse by way of one skip only: a block of its stride that holds it, or, where the crops are not
    whole pixels, is less than one of them late."""
    net = DecoNet(2, (), widths=NARROW, upsample="nearest")
    only_middle(net)
    hand_on(net.up[way_up], 2)
    stride = 2 ** (3 - way_up)
    y, x = 150, 172
    top, bottom, left, right = lit(net(alone(2, 324, y, x))[0])
    assert bottom - top == right - left == stride - 1
    assert top - stride < y - net.origin <= bottom
    assert left - stride < x - net.origin <= right
    if way_up > 0:  # crops 16 and 40 are exact
        assert top <= y - net.origin and left <= x - net.origin


def test_without_padding_the_size_is_kept():
    torch.manual_seed(0)
    net = DecoNet(3, (2, 4, 5), widths=(6, 7), fine_skip=True, norm="BN", padding="same", upsample="nearest")
    x = torch.rand(2, 3, 12, 20)
    maps = [torch.rand(2, 2, 12, 20), torch.rand(2, 4, 6, 10), torch.rand(2, 5, 3, 5)]
    logits, coarsest = net(x, maps)
    assert net.levels == (0, 1, 2)
    assert logits.shape == (2, 1, 12, 20) and coarsest.shape == (2, 7, 3, 5)
    assert (net.origin, net.crops, net.multiple, net.coarsest_channels) == (0, (0,), 4, 7)
    logits.sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())


def test_no_window_at_all():
    net = DecoNet(3, (2, 4, 5, 9), widths=(6, 7), norm="BN", padding="same")
    assert net.levels == (1, 2)
    logits, coarsest = net(torch.rand(0, 3, 8, 8), [torch.rand(0, 4, 4, 4), torch.rand(0, 5, 2, 2)])
    assert logits.shape == (0, 1, 8, 8) and coarsest.shape == (0, 7, 2, 2)
    assert all(torch.isfinite(value).all() for value in net.state_dict().values())


def test_wrong_arguments():
    with pytest.raises(ValueError, match="4 widths, but 2 maps"):
        DecoNet(3, (2, 4, 5), widths=NARROW)
    for options in (dict(map_channels=(2,) * 5), dict(map_channels=(), padding="same")):
        with pytest.raises(ValueError, match="fine_skip needs padding='same' and maps"):
            DecoNet(3, widths=NARROW, fine_skip=True, **options)
