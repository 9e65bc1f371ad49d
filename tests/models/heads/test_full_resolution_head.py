"""The head that sees the image at full resolution: shapes, a loss by hand, what it sees, and in a model."""

import math

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement

from cellmm.errors import CellMMError
from cellmm.export.graphs import graphs_of
from cellmm.models import FeatureSpec
from cellmm.registry import MODELS
from cellmm.structures import CellSample
from tests.models.test_map_heads import build as build_model
from tests.models.test_map_heads import data


def build(stride=2, origin=0, **options):
    torch.manual_seed(0)
    specs = (FeatureSpec(2), FeatureSpec(5, stride, origin), FeatureSpec(6, 2 * stride, origin))
    return MODELS.build(dict(dict(type="FullResolutionHead", channels=4), in_specs=specs, **options))


def features(stride=2, size=(16, 24)):
    height, width = size
    maps = [torch.rand(2, 5, height // stride, width // stride), torch.rand(2, 6, 1, 1)]
    return [torch.rand(2, 2, height, width), *maps]


def sample(cytoplasm, **more):
    found = CellSample(metainfo=dict(img_path="a.tif", img_shape=tuple(cytoplasm.shape)))
    found.gt_semantic = BaseDataElement(cytoplasm=cytoplasm.to(torch.uint8))
    for key, value in more.items():
        setattr(found, key, value)
    return found


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("sizes", [[(9, 14), (12, 5)], [(1, 1), (3, 2)]])
def test_forward_and_backward_with_odd_sizes_and_no_cells(stride, sizes):
    head, maps = build(stride), features(stride)
    assert head(maps).shape == (2, 1, 16, 24) and head(maps).dtype == torch.float32
    losses = head.loss(maps, [sample(torch.rand(sizes[0]) > 0.5), sample(torch.zeros(sizes[1]))])
    assert set(losses) == {"loss_map"} and losses["loss_map"].isfinite()
    losses["loss_map"].backward()
    assert all(p.grad is not None for p in head.parameters())
    probs = head.eval().predict_maps(maps)
    assert probs.shape == (2, 16, 24) and 0 <= probs.min() <= probs.max() <= 1


def test_a_loss_by_hand():
    """p = 0.75 everywhere; of the four pixels of the image one is a cell and counts three times."""
    head = build(weighted=True)
    torch.nn.init.zeros_(head.logits.weight)
    torch.nn.init.constant_(head.logits.bias, math.log(3))
    weight = torch.tensor([[3.0, 1], [1, 1]])
    given = sample(torch.tensor([[1, 0], [0, 0]]), gt_weight=weight)
    maps = [x[:1] for x in features()]
    bce = (3 * math.log(4 / 3) + 3 * math.log(4)) / 6
    dice = 2 * 3 * 0.75 / (6 * 0.75**2 + 3)
    assert head.loss(maps, [given])["loss_map"].item() == pytest.approx(bce + 1 - dice, rel=1e-5)
    head.dice = None
    assert head.loss(maps, [given])["loss_map"].item() == pytest.approx(bce, rel=1e-5)
    assert build(dice_weight=0.0).dice is None


def test_it_sees_single_pixels_of_the_image():
    """At stride 2 the finest map is the same for the pixels of a block; the image tells them apart."""
    head = build(depth=1, norm="none").eval()
    maps = features()
    before = head(maps)
    maps[0] = maps[0].clone()
    maps[0][0, :, 5, 7] += 1
    changed = (head(maps) != before)[0, 0]
    rows, cols = np.nonzero(changed.numpy())
    assert changed[5, 7] and set(rows) <= {4, 5, 6} and set(cols) <= {6, 7, 8}
    maps[1] = maps[1] + 1
    assert not torch.equal(head(maps)[1], before[1])


def test_what_it_refuses():
    with pytest.raises(CellMMError, match="starts at pixel 8 of the image; set padding='same'"):
        build(origin=8)
    with pytest.raises(ValueError, match="dice_weight is -1"):
        build(dice_weight=-1)
    with pytest.raises(ValueError, match="channels must be"):
        build(channels=0)
    with pytest.raises(CellMMError, match="a.tif: no gt_weight"):
        build(weighted=True).loss(features(), [sample(torch.zeros(4, 4))] * 2)


def model_of(**more):
    return build_model(
        encoder=dict(type="SEUNetEncoder", widths=(4, 8, 8), stem_stride=2),
        heads=dict(outlines=dict(type="FullResolutionHead", channels=4), **more.pop("heads", {})),
        instance_head=None,
        **more,
    )


def test_in_a_model_at_stride_2():
    model = model_of()
    assert model.map_strides == dict(cytoplasm=1)
    assert model.head_inputs.specs("outlines")[0] == FeatureSpec(2, 1)
    batch = model.data_preprocessor(data((21, 34), (16, 16)), True)
    model(**batch, mode="loss")["loss_map"].backward()
    assert all(p.grad is not None for p in model.parameters())
    assert model(torch.rand(1, 2, 16, 16))["outlines"].shape == (1, 1, 16, 16)
    model.eval()
    plain = model.test_step(data((21, 34)))[0].pred_semantic.cytoplasm
    assert plain.shape == (21, 34)
    images = torch.rand(1, 2, 16, 16)
    (found,) = graphs_of(model)[0].layers(images)
    torch.testing.assert_close(found, model(images)["outlines"])
    fused = model.fuse_for_inference().test_step(data((21, 34)))[0].pred_semantic.cytoplasm
    torch.testing.assert_close(fused, plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("options", [dict(tta="turns"), dict(tile=16, tile_overlap=8)])
def test_views_and_tiles(options):
    (found,) = model_of(**options).eval().test_step(data((21, 34)))
    assert found.pred_semantic.cytoplasm.shape == (21, 34)


def test_cells_of_its_map():
    model = model_of(
        heads=dict(nuclei=dict(type="SemanticHead", target="nuclei", subpixel=True)),
        postprocess=dict(type="SeededWatershed"),
    ).eval()
    (found,) = model.test_step(data((21, 34)))
    assert all(mask["size"] == [21, 34] for mask in found.pred_instances.masks)
