"""SEUNetDecoder: maps with the skips of their level, and how they are upsampled."""

import copy

import pytest
import torch

from cellmm.models import FeatureSpec, feature_pyramid
from cellmm.models.layers.fused import fold_norms
from cellmm.registry import MODELS


def build(**more):
    torch.manual_seed(0)
    return MODELS.build(
        dict(type="SEUNetDecoder", in_specs=feature_pyramid((3, 5, 7)), widths=(4, 6)) | more
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


def test_the_finest_maps_may_stay_the_encoders():
    down = [torch.rand(1, c, 12 // 2**i, 8 // 2**i) for i, c in enumerate((3, 5, 7))]
    decoder = build(widths=(6,), num_skips=1)
    assert decoder.out_specs == feature_pyramid((3, 6, 7))
    found = decoder(down)
    assert found[0] is down[0] and [level.shape[1] for level in found] == [3, 6, 7]
    fused = copy.deepcopy(decoder)
    fold_norms(fused)
    fused.fuse_for_inference()
    for level, other in zip(found, fused(down), strict=True):
        torch.testing.assert_close(other, level)
    with pytest.raises(ValueError, match="widths must have .* besides 1 of num_skips"):
        build(num_skips=1)


def test_transposed_convolutions_upsample_by_learned_weights():
    """A pixel of 3 becomes 2x2 pixels of 3 times the kernel; the convolutions after it pass them on."""
    decoder = MODELS.build(
        dict(
            type="SEUNetDecoder",
            in_specs=feature_pyramid((1, 1)),
            widths=(1,),
            depth=1,
            norm="none",
            se=False,
            upsample="deconv",
        )
    )
    for parameter in decoder.parameters():
        torch.nn.init.zeros_(parameter)
    decoder.upsamples[0].up.weight.data[0, 0] = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    decoder.levels[0][0][0].weight.data[0, 1, 1, 1] = 1  # the middle of the upsampled map, after the skip
    fine, _ = decoder([torch.zeros(1, 1, 2, 2), torch.full((1, 1, 1, 1), 3.0)])
    assert fine[0, 0].tolist() == [[3, 6], [9, 12]]


def test_transposed_convolutions_learn_and_predict_the_same_when_fused():
    decoder = build(upsample="deconv")
    assert decoder.out_specs == build().out_specs
    assert [up.up.weight.shape[:2] for up in decoder.upsamples] == [(6, 4), (7, 6)]
    for size in ((12, 8), (11, 5)):  # an encoder that rounds odd sides up
        down = [torch.rand(1, c, *(-(-side // 2**i) for side in size)) for i, c in enumerate((3, 5, 7))]
        expected = decoder(down)
        assert [level.shape[-2:] for level in expected] == [level.shape[-2:] for level in down]
        fused = copy.deepcopy(decoder)
        fold_norms(fused)
        fused.fuse_for_inference()
        torch.testing.assert_close(fused(down), expected)
    sum(level.sum() for level in expected).backward()
    assert all(p.grad is not None for p in decoder.parameters())


def test_what_cannot_be_upsampled_is_refused():
    with pytest.raises(ValueError, match="doubles maps, but the encoder's have strides .1, 4."):
        MODELS.build(
            dict(
                type="SEUNetDecoder",
                in_specs=(FeatureSpec(3, 1), FeatureSpec(5, 4)),
                widths=(4,),
                upsample="deconv",
            )
        )
    with pytest.raises(ValueError, match="upsample must be 'deconv' or 'nearest', got 'linear'"):
        build(upsample="linear")
