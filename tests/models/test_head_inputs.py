"""Which decoder's maps a head takes."""

from dataclasses import replace

import pytest
import torch

from cellmm.errors import CellMMError
from cellmm.models import FeatureSpec, feature_pyramid
from cellmm.models.head_inputs import HeadInputs

CHANNELS = dict(cells=(2, 3), overlap=(4, 5))
SPECS = {name: feature_pyramid(channels, 2) for name, channels in CHANNELS.items()}


def test_one_decoder():
    inputs, maps = HeadInputs(SPECS["cells"], dict(a=None)), [torch.rand(1, 2, 4, 4)]
    assert inputs.specs("a") == SPECS["cells"] and inputs.features("a", maps) is maps
    with pytest.raises(CellMMError, match="model.heads.a.reads: the model has one decoder"):
        HeadInputs(SPECS["cells"], dict(a="cells"))


def test_a_head_that_reads_the_image():
    inputs = HeadInputs(SPECS["cells"], dict(a=None, b=None), with_image=["b"], image=FeatureSpec(3))
    assert inputs.specs("a") == SPECS["cells"] and inputs.specs("b") == (FeatureSpec(3), *SPECS["cells"])
    maps, images = [torch.rand(1, 2, 4, 4)], torch.rand(1, 3, 8, 8)
    assert inputs.features("a", maps, images) is maps
    first, *rest = inputs.features("b", maps, images)
    assert first is images and rest[0] is maps[0] and len(rest) == 1
    with pytest.raises(ValueError, match="the head 'b' reads the images, and none are given"):
        inputs.features("b", maps)


def test_by_the_heads_name_by_another_and_by_a_list():
    inputs = HeadInputs(SPECS, dict(overlap=None, a="cells", b=["overlap", "cells"]))
    assert inputs.specs("overlap") == SPECS["overlap"] and inputs.specs("a") == SPECS["cells"]
    assert inputs.specs("b") == feature_pyramid((6, 8), 2)
    maps = {
        name: [torch.rand(1, c, 4 // 2**i, 4 // 2**i) for i, c in enumerate(channels)]
        for name, channels in CHANNELS.items()
    }
    assert inputs.features("overlap", maps) is maps["overlap"] and inputs.features("a", maps) is maps["cells"]
    for both, overlap, cells in zip(inputs.features("b", maps), maps["overlap"], maps["cells"], strict=True):
        assert torch.equal(both, torch.cat([overlap, cells], 1))


@pytest.mark.parametrize(
    ("reads", "says"),
    [
        (dict(a=None), "model.heads.a.reads: there is no decoder 'a'; the decoders are .'cells', 'overlap'."),
        (dict(a=["cells", "overlp"]), "no decoder 'overlp'; the decoders are .'cells', 'overlap'."),
        (dict(a=[]), "model.heads.a.reads: empty; the decoders are"),
        (dict(a="cells"), "model.decoder.decoders.overlap: no head reads it"),
    ],
)
def test_what_does_not_fit_is_named(reads, says):
    with pytest.raises(CellMMError, match=says):
        HeadInputs(SPECS, reads)


def test_different_numbers_of_maps():
    with pytest.raises(CellMMError, match="a.reads: x, y give different numbers of maps"):
        HeadInputs(dict(x=feature_pyramid((2,)), y=feature_pyramid((2, 3))), dict(a=["x", "y"]))


def test_maps_that_lie_differently():
    says = "a.reads: the maps of x, y lie differently: x at stride 1 from pixel 0, y at stride {}; read one"
    x = feature_pyramid((2, 3))
    with pytest.raises(CellMMError, match=says.format("2 from pixel 0")):
        HeadInputs(dict(x=x, y=feature_pyramid((2, 3), 2)), dict(a=["x", "y"]))
    with pytest.raises(CellMMError, match=says.format("1 from pixel 92")):
        shifted = tuple(replace(spec, origin=92) for spec in x)
        HeadInputs(dict(x=x, y=shifted), dict(a=["x", "y"]))
    with pytest.raises(CellMMError, match="x at stride 2 from pixel 0, y at stride 3 from pixel 0"):
        HeadInputs(dict(x=x, y=(x[0], replace(x[1], stride=3))), dict(a=["x", "y"]))
