"""QueryHead: losses and gradients of its variants, no cells, too many cells, scores, export."""

import math

import pytest
import torch

from cellmm.errors import CellMMError
from cellmm.models.feature_spec import FeatureSpec, feature_pyramid
from cellmm.models.layers import mask_logits
from cellmm.registry import TRANSFORMS
from cellmm.testing import generated
from tests.models.heads.query.query_data import build, features, sample

NOISY = dict(denoising=dict(type="DenoisingQueries", max_queries=7))
VARIANTS = {
    "published": dict(order="round_robin", layers_per_level=2),
    "classes": dict(num_classes=3),
    "narrow masks": dict(mask_dim=4, strides=(16, 8)),
    "boxes": NOISY,
    "masks": dict(denoising=dict(type="DenoisingQueries", kind="masks"), num_classes=2),
    "parts": dict(overlap_parts=True, criterion=dict(points=dict(type="OverlapPoints", num_points=20))),
    "all": dict(NOISY, overlap_parts=True, num_classes=2),
    "all pixels": dict(criterion=dict(points=dict(type="AllPixels"))),
}


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_loss_and_gradient(options):
    head = build(**options)
    classes = options.get("num_classes", 1)
    losses = head.loss(features(), [sample(4, num_classes=classes), sample(0)])
    names = {"loss_cls", "loss_dice", "loss_bce", "loss_quality"}
    if "overlap_parts" in options:
        names |= {"loss_exclusive", "loss_shared", "loss_consistency"}
    if "denoising" in options:
        names |= {name.replace("loss_", "loss_noisy_") for name in names - {"loss_quality"}}
    assert set(losses) == names | {f"{name}_earlier" for name in names}
    total = sum(losses.values())
    assert torch.isfinite(total)
    total.backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("options", [dict(), dict(NOISY, overlap_parts=True)], ids=["plain", "all"])
def test_no_cells_in_the_batch_trains_only_class_and_quality(options):
    head = build(**options)
    losses = head.loss(features(), [sample(0), sample(0)])
    learned = {name for name, value in losses.items() if value > 0}
    assert learned == {"loss_cls", "loss_cls_earlier", "loss_quality", "loss_quality_earlier"}
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_more_cells_than_queries_are_counted(said):
    head = build(num_queries=3, **NOISY)
    losses = head.loss(features(), [sample(9), sample(2)])
    assert head.num_unmatched == 6 and all(torch.isfinite(value) for value in losses.values())
    assert "a.tif: 6 cells have no query and are not learned; set num_queries (3) higher" in said[0]


def test_the_order_of_the_cells_does_not_matter():
    """Other ids for the same cells: all pixels are candidates, so nothing is drawn but free queries."""
    one = sample(4, num_classes=2)
    other, order = sample(4, num_classes=2), torch.tensor([2, 0, 3, 1])
    table = torch.cat([torch.zeros(1, dtype=torch.long), order.argsort() + 1])
    other.gt_layers = table[one.gt_layers.long()].int()
    other.gt_instances.labels = one.gt_instances.labels[order]
    losses = []
    for cells in (one, other):
        head = build(num_classes=2, overlap_parts=True)
        torch.manual_seed(1)
        losses.append(head.loss(features(batch=1), [cells]))
    for name, value in losses[0].items():
        torch.testing.assert_close(losses[1][name], value, msg=name)


def test_scores_are_the_root_of_class_times_quality():
    head = build(num_classes=2, test_cfg=dict(score_thr=0.3)).eval()
    torch.nn.init.constant_(head.decoder.predictor.quality[-1].bias, -math.log(3))
    torch.nn.init.zeros_(head.decoder.predictor.quality[-1].weight)  # a quality of 1/4
    with torch.no_grad():
        found = head.predict(features(), [sample(0), sample(0)])
        outputs = head(features())
    assert sum(map(len, found)) > 0
    for b, result in enumerate(found):
        stage = outputs["stages"][-1]
        masks = mask_logits(stage["kernels"], outputs["basis"])[b] > 0
        probs = stage["cls_logits"][b].softmax(-1)[:, :2]
        expected = [
            ((p.max() / 4).sqrt().item(), int(p.argmax()))
            for p, mask in zip(probs, masks, strict=True)
            if mask.any() and (p.max() / 4).sqrt() > 0.3
        ]
        expected.sort(reverse=True)
        assert result.scores.tolist() == pytest.approx([score for score, _ in expected])
        assert result.labels.tolist() == [label for _, label in expected]
        assert result.stride == 2 and (len(result) == 0 or result.grid_shape == (16, 24))


