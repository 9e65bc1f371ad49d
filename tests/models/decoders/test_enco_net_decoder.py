"""EncoNet: published sizes, number of parameters, initialisation, and where an impulse comes out."""

import pytest
import torch
from torch import nn

from cellmm.models import FeatureSpec, feature_pyramid
from cellmm.models.layers import DecoNet
from cellmm.registry import MODELS

ENCODER = dict(type="SEUNetEncoder", stem_stride=2, se=False, norm="none", padding="valid")
MSRA = dict(
    type="Kaiming",
    layer=["Conv2d", "ConvTranspose2d"],
    distribution="normal",
    mode="fan_in",
    nonlinearity="relu",
)


def enco_net(widths=(2, 2, 2, 2), up_widths=(2, 2, 2, 2), in_channels=1, **options):
    encoder = MODELS.build(dict(ENCODER, widths=widths, in_channels=in_channels))
    decoder = dict(type="EncoNetDecoder", in_specs=encoder.out_specs, widths=up_widths, **options)
    return encoder, MODELS.build(decoder)


def published():
    encoder, decoder = enco_net((64, 128, 256, 512), (64, 64, 128, 256), in_channels=3)
    head = dict(
        type="GatewayHead",
        in_specs=decoder.out_specs,
        mask_decoder=dict(type="DecoNet", widths=(32, 64, 128, 256)),
        windows=dict(type="GrowingWindows", size=324),
    )
    return encoder, decoder, MODELS.build(head)


