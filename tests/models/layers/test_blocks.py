"""Blocks: shapes at odd sizes, hand-computed values, refused arguments."""

import pytest
import torch

from cellmm.models.layers import (
    ConvNormAct,
    ConvStack,
    QueryRefiner,
    SqueezeExcite,
    coordinate_channels,
    masked_average,
    norm_layer,
)


def test_squeeze_excite_scales_whole_channels():
    x = torch.rand(2, 16, 5, 7) + 0.1
    ratio = SqueezeExcite(16)(x) / x
    assert ratio.std((2, 3)).max() < 1e-6
    assert ((ratio > 0) & (ratio < 1)).all()


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (8, 8)])
def test_conv_blocks_keep_or_halve_the_size(size):
    x = torch.rand(2, 3, *size)
    block, halved = ConvStack(3, 8, norm="GN"), ConvNormAct(3, 8, kernel_size=5, stride=2, norm="GN")
    assert block(x).shape == (2, 8, *size)
    assert halved(x).shape == (2, 8, -(-size[0] // 2), -(-size[1] // 2))


def test_norm_layer_refuses_an_unknown_name():
    assert norm_layer("GN", 12).num_groups == 4
    with pytest.raises(ValueError, match="'BN', 'GN' or 'none'"):
        norm_layer("LN", 8)


def test_coordinates_are_minus_one_to_one_on_the_longer_side():
    x, y, xx, xy, yy = coordinate_channels(torch.zeros(1, 1, 3, 5), 2)[0]
    assert x[0].tolist() == [-1, -0.5, 0, 0.5, 1]
    assert y[:, 0].tolist() == [-0.5, 0, 0.5]
    assert xy[2, 4] == 0.5 and xx[0, 1] == 0.25 and yy[0, 0] == 0.25
    assert coordinate_channels(torch.zeros(2, 1, 3, 5), 0).shape == (2, 0, 3, 5)
    assert torch.isfinite(coordinate_channels(torch.zeros(1, 1, 1, 1), 2)).all()
    with pytest.raises(ValueError, match="0, 1 or 2"):
        coordinate_channels(torch.zeros(1, 1, 3, 5), 3)


def test_masked_average_is_the_weighted_mean_also_in_half_precision():
    weights = torch.tensor([[[[1.0, 3.0]]]])
    features = torch.tensor([[[[2.0, 6.0]], [[0.0, 4.0]]]])
    assert masked_average(weights, features).tolist() == [[[5.0, 3.0]]]
    tiny = masked_average(torch.full((1, 1, 64, 64), 1e-4).half(), torch.ones(1, 2, 64, 64).half())
    torch.testing.assert_close(tiny, torch.ones(1, 1, 2), rtol=1e-3, atol=0)
    assert torch.isfinite(masked_average(torch.zeros(1, 1, 4, 4), torch.ones(1, 2, 4, 4))).all()


def test_query_refiner_does_not_depend_on_the_order_of_the_queries():
    torch.manual_seed(0)
    refiner = QueryRefiner(dim=16, in_dim=6).eval()
    queries, masks, features = torch.rand(2, 5, 16), torch.rand(2, 5, 4, 4), torch.rand(2, 6, 4, 4)
    order = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(
        refiner(queries, masks, features)[:, order], refiner(queries[:, order], masks[:, order], features)
    )
