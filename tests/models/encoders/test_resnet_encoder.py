"""torchvision's residual networks as encoders."""

import pytest
import torch
from torchvision.models.resnet import resnet18
from torchvision.ops import FrozenBatchNorm2d

from cellmm.errors import CellMMError
from cellmm.registry import MODELS


def encoder(**options) -> torch.nn.Module:
    return MODELS.build(dict(type="ResNetEncoder", depth="resnet18") | options)


def test_its_maps_are_those_of_torchvision():
    ours, theirs = encoder().eval(), resnet18().eval()
    ours.load_state_dict({k: v for k, v in theirs.state_dict().items() if not k.startswith("fc.")})
    x = torch.rand(1, 3, 64, 96)
    found = ours(x)
    x = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(x))))
    for i, level in enumerate(found, start=1):
        x = getattr(theirs, f"layer{i}")(x)
        assert torch.equal(level, x)


@pytest.mark.parametrize("norm", ["BN", "frozen"])
def test_it_gives_the_same_when_it_is_fused(norm):
    torch.manual_seed(0)
    ours = encoder(norm=norm, in_channels=2).eval()
    for name, values in [*ours.named_buffers(), *ours.named_parameters()]:
        if name.endswith(("running_mean", "running_var", "bias")) and values.dtype.is_floating_point:
            values.data.uniform_(0.5, 1.0)
    x = torch.rand(1, 2, 64, 64)
    with torch.no_grad():
        before = ours(x)
        ours.fuse_for_inference()
        for a, b in zip(before, ours(x), strict=True):
            assert torch.allclose(a, b, rtol=1e-3, atol=1e-4)
    norms = (torch.nn.BatchNorm2d, FrozenBatchNorm2d)
    assert not any(isinstance(part, norms) for part in ours.modules())


def test_without_pooling_the_maps_are_twice_as_fine():
    assert [spec.stride for spec in encoder(stem_pool=False).out_specs] == [2, 4, 8, 16]


def test_what_is_refused():
    for wrong in (dict(depth="resnet20"), dict(norm="LN")):
        with pytest.raises(CellMMError, match="ResNetEncoder: .* choose"):
            encoder(**wrong)
