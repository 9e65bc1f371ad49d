"""What follows from other parts is filled in; what contradicts it is one line."""

import pytest
import torch
import torchvision
from mmengine.registry import Registry
from torch import nn

from cellmm.errors import CellMMError
from cellmm.models import FeatureSpec, feature_pyramid
from cellmm.models.derive import argument_of, build_derived, build_part
from cellmm.registry import MODELS

PARTS = Registry("parts")


@PARTS.register_module()
class Wide:
    def __init__(self, in_channels, widths=(2, 4)):
        self.in_channels, self.widths = in_channels, widths


@PARTS.register_module()
class Wider(Wide):
    def __init__(self, factor=2, **kwargs):
        super().__init__(**kwargs)


@PARTS.register_module()
class Alone:
    pass


def test_what_a_constructor_names_is_filled_in():
    for kind in ("Wide", "Wider", Wide):
        part = build_derived(PARTS, dict(type=kind, widths=(3,)), "model.a", in_channels=5, stride=2)
        assert (part.in_channels, part.widths) == (5, (3,))
    assert isinstance(build_derived(PARTS, dict(type="Alone"), "model.a", in_channels=5), Alone)
    with pytest.raises(TypeError, match="in_channels"):
        build_derived(PARTS, dict(type="Wide"), "model.a", in_channels=None)


@PARTS.register_module()
class Gray(Wide):
    """Gives the derived argument itself."""

    def __init__(self, **kwargs):
        super().__init__(in_channels=1, **kwargs)


def test_what_a_class_gives_to_its_base_is_not_given_twice():
    part = build_derived(PARTS, dict(type="Gray", widths=(3,)), "model.a", in_channels=5)
    assert (part.in_channels, part.widths) == (1, (3,))


def test_the_same_may_be_stated_and_nothing_else():
    assert build_derived(PARTS, dict(type="Wide", in_channels=[5, 6]), "a", in_channels=(5, 6)).widths == (
        2,
        4,
    )
    with pytest.raises(CellMMError, match="model.a.in_channels: 4, but 5 follows .*; leave it out"):
        build_derived(PARTS, dict(type="Wider", in_channels=4), "model.a", in_channels=5)


def test_arguments_of_a_config():
    assert argument_of(PARTS, dict(type="Wider", in_channels=3), "in_channels") == 3
    assert argument_of(PARTS, dict(type="Wide"), "widths") == (2, 4)
    assert argument_of(PARTS, dict(type="Wide"), "in_channels") is None
    assert argument_of(PARTS, dict(type="Unknown"), "in_channels") is None


class Owner:
    default_parts = {"a": "Wide"}
    part_arguments = {"a": ("in_channels", "stride")}


def test_a_part_gets_what_its_owner_says_that_it_gives():
    part = build_part(Owner(), PARTS, "a", None, in_channels=3, stride=2)
    assert isinstance(part, Wide) and part.in_channels == 3
    assert isinstance(build_part(Owner(), PARTS, "a", dict(type="Alone"), in_channels=3, stride=2), Alone)
    for name, given in (("a", dict(in_channels=3)), ("b", dict(in_channels=3))):
        with pytest.raises(CellMMError, match=f"Owner.part_arguments: .*{name!r}: .'in_channels',."):
            build_part(Owner(), PARTS, name, dict(type="Wide"), **given)


CELLS = dict(
    type="IAMHead",
    num_queries=4,
    feature_dim=8,
    instance_branch=dict(channels=8, depth=1),
    mask_branch=dict(channels=8, depth=1, mask_dim=4),
)


def model(**parts):
    defaults = dict(
        type="CellSegmentor",
        data_preprocessor=dict(type="CellDataPreprocessor", in_channels=2),
        encoder=dict(type="SEUNetEncoder", widths=(4, 6, 8), stem_stride=2),
        decoder=dict(type="SEUNetDecoder", widths=(5, 6)),
        heads=dict(instances=CELLS),
    )
    return MODELS.build(defaults | parts)


def test_a_model_of_parts_that_state_nothing():
    built = model()
    assert built.encoder.stem[0].in_channels == 2 and built.data_preprocessor.divisor == 8
    assert built.decoder.out_specs == feature_pyramid((5, 6, 8), 2) and built.tile_step == 8


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        (dict(encoder=dict(type="SEUNetEncoder", in_channels=1)), "model.encoder.in_channels: 1, but 2"),
        (
            dict(data_preprocessor=dict(type="CellDataPreprocessor", in_channels=2, divisor=32)),
            "model.data_preprocessor.divisor: 32, but 8",
        ),
        (
            dict(heads=dict(border=dict(type="SemanticHead", stride=1, target="border")), instance_head=None),
            "model.heads.border.stride: 1, but 2",
        ),
        (
            dict(data_preprocessor=dict(type="CellDataPreprocessor", in_channels=0)),
            "model.data_preprocessor.in_channels: 0; set it to the channels of the images",
        ),
        (
            dict(encoder=dict(type="Silent")),
            "model.encoder.type: Silent does not say what it gives; set self.out",
        ),
    ],
)
def test_contradictions_are_one_line(parts, says, registered):
    with pytest.raises(CellMMError, match=says) as error:
        model(**parts)
    assert "\n" not in str(error.value)


class Silent(nn.Module):
    """An encoder that publishes nothing."""


class ResNet(nn.Module):
    """torchvision's ResNet-18 as an encoder: all that it takes."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        net = torchvision.models.resnet18(weights=None)
        net.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        self.stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
        self.stages = nn.ModuleList([net.layer1, net.layer2, net.layer3, net.layer4])
        self.out_specs = feature_pyramid((64, 128, 256, 512), stride=4)

    def forward(self, x):
        x, maps = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


@pytest.fixture()
def registered():
    for module in (Silent, ResNet):
        MODELS.register_module(module=module, force=True)
    yield
    for module in (Silent, ResNet):
        MODELS.module_dict.pop(module.__name__)


def test_a_resnet_of_torchvision_is_an_encoder(registered):
    torch.manual_seed(0)
    heads = dict(instances=CELLS, cytoplasm=dict(type="SemanticHead", target="cytoplasm"))
    built = model(
        encoder=dict(type="ResNet"), decoder=dict(type="SEUNetDecoder", widths=(8, 8, 8)), heads=heads
    )
    assert built.data_preprocessor.divisor == 32 and built.map_strides == {"cytoplasm": 4}
    assert built.decoder.out_specs[0] == FeatureSpec(8, stride=4)
    images = [torch.rand(2, 50, 70)]
    found = built.eval()(**built.data_preprocessor(dict(inputs=images)))
    assert found["cytoplasm"].shape == (1, 1, 64 // 4, 96 // 4)
    assert found["instances"]["basis"].shape[-2:] == (16, 24)
