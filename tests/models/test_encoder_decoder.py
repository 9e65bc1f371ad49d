"""Encoder and decoder: shapes, strides and arguments."""

import pytest
import torch

from cellmm.models import feature_pyramid
from cellmm.registry import MODELS

WIDTHS = (4, 8, 12)


@pytest.mark.parametrize("stem_stride", [1, 2])
@pytest.mark.parametrize("norm", ["BN", "GN"])
def test_unet_there_and_back(stem_stride, norm):
    encoder = MODELS.build(
        dict(type="SEUNetEncoder", in_channels=2, widths=WIDTHS, stem_stride=stem_stride, norm=norm)
    )
    decoder = MODELS.build(dict(type="SEUNetDecoder", in_specs=encoder.out_specs, widths=(6, 10), norm=norm))
    assert encoder.out_specs == feature_pyramid(WIDTHS, stem_stride) and encoder.divisor == stem_stride * 4
    assert decoder.out_specs == feature_pyramid((6, 10, 12), stem_stride)
    down = encoder(torch.rand(2, 2, 24, 16))
    assert [tuple(f.shape) for f in down] == [
        (2, w, 24 // (stem_stride * 2**i), 16 // (stem_stride * 2**i)) for i, w in enumerate(WIDTHS)
    ]
    up = decoder(down)
    assert [f.shape[1] for f in up] == [6, 10, 12]
    assert [f.shape[-2:] for f in up] == [f.shape[-2:] for f in down]
    sum(f.sum() for f in up).backward()
    assert all(p.grad is not None for p in [*encoder.parameters(), *decoder.parameters()])


def test_se_blocks_stand_in_both_paths():
    encoder = MODELS.build(dict(type="SEUNetEncoder", widths=WIDTHS))
    decoder = MODELS.build(dict(type="SEUNetDecoder", in_specs=feature_pyramid(WIDTHS), widths=(6, 10)))
    for part, levels in ((encoder, 3), (decoder, 2)):
        assert sum(type(m).__name__ == "SqueezeExcite" for m in part.modules()) == levels


def test_bad_arguments():
    with pytest.raises(ValueError, match="stem_stride must be 1 or 2, got 4"):
        MODELS.build(dict(type="SEUNetEncoder", widths=WIDTHS, stem_stride=4))
    with pytest.raises(ValueError, match="one entry fewer"):
        MODELS.build(dict(type="SEUNetDecoder", in_specs=feature_pyramid(WIDTHS), widths=(6, 10, 12)))


@pytest.mark.parametrize("stem_stride", [1, 2])
def test_maps_without_padding_start_where_the_specs_say(stem_stride):
    """Convolutions that look at the middle alone: the first pixel of a map sees pixels of its block."""
    options = dict(padding="valid", norm="none", se=False, depth=1)
    encoder = MODELS.build(dict(type="SEUNetEncoder", widths=(1, 1, 1), stem_stride=stem_stride, **options))
    assert [spec.stride for spec in encoder.out_specs] == [stem_stride, 2 * stem_stride, 4 * stem_stride]
    assert encoder.divisor == 1
    image = torch.rand(1, 1, encoder.min_size, encoder.min_size + 3, requires_grad=True)
    for module in encoder.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.zeros_(module.weight)
            torch.nn.init.zeros_(module.bias)
            module.weight.data[:, 0, module.kernel_size[0] // 2, module.kernel_size[1] // 2] = 1
    for spec, feature in zip(encoder.out_specs, encoder(image), strict=True):
        (grad,) = torch.autograd.grad(feature[0, 0, 0, 0], image, retain_graph=True)
        row, col = grad[0, 0].nonzero()[0].tolist()  # of the pooled pixels the largest
        assert (
            spec.origin <= row < spec.origin + spec.stride and spec.origin <= col < spec.origin + spec.stride
        )
    with pytest.raises(RuntimeError):
        encoder(image[..., :-1, :])
