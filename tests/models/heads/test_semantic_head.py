"""Heads of one map: targets of blocks, padding and ignored pixels, what is missing."""

import math

import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData

from cellmm.errors import CellMMError
from cellmm.registry import MODELS
from cellmm.structures import CellSample


def build(**options):
    torch.manual_seed(0)
    defaults = dict(type="SemanticHead", in_channels=(3, 5), stride=1, target="cytoplasm")
    return MODELS.build(dict(defaults, **options))


def sample(cytoplasm, proximity=None, ignore=None, **more):
    result = CellSample(metainfo=dict(img_path="a.tif", img_shape=tuple(cytoplasm.shape)))
    result.gt_semantic = BaseDataElement(cytoplasm=cytoplasm.to(torch.uint8), **more)
    if proximity is not None:
        result.gt_proximity = proximity
    if ignore is not None:
        result.ignore = ignore
    return result


class Caught(torch.nn.Module):
    """Keeps what the loss is given."""

    def forward(self, pred, target, weight, avg_factor, proximity):
        self.given = pred, target, weight, avg_factor, proximity
        return pred.sum() * 0


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("sizes", [[(9, 14), (12, 5)], [(1, 1), (3, 2)]])
def test_forward_and_backward_with_odd_sizes_and_no_cells(stride, sizes):
    head = build(stride=stride)
    features = [torch.rand(2, 3, 16 // stride, 16 // stride), torch.rand(2, 5, 8 // stride, 8 // stride)]
    assert head(features).shape == (2, 1, 16 // stride, 16 // stride)
    samples = [sample(torch.rand(sizes[0]) > 0.5), sample(torch.zeros(sizes[1]))]
    losses = head.loss(features, samples)
    assert set(losses) == {"loss_map"} and losses["loss_map"].isfinite()
    losses["loss_map"].backward()
    assert all(p.grad.abs().sum() > 0 for p in head.parameters())
    probs = head.predict_maps(features)
    assert probs.shape == (2, 16 // stride, 16 // stride)
    torch.testing.assert_close(probs, head(features)[:, 0].sigmoid())


def test_a_value_by_hand():
    """p = 0.75 everywhere; one of the four pixels of the image is a cell, the rest of the map is padding."""
    head = build()
    torch.nn.init.zeros_(head.logits.weight)
    torch.nn.init.constant_(head.logits.bias, math.log(3))
    cytoplasm = torch.tensor([[1, 0], [0, 0]])
    loss = head.loss([torch.rand(1, 3, 8, 8)], [sample(cytoplasm)])["loss_map"]
    assert loss.item() == pytest.approx((math.log(4 / 3) + 3 * math.log(4)) / 4)


def test_the_loss_is_given_pixels_of_the_image():
    """Each logit stands for 2 x 2 pixels; the third row and column end in the middle of a block."""
    head = build(stride=2, loss=dict(type="ProximityFocalLoss"))
    head.pixel_loss = Caught()
    cytoplasm = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 0, 1]])
    proximity = torch.tensor([[0.4, 0.6, 0.8], [0.0, 1.0, 0.0], [0.2, 0.0, 0.0]])
    ignore = torch.zeros(3, 3, dtype=torch.bool)
    ignore[0, 1] = ignore[2, 2] = True
    features = [torch.rand(1, 3, 2, 2)]
    head.loss(features, [sample(cytoplasm, proximity, ignore)])
    logits, targets, weight, count, given = head.pixel_loss.given
    torch.testing.assert_close(logits, head(features)[0].repeat_interleave(2, 1).repeat_interleave(2, 2))
    assert targets.tolist() == [[[1, 0, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0] * 4]]
    assert weight.tolist() == [[[1, 0, 1, 0], [1, 1, 1, 0], [1, 1, 0, 0], [0] * 4]]
    assert count == 7
    torch.testing.assert_close(given[0, :3, :3], proximity)


def test_a_plain_loss_sees_the_means_of_blocks():
    """At stride 2, BCE of the four pixels of a block is BCE of their mean."""
    head = build(stride=2)
    features = [torch.rand(1, 3, 4, 4)]
    cytoplasm = torch.rand(8, 8) > 0.5
    means = torch.nn.functional.avg_pool2d(cytoplasm.float()[None], 2)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(head(features)[:, 0], means)
    torch.testing.assert_close(head.loss(features, [sample(cytoplasm)])["loss_map"], expected)


@pytest.mark.parametrize("form", ["Target", "", "Weight"])
def test_target_and_proximity_are_combined_before_a_block_is_averaged(form):
    """Of a block, P is 1 on the two pixels that overlap and 0 on the others, by hand; p = 0.75."""
    head = build(stride=2, loss=dict(type=f"Proximity{form}FocalLoss"))
    torch.nn.init.zeros_(head.logits.weight)
    torch.nn.init.constant_(head.logits.bias, math.log(3))
    positive, negative = -0.25 * 0.25**2 * math.log(0.75), -0.75 * 0.75**2 * math.log(0.25)
    cells, proximity = torch.tensor([[1, 1, 0, 1], [0, 0, 0, 0]]), torch.tensor([[1.0, 1, 0, 0], [0] * 4])
    expected = {
        "Target": positive + 7 * negative,  # y' is 1 in the fourth pixel alone
        "": 3 * positive + 5 * negative,
        "Weight": 2 * positive,
    }[form]
    loss = head.loss([torch.rand(1, 3, 1, 2)], [sample(cells, proximity)])["loss_map"]
    assert loss.item() == pytest.approx(expected / 8, rel=1e-5)


def test_a_map_of_a_transform_of_ones_own():
    head = build(target="spindle")
    cells = torch.zeros(8, 8, dtype=torch.uint8)
    assert head.target == "spindle"
    assert head.loss([torch.rand(1, 3, 8, 8)], [sample(cells, spindle=cells)])["loss_map"] > 0
    with pytest.raises(CellMMError, match="a.tif: gt_semantic has .'cytoplasm'. and no 'spindle'; add it"):
        head.loss([torch.rand(1, 3, 8, 8)], [sample(cells)])


def test_cells_of_several_classes_are_refused():
    target = sample(torch.zeros(8, 8))
    target.gt_instances = InstanceData(labels=torch.tensor([0, 2]))
    with pytest.raises(CellMMError, match="a.tif: a cell of class 2 .*set class_agnostic=True") as info:
        build().loss([torch.rand(1, 3, 8, 8)], [target])
    assert "\n" not in str(info.value)
    target.gt_instances = InstanceData(labels=torch.tensor([0, 0]))
    assert build().loss([torch.rand(1, 3, 8, 8)], [target])["loss_map"] > 0


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (65, 127)])
def test_a_small_image_in_a_large_padding_is_of_the_right_stride(size):
    """Padded to 128 px."""
    assert build(stride=2).loss([torch.rand(1, 3, 64, 64)], [sample(torch.zeros(size))])["loss_map"] > 0