def test_quality_does_not_teach_the_rest():
    head = build()
    losses = head.loss(features(), [sample(4), sample(2)])
    (losses["loss_quality"] + losses["loss_quality_earlier"]).backward()
    taught = {n for n, p in head.named_parameters() if p.grad is not None and p.grad.any()}
    assert taught and all(name.startswith("decoder.predictor.quality.") for name in taught)


def test_a_step_keeps_no_masks_of_all_queries():
    """What autograd keeps of the head is less than the masks of all queries at one of three stages.

    The largest tensor is what attention keeps of the masks at the finest level, a quarter of the pixels.
    """
    num, size = 300, (256, 256)
    points = dict(type="OverlapPoints", num_points=64, num_matched=64)
    head, saved = build(num_queries=num, mask_dim=4, criterion=dict(points=points)), {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        losses = head.loss(features(batch=1, size=size), [sample(5, size=size)])
    masks = num * (size[0] // 2) * (size[1] // 2) * 4  # bytes, float32
    assert max(saved.values()) <= masks / 4 and sum(saved.values()) < masks
    assert len(losses) == 8


def with_disks(num_classes=1) -> list:
    steps = [
        dict(type="ReferencePoints", stride=2),
        dict(type="DiskTargets", radius=2),
        dict(type="PackCellInputs"),
    ]
    assert all(step["type"] in TRANSFORMS.module_dict for step in steps)
    return [
        generated.sample(steps, (32, 48), cells=cells, num_classes=num_classes)["data_samples"]
        for cells in (True, False)
    ]


def test_queries_at_peaks_learn_the_gateways_too():
    head = build(init="peaks", num_classes=2)
    assert list(head.needs) == ["gt_disks"]
    losses = head.loss(features(), with_disks(num_classes=2))
    assert losses["loss_disk"] > 0
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in head.parameters())
    assert not hasattr(build(), "needs")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (dict(num_queries=0), "num_queries must be 1 or more"),
        (dict(dim=12), "dim must be a multiple of 8 and of num_heads .2., got 12"),
        (dict(strides=(32, 4)), r"need maps of the strides \[32\], but the decoder's have \[2, 4, 8, 16\]"),
        (dict(mask_stride=16), r"need maps of the strides \[32\]"),
        (dict(order="random"), "order must be one of .*, got 'random'"),
        (dict(init="zero"), "init must be one of .*, got 'zero'"),
        (dict(denoising=dict(type="DenoisingQueries", kind="cells")), "kind must be 'boxes' or 'masks'"),
        (
            dict(overlap_parts=True, criterion=dict(points=dict(type="AllPixels"))),
            "overlap_parts needs points=dict.type='OverlapPoints'., got AllPixels",
        ),
        (dict(criterion=dict(unmatched_share=2)), "unmatched_share must be from 0 to 1"),
    ],
)
def test_bad_arguments(options, says):
    with pytest.raises(ValueError, match=says):
        build(**options)


def test_maps_that_do_not_start_at_the_first_pixel_are_refused():
    specs = tuple(FeatureSpec(spec.channels, spec.stride, 4) for spec in feature_pyramid((4, 6), stride=2))
    with pytest.raises(CellMMError, match="QueryHead: its maps start at pixels 4, 4 .*padding='same'"):
        build(in_specs=specs)


def test_a_class_that_the_head_does_not_have_is_named():
    with pytest.raises(CellMMError, match="a.tif: a cell of class 1 .from 0., but the head has 1"):
        build().loss(features(), [sample(3, num_classes=2), sample(0)])