def only_middle(net: nn.Module) -> None:
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
            module.weight.data[:, 0, module.kernel_size[0] // 2, module.kernel_size[1] // 2] = 1


def lit(x: torch.Tensor) -> tuple[int, int, int, int]:
    rows, cols = x[0, 0].amax(1).nonzero().flatten(), x[0, 0].amax(0).nonzero().flatten()
    return int(rows[0]), int(rows[-1]), int(cols[0]), int(cols[-1])


@torch.no_grad()
def test_published_sizes():
    encoder, decoder = enco_net()
    maps = encoder(torch.rand(1, 1, 516, 516))
    assert [fmap.shape[-1] for fmap in maps] == [252, 122, 57, 24]
    out = decoder(maps)
    assert [fmap.shape[-1] for fmap in out] == [324, 252 - 44, 122 - 21, 57 - 9, 24 - 3]
    assert decoder.crops == (44, 21, 9, 3) and decoder.out_specs[0] == FeatureSpec(2, 1, 92)
    for fmap, whole, crop in zip(out[1:], maps, decoder.crops, strict=True):
        assert torch.equal(fmap, whole[..., crop:, crop:])


@torch.no_grad()
@pytest.mark.parametrize(("y", "x"), [(250, 260), (302, 212)])
def test_an_impulse_comes_out_where_the_origin_says(y, x):
    encoder, decoder = enco_net(upsample="nearest")
    only_middle(encoder)
    only_middle(decoder)
    image = torch.zeros(1, 1, 516, 516)
    image[0, 0, y, x] = 1
    top, bottom, left, right = lit(decoder(encoder(image))[0])
    assert bottom - top == right - left == 15
    assert (
        top <= y - decoder.out_specs[0].origin <= bottom and left <= x - decoder.out_specs[0].origin <= right
    )


@torch.no_grad()
@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_skips_between_the_nets_lie_where_f_does(level):
    """An impulse of the image by way of one skip into DecoNet's mask. 44 and 21 are exact; 9 for 9.5 and 3
    for 3.75 are late by less than a pixel of their map."""
    encoder, decoder = enco_net(upsample="nearest")
    deco_net = DecoNet(2, (2, 2, 2, 2, 2), widths=(2, 2, 2, 2), upsample="nearest")
    for net in (encoder, decoder, deco_net):
        only_middle(net)
    weight = deco_net.down[level][0][0].weight.data
    weight[:, 2, 1, 1] = 1
    weight[:, 0] = 0
    y, x = 252, 276
    image = torch.zeros(1, 1, 516, 516)
    image[0, 0, y, x] = 1
    f, *skips = decoder(encoder(image))
    top, bottom, left, right = lit(deco_net(f, skips)[0])
    late = (0, 0, 7, 15)[level]
    origin = decoder.out_specs[0].origin + deco_net.origin
    assert bottom - top == right - left == 15
    assert top - late <= y - origin <= bottom and left - late <= x - origin <= right


@torch.no_grad()
@pytest.mark.parametrize("size", [(517, 530), (540, 523)])
def test_odd_sizes_start_at_the_same_place(size):
    """What lies at the bottom right does not change what F says at the top left."""
    torch.manual_seed(0)
    encoder, decoder = enco_net()
    image = torch.rand(1, 1, *size)
    f = decoder(encoder(image))[0]
    small = decoder(encoder(image[..., :516, :516]))[0]
    assert f.shape[-2] >= 324 and f.shape[-1] >= 324
    torch.testing.assert_close(f[..., :324, :324], small)


def test_padding_keeps_the_size_and_everything_learns():
    torch.manual_seed(0)
    encoder = MODELS.build(dict(ENCODER, widths=(3, 4), padding="same", norm="BN"))
    decoder = MODELS.build(
        dict(type="EncoNetDecoder", in_specs=encoder.out_specs, widths=(5, 6), padding="same", norm="BN")
    )
    out = decoder(encoder(torch.rand(2, 1, 20, 12)))
    assert [tuple(fmap.shape[1:]) for fmap in out] == [(5, 20, 12), (3, 10, 6), (4, 5, 3)]
    assert decoder.out_specs == (FeatureSpec(5, 1), FeatureSpec(3, 2), FeatureSpec(4, 4))
    assert decoder.crops == (0, 0) and encoder.divisor == 4
    out[0].sum().backward()
    assert all(p.grad is not None for net in (encoder, decoder) for p in net.parameters())


def test_number_of_parameters():
    """9 C C' + C' a 3x3 convolution, 4 C C' + C' a doubling, 25 C C' + C' a stem."""
    with torch.device("meta"):
        encoder, decoder, head = published()
    counts = [sum(p.numel() for p in net.parameters()) for net in (encoder, decoder, head.mask_decoder)]
    down = 4864 + 2 * 36928 + (73856 + 147584) + (295168 + 590080) + (1180160 + 2359808)
    up = (524544 + 2 * 590080) + (131200 + 2 * 147584) + (32832 + 2 * 36928) + (16448 + 2 * 36928)
    assert counts[:2] == [down, up] == [4725376, 2328064]
    # DecoNet's blocks of the way down take their own 32, 32, 64, 128 and 64, 128, 256, 512 channels
    deco = 51232 + (27680 + 9248) + (92224 + 36928) + (368768 + 147584) + (1474816 + 590080)
    deco += (131200 + 295040 + 147584) + (32832 + 73792 + 36928) + (8224 + 18464 + 9248)
    deco += (4128 + 9248 + 9248) + 33
    assert counts[2] == deco
    assert sum(p.numel() for p in head.parameters()) - deco == 64 * 64 + 64 + 64 * 2 + 2


def test_msra_initialisation():
    """Variance 2 / fan_in, biases 0: 5 x 5 x 3 inputs of the stem, 9 x 128 and 4 x 64 later."""
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type="CellSegmentor",
            init_cfg=MSRA,
            data_preprocessor=dict(type="CellDataPreprocessor", in_channels=3),
            encoder=dict(ENCODER, widths=(64, 128)),
            decoder=dict(type="EncoNetDecoder", widths=(32, 64)),
            heads=dict(
                instances=dict(
                    type="GatewayHead",
                    feature_channels=16,
                    mask_decoder=dict(type="DecoNet", widths=(32, 64)),
                )
            ),
        )
    )
    model.init_weights()
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert all((m.bias == 0).all() for m in convolutions)
    deco_net = model.heads["instances"].mask_decoder
    for conv, fan_in in [
        (model.encoder.stem[0], 75),
        (model.encoder.levels[1][1][0], 9 * 128),
        (model.decoder.levels[0][0][0], 9 * 64),
        (model.decoder.upsamples[0].up, 4 * 64),  # as Caffe counts a deconvolution: outputs
        (deco_net.down[0][0][0], 9 * (32 + 64)),
        (deco_net.up[0][0][0], 9 * (32 + 32)),
    ]:
        assert conv.weight.var().item() == pytest.approx(2 / fan_in, rel=0.06)
        assert abs(conv.weight.mean().item()) < 0.1 * (2 / fan_in) ** 0.5


def test_as_many_widths_as_maps():
    with pytest.raises(ValueError, match="as many entries"):
        MODELS.build(dict(type="EncoNetDecoder", in_specs=feature_pyramid((2, 2), 2), widths=(2, 2, 2)))
