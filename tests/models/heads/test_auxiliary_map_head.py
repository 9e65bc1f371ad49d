"""The maps that are learned beside the masks."""

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from torch.nn import functional as F

from cellmm.errors import CellMMError
from cellmm.registry import MODELS
from cellmm.structures import CellSample
from cellmm.testing.heads import check_head

HEAD = dict(type="AuxiliaryMapHead", in_channels=(4,), stride=4, hidden=6)


@pytest.fixture
def training() -> MessageHub:
    """What a runner tells its parts."""
    hub = MessageHub.get_instance("auxiliary maps")
    hub.update_info("max_iters", 100)
    hub.update_info("iter", 0)
    return hub


def sample(name: str, **more) -> CellSample:
    item = CellSample(metainfo=dict(img_path="a.tif", img_shape=(20, 24)))
    item.gt_layers = torch.zeros(1, 20, 24, dtype=torch.int32)
    for key, value in {f"gt_{name}": torch.rand(20, 24), **more}.items():
        setattr(item, key, value)
    return item


@pytest.mark.parametrize(("name", "mode"), [("center", "bilinear"), ("boundary", "nearest")])
def test_loss_is_the_cross_entropy_with_the_resized_map(name, mode, training):
    head = MODELS.build(dict(HEAD, name=name, weight=0.5, anneal=None))
    features, item = [torch.rand(1, 4, 5, 6)], sample(name)
    truth = F.interpolate(item.get(f"gt_{name}")[None, None], (5, 6), mode=mode)
    expected = 0.5 * F.binary_cross_entropy_with_logits(head(features), truth)
    assert torch.allclose(head.loss(features, [item])["loss_map"], expected)


def test_padding_and_ignored_pixels_are_not_learned(training):
    head = MODELS.build(dict(HEAD, name="boundary"))
    ignore = torch.zeros(20, 24, dtype=torch.bool)
    ignore[:, 12:] = True
    features = [torch.rand(1, 4, 8, 8, requires_grad=True)]  # of an image padded to 32 x 32
    head.layers[0].weight.data[:, :, [0, 0, 0, 1, 1, 2, 2, 2], [0, 1, 2, 0, 2, 0, 1, 2]] = 0  # no neighbours
    head.loss(features, [sample("boundary", ignore=ignore)])["loss_map"].backward()
    seen = features[0].grad[0].abs().sum(0) > 0
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[:5, :3] = True
    assert torch.equal(seen, expected)


def test_its_weight_falls_to_0(training):
    head = MODELS.build(dict(HEAD, name="center"))
    weights = []
    for number in (0, 25, 50, 99):
        training.update_info("iter", number)
        weights.append(head.current_weight())
    assert weights == pytest.approx([0.1, 0.05, 0, 0])
    training.update_info("iter", 99)
    assert MODELS.build(dict(HEAD, name="center", weight=0.5, anneal=None)).current_weight() == 0.5


def test_what_is_refused(training):
    for wrong in (dict(name="overlap"), dict(weight=0), dict(anneal=2.0), dict(kernel_size=2)):
        with pytest.raises(CellMMError, match="AuxiliaryMapHead"):
            MODELS.build(dict(HEAD, name="center") | wrong)
    head = MODELS.build(dict(HEAD, name="center"))
    with pytest.raises(CellMMError, match=r"a\.tif: no gt_center; add AuxiliaryMaps"):
        head.loss([torch.rand(1, 4, 5, 6)], [sample("boundary")])
    assert np.isfinite(head.loss([torch.rand(1, 4, 5, 6)], [sample("center")])["loss_map"].item())


def test_its_contract_does_not_depend_on_an_earlier_training(monkeypatch):
    """At the end of a training its loss has weight 0, and so no gradient."""
    told = MessageHub.get_current_instance().runtime_info
    monkeypatch.setitem(told, "iter", 10)
    monkeypatch.setitem(told, "max_iters", 10)
    check_head(dict(type="AuxiliaryMapHead", name="center"))
    assert told["iter"] == 10
