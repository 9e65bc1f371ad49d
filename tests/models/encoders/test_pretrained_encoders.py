"""Encoders that start from the files of torchvision and of timm."""

import sys

import pytest
import timm
import torch
from torchvision.models import vgg

from cellmm.engine.checkpoints import fit_start_weights, load_start_weights
from cellmm.errors import CellMMError
from cellmm.models import feature_pyramid
from cellmm.registry import MODELS

TIMM = dict(type="TimmEncoder", name="resnet10t")


def model(encoder, channels=1, widths=(4, 4, 4, 4), **more):
    return MODELS.build(
        dict(
            type="CellSegmentor",
            data_preprocessor=dict(type="CellDataPreprocessor", in_channels=channels),
            encoder=encoder,
            decoder=dict(type="SEUNetDecoder", widths=widths),
            heads=dict(cells=dict(type="SemanticHead", target="cytoplasm")),
            instance_head=None,
            postprocess=None,
            **more,
        )
    )


def vgg_file(norm):
    """What a file of torchvision holds: the layers, and a classifier that has no place here."""
    torch.manual_seed(7)
    layers = vgg.make_layers(vgg.cfgs["A"], batch_norm=norm)
    state = {f"features.{name}": value for name, value in layers.state_dict().items()}
    return layers, {**state, "classifier.0.weight": torch.ones(2, 2)}


@pytest.mark.parametrize("norm", ["BN", "none"])
def test_vgg_gives_the_maps_of_torchvision_before_each_pooling(norm):
    layers, state = vgg_file(norm == "BN")
    whole = model(dict(type="VGGEncoder", depth="vgg11", norm=norm), channels=3)
    start = fit_start_weights(whole, state, "vgg11.pth")
    load_start_weights(whole, start, "vgg11.pth")
    assert start.left_out == ["classifier.0.weight"] and start.channels is None
    encoder = whole.encoder.eval()
    assert encoder.out_specs == feature_pyramid((64, 128, 256, 512, 512))
    image = torch.rand(1, 3, 64, 32)
    maps = encoder(image)
    assert [tuple(x.shape[-2:]) for x in maps] == [(64 // 2**i, 32 // 2**i) for i in range(5)]
    assert torch.allclose(layers.eval()(image), torch.max_pool2d(maps[-1], 2), atol=1e-5)
    encoder.fuse_for_inference()
    for one, other in zip(maps, encoder(image), strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_the_first_convolution_is_made_for_the_channels_of_the_images():
    _, state = vgg_file(True)
    whole = model(dict(type="VGGEncoder", depth="vgg11"), channels=1, frozen=["encoder"])
    start = fit_start_weights(whole, state, "vgg11.pth")
    load_start_weights(whole, start, "vgg11.pth")  # all that is frozen is filled
    assert start.channels == (3, 1) and any("3 channels" in line for line in start.lines())
    first = whole.encoder.features[0].weight
    assert torch.allclose(first, state["features.0.weight"].sum(1, keepdim=True))
    assert not first.requires_grad and not whole.train().encoder.training


def test_a_file_of_timm_fills_its_encoder():
    torch.manual_seed(3)
    net = timm.create_model("resnet10t", pretrained=False)
    whole = model(TIMM, channels=3)
    start = fit_start_weights(whole, net.state_dict(), "resnet10t.pth")
    assert start.left_out == ["fc.bias", "fc.weight"]
    assert {name for name in whole.state_dict() if name.startswith("encoder.")} <= start.weights.keys()
    load_start_weights(whole, start, "resnet10t.pth")
    image = torch.rand(1, 3, 64, 32)
    maps = whole.encoder.eval()(image)
    assert torch.allclose(maps[-1], net.eval().forward_features(image), atol=1e-5)
    assert [tuple(x.shape[1:]) for x in maps] == [
        (spec.channels, 64 // spec.stride, 32 // spec.stride) for spec in whole.encoder.out_specs
    ]


def test_names_of_stages_that_timm_joins():
    net = timm.create_model("convnext_atto", pretrained=False)
    whole = model(dict(type="TimmEncoder", name="convnext_atto", stages=(0, 1)), channels=2, widths=(4,))
    start = fit_start_weights(whole, net.state_dict(), "convnext_atto.pth")
    assert {name for name in whole.state_dict() if name.startswith("encoder.")} <= start.weights.keys()
    assert start.channels == (3, 2)


def test_what_cannot_be_an_encoder_is_refused(monkeypatch):
    for config in (
        dict(type="VGGEncoder", depth="vgg12"),
        dict(type="VGGEncoder", norm="GN"),
        dict(TIMM, name="resnet999"),
        dict(TIMM, stages=(9,)),
    ):
        with pytest.raises(CellMMError, match=f"{config['type']}: "):
            MODELS.build(config)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(CellMMError, match=r"encoders of timm need timm: .*\[timm\]"):
        MODELS.build(TIMM)
