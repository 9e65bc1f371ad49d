"""Exclusive classes of pixels, weights, subpixels and losses of masks or values, by hand."""

import math

import pytest
import torch
from mmengine.structures import BaseDataElement

from cellmm.errors import CellMMError
from cellmm.models import FeatureSpec
from cellmm.registry import MODELS
from cellmm.structures import CellSample

CLASSES = torch.tensor([[0, 1], [2, 2]])


def build(kind="SoftmaxHead", bias=None, **options):
    torch.manual_seed(0)
    head = MODELS.build(dict(type=kind, in_channels=(3,), stride=1, **options))
    if bias is not None:
        torch.nn.init.zeros_(head.logits.weight)
        head.logits.bias.data = torch.tensor(bias)
    return head


def sample(classes=CLASSES, weight=None, **maps):
    result = CellSample(metainfo=dict(img_path="a.tif", img_shape=tuple(classes.shape)))
    names = ("interior", "boundary", "exterior")
    drawn = {name: (classes == k).to(torch.uint8) for k, name in enumerate(names)}
    result.gt_semantic = BaseDataElement(**(drawn | maps))
    if weight is not None:
        result.gt_weight = weight
    return result


FEATURES = [torch.rand(1, 3, 4, 4)]
PROBS = [0.5, 0.3, 0.2]
BIAS = [math.log(p) for p in PROBS]


def test_cross_entropy_by_hand_without_the_padding():
    loss = build(bias=BIAS).loss(FEATURES, [sample()])["loss_map"]
    assert loss.item() == pytest.approx(-(math.log(0.5) + math.log(0.3) + 2 * math.log(0.2)) / 4)


def test_weighted_pixels_by_hand():
    head = build(bias=BIAS, weighted=True)
    weight = torch.tensor([[6.0, 1.0], [1.0, 0.0]])
    loss = head.loss(FEATURES, [sample(weight=weight)])["loss_map"]
    assert loss.item() == pytest.approx(-(6 * math.log(0.5) + math.log(0.3) + math.log(0.2)) / 8)
    with pytest.raises(CellMMError, match="a.tif: no gt_weight.*add PixelWeights before PackCellInputs"):
        head.loss(FEATURES, [sample()])


def test_dice_of_each_class_by_hand():
    head = build(bias=BIAS, loss=dict(type="DiceLoss", squared=False))
    loss = head.loss(FEATURES, [sample()])["loss_map"]
    dice = [2 * n * p / (4 * p + n) for n, p in zip((1, 1, 2), PROBS, strict=True)]
    assert loss.item() == pytest.approx(1 - sum(dice) / 3, rel=1e-5)


def test_maps_add_up_to_one_and_are_named():
    head = build()
    assert head.targets == ("interior", "boundary", "exterior") and not hasattr(head, "target")
    probs = head.predict_maps(FEATURES)
    assert probs.shape == (1, 3, 4, 4)
    torch.testing.assert_close(probs.sum(1), torch.ones(1, 4, 4))


def test_the_bad_shape_of_the_notes_is_an_error():
    """A target of three channels against a map of one: torch only warned, and computed something."""
    pred, target = torch.rand(4, 1, 160, 160), torch.rand(4, 3, 160, 160)
    for name in ("BCELoss", "MSELoss", "SigmoidFocalLoss", "DiceLoss", "MaskBCELoss"):
        with pytest.raises(ValueError, match=rf"{name}: a target of shape \(4, 3, 160, 160\) does not fit"):
            MODELS.build(dict(type=name))(pred, target)
    with pytest.raises(ValueError, match="CrossEntropyLoss: a target of shape"):
        MODELS.build(dict(type="CrossEntropyLoss"))(target, pred)
    with pytest.raises(ValueError, match="a weight of shape"):
        MODELS.build(dict(type="MSELoss"))(pred, pred, weight=target)


def test_classes_that_do_not_exclude_each_other_are_refused():
    twice = sample(exterior=torch.ones(2, 2, dtype=torch.uint8))
    with pytest.raises(CellMMError, match="a.tif: 2 pixels have none or several of interior, boundary"):
        build().loss(FEATURES, [twice])
    with pytest.raises(CellMMError, match="no 'spindle'"):
        build(targets=("interior", "spindle")).loss(FEATURES, [sample()])


def test_losses_and_targets_that_make_no_classes():
    for name in ("MSELoss", "ProximityFocalLoss"):
        with pytest.raises(CellMMError, match=f"{name} is no loss of exclusive classes"):
            build(loss=dict(type=name))
    for targets in ((), ("a",), ("a", "a")):
        with pytest.raises(ValueError, match="name two different maps or more"):
            build(targets=targets)


def test_subpixels_have_logits_of_their_own():
    """At stride 2 the four logits of a pixel of the features are the pixels of its block, row by row."""
    head = MODELS.build(dict(type="SoftmaxHead", in_channels=(3,), stride=2, subpixel=True))
    assert head.out_spec == FeatureSpec(3, 1) and head.stride == 1
    torch.nn.init.zeros_(head.logits.weight)
    head.logits.bias.data = torch.arange(12.0)
    logits = head([torch.rand(1, 3, 1, 2)])
    assert logits.shape == (1, 3, 2, 4)
    assert logits[0, 1].tolist() == [[4, 5, 4, 5], [6, 7, 6, 7]]


def test_values_of_a_regression_are_probabilities():
    bell = torch.tensor([[1.0, 0.5], [0.0, 0.0]])
    head = build("SemanticHead", bias=[0.0], target="boundary", loss=dict(type="MSELoss"))
    loss = head.loss(FEATURES, [sample(boundary=bell)])["loss_map"]
    assert loss.item() == pytest.approx((0.25 + 0 + 0.25 + 0.25) / 4)


def test_dice_of_one_map_is_that_of_each_image():
    """p = 0.75 on four pixels; two of the first image are interior, none of the second one is."""
    head = build(
        "SemanticHead", bias=[math.log(3)], target="interior", loss=dict(type="DiceLoss", squared=False)
    )
    two, none = sample(torch.tensor([[0, 0], [1, 1]])), sample(torch.tensor([[1, 1], [1, 1]]))
    loss = head.loss([torch.rand(2, 3, 4, 4)], [two, none])["loss_map"]
    assert loss.item() == pytest.approx(((1 - 2 * 1.5 / (3 + 2)) + 1) / 2, rel=1e-5)
