"""Encoder and decoder: shapes, strides and arguments."""

import pytest
import torch

from cellmm.registry import MODELS

WIDTHS = (4, 8, 12)


@pytest.mark.parametrize("stem_stride", [1, 2])
@pytest.mark.parametrize("norm", ["BN", "GN"])
def test_unet_there_and_back(stem_stride, norm):
    encoder = MODELS.build(
        dict(type="SEUNetEncoder", in_channels=2, widths=WIDTHS, stem_stride=stem_stride, norm=norm)
    )
    decoder = MODELS.build(
        dict(type="SEUNetDecoder", in_channels=encoder.out_channels, widths=(6, 10), norm=norm)
    )
    assert encoder.stride == stem_stride * 4
    down = encoder(torch.rand(2, 2, 24, 16))
    assert [tuple(f.shape) for f in down] == [
        (2, w, 24 // (stem_stride * 2**i), 16 // (stem_stride * 2**i)) for i, w in enumerate(WIDTHS)
    ]
    up = decoder(down)
    assert [f.shape[1] for f in up] == list(decoder.out_channels) == [6, 10, 12]
    assert [f.shape[-2:] for f in up] == [f.shape[-2:] for f in down]
    sum(f.sum() for f in up).backward()
    assert all(p.grad is not None for p in [*encoder.parameters(), *decoder.parameters()])


def test_se_blocks_stand_in_both_paths():
    encoder = MODELS.build(dict(type="SEUNetEncoder", widths=WIDTHS))
    decoder = MODELS.build(dict(type="SEUNetDecoder", in_channels=WIDTHS, widths=(6, 10)))
    for part, levels in ((encoder, 3), (decoder, 2)):
        assert sum(type(m).__name__ == "SqueezeExcite" for m in part.modules()) == levels


def test_bad_arguments():
    with pytest.raises(ValueError, match="stem_stride must be 1 or 2, got 4"):
        MODELS.build(dict(type="SEUNetEncoder", widths=WIDTHS, stem_stride=4))
    with pytest.raises(ValueError, match="one entry fewer"):
        MODELS.build(dict(type="SEUNetDecoder", in_channels=WIDTHS, widths=(6, 10, 12)))