def test_padding_is_not_learned():
    head = build()
    features = torch.rand(1, 3, 8, 8)
    other = features.clone()
    other[..., 5:, :] = 100
    target = sample(torch.rand(5, 8) > 0.5)
    torch.testing.assert_close(head.loss([features], [target]), head.loss([other], [target]))


def test_what_it_needs_is_stated_and_its_lack_is_told():
    features = [torch.rand(1, 3, 8, 8)]
    plain, guided = build(), build(loss=dict(type="ProximityFocalLoss"), target="overlap")
    assert set(plain.needs) == {"gt_semantic"} and set(guided.needs) == {"gt_semantic", "gt_proximity"}
    unguided = build(loss=dict(type="SigmoidFocalLoss"))
    assert set(unguided.needs) == {"gt_semantic"}
    empty = CellSample(metainfo=dict(img_path="a.tif"))
    with pytest.raises(CellMMError, match="a.tif: no gt_semantic.*add SemanticTargets or Bound"):
        plain.loss(features, [empty])
    cells = torch.zeros(8, 8, dtype=torch.uint8)
    with pytest.raises(CellMMError, match="a.tif: no gt_proximity.*add ProximityMap before"):
        guided.loss(features, [sample(cells, overlap=cells)])
    with pytest.raises(CellMMError, match="a.tif: gt_semantic has .'cytoplasm'. and no 'overlap'; add it"):
        guided.loss(features, [sample(cells, torch.zeros(8, 8))])
    assert guided.loss(features, [sample(cells, torch.zeros(8, 8), overlap=cells)])["loss_map"] > 0
