"""SEUNetDecoder: maps with the skips of their level."""

import torch

from cellmm.models import feature_pyramid
from cellmm.registry import MODELS


def build(**more):
    torch.manual_seed(0)
    return MODELS.build(
        dict(type="SEUNetDecoder", in_specs=feature_pyramid((3, 5, 7)), widths=(4, 6), **more)
    ).eval()


def test_skips_follow_the_maps_that_come_without_them():
    down = [torch.rand(1, c, 12 // 2**i, 8 // 2**i) for i, c in enumerate((3, 5, 7))]
    plain, kept = build(), build(keep_skips=True)
    assert plain.out_specs == feature_pyramid((4, 6, 7))
    assert kept.out_specs == feature_pyramid((7, 11, 7))
    for i, (without, with_skip) in enumerate(zip(plain(down), kept(down), strict=True)):
        expected = torch.cat([without, down[i]], 1) if i < 2 else down[2]
        torch.testing.assert_close(with_skip, expected)
        assert with_skip.shape[1] == kept.out_specs[i].channels
