"""The IAM head: equations, matching per image, no cells, too many cells, scores."""

import math
from dataclasses import replace

import pytest
import torch
from mmengine.structures import InstanceData

from cellmm.errors import CellMMError
from cellmm.models.feature_spec import feature_pyramid
from cellmm.models.layers import mask_logits
from cellmm.registry import MODELS
from cellmm.structures import CellSample

CHANNELS = (6, 8)
BRANCH = dict(channels=8, depth=1)


def build(**options):
    torch.manual_seed(0)
    head = dict(
        type="IAMHead",
        in_specs=feature_pyramid(CHANNELS),
        num_queries=5,
        feature_dim=8,
        instance_branch=BRANCH,
    )
    head["mask_branch"] = dict(BRANCH, mask_dim=4, **options.pop("mask_branch", {}))
    return MODELS.build(head | options)


def test_maps_that_do_not_start_at_the_first_pixel_are_refused():
    with pytest.raises(CellMMError, match="IAMHead: .* start at pixels 92, 92 of .* padding='same'"):
        build(in_specs=tuple(replace(spec, origin=92) for spec in feature_pyramid(CHANNELS)))


def features(batch=2, size=(16, 24)):
    generator = torch.Generator().manual_seed(1)
    return [
        torch.rand(batch, c, size[0] // 2**i, size[1] // 2**i, generator=generator)
        for i, c in enumerate(CHANNELS)
    ]


def sample(num_cells, size=(16, 24), num_classes=1):
    layers = torch.zeros(1, *size, dtype=torch.int32)
    for i in range(num_cells):
        layers[0, 2 * (i // 8) : 2 * (i // 8) + 2, 3 * (i % 8) : 3 * (i % 8) + 3] = i + 1
    result = CellSample()
    result.gt_layers = layers
    result.gt_instances = InstanceData(labels=torch.arange(num_cells) % num_classes)
    return result


def points(num_points):
    return dict(points=dict(type="UncertainPoints", num_points=num_points))


OURS = dict(
    coord_order=2,
    num_refine=2,
    activation=dict(spatial_prior=0.25),
    instance_branch=dict(BRANCH, level=1),
    mask_branch=dict(num_fields=2, match_level=1),
)
LEVELS = dict(instance_branch=dict(BRANCH, num_levels=2), mask_branch=dict(num_levels=2))

VARIANTS = {
    "published": {},
    "softmax": dict(activation=dict(type="SoftmaxInstanceActivation")),
    "classes": dict(num_classes=3),
    "ours": OURS,
    "levels": LEVELS,
    "points": dict(OURS, criterion=points(7)),
    "iou": dict(objectness=dict(type="IoUObjectness")),
    "quality": dict(OURS, objectness=dict(type="MaskQuality"), criterion=points(50)),
}


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_loss_and_gradient(options):
    head = build(**options)
    classes = options.get("num_classes", 1)
    losses = head.loss(features(), [sample(3, num_classes=classes), sample(0)])
    stages = options.get("num_refine", 0) + 1
    assert {"loss_dice", "loss_bce", "loss_cls"} <= set(losses)
    assert len(losses) == 3 * stages + ("objectness" in options)
    total = sum(losses.values())
    assert torch.isfinite(total)
    total.backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("objectness", [None, dict(type="MaskQuality"), dict(type="IoUObjectness")])
def test_no_cells_in_the_batch_trains_only_the_class(objectness):
    losses = build(objectness=objectness).loss(features(), [sample(0), sample(0)])
    assert losses.pop("loss_cls") > 0
    assert not any(losses.values())
    sum(losses.values()).backward()


def test_more_cells_than_queries_are_counted():
    head = build(num_queries=3)
    head.loss(features(), [sample(5), sample(2)])
    assert head.num_unmatched == 2
    head.loss(features(), [sample(5), sample(2)])
    assert head.num_unmatched == 4


def test_instance_features_are_the_average_under_the_activation_map():
    """Eq. 4.9 with all weights equal: every query sees the mean of the features."""
    head = build().eval()
    torch.nn.init.zeros_(head.activation.conv.weight)
    x = features()
    outputs = head(x)
    instance = head.instance_branch(x)
    mean = head.project(torch.cat([instance, x[0]], 1).mean((2, 3)))
    expected = head.classifier[0](mean)[:, None].expand(-1, 5, -1)
    torch.testing.assert_close(outputs["stages"][0]["cls_logits"], expected)


def test_predict_scores_are_class_times_maskness_in_order():
    head = build(test_cfg=dict(score_thr=0.0)).eval()
    with torch.no_grad():
        results = head.predict(features(), [sample(0), sample(0)])
        outputs = head(features())
    for b, result in enumerate(results):
        assert (result.scores.diff() <= 0).all()
        logits = mask_logits(outputs["stages"][-1]["kernels"], outputs["basis"])[b]
        cls = outputs["stages"][-1]["cls_logits"][b, :, 0].sigmoid()
        expected = []
        for prob, c in zip(logits.sigmoid(), cls, strict=True):
            if (prob > 0.5).any():
                expected.append((c * prob[prob > 0.5].mean()).item())
        assert result.scores.tolist() == pytest.approx(sorted(expected, reverse=True), rel=1e-5)


def test_masks_have_the_stride_of_their_branch():
    head = build(mask_branch=dict(level=1), test_cfg=dict(score_thr=0.0, mask_thr=0.0)).eval()
    with torch.no_grad():
        result = head.predict(features(), [sample(0), sample(0)])[0]
    assert result.stride == 2 and result.grid_shape == (8, 12) and len(result) == 5


def test_a_class_that_the_model_does_not_have_is_named():
    with pytest.raises(CellMMError, match="a cell of class 1 .from 0., but the head has 1: set"):
        build().loss(features(), [sample(3, num_classes=2), sample(0)])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (dict(num_queries=0), "num_queries must be 1 or more"),
        (dict(num_refine=-1), "num_refine must be 0 or more"),
        (dict(coord_order=3), "coord_order must be 0, 1 or 2, got 3"),
        (dict(activation=dict(spatial_prior=0.25)), "spatial_prior needs coord_order=2 of the head, got 0"),
        (dict(criterion=points(0)), "num_points must be 1 or more"),
        (dict(mask_branch=dict(num_levels=3)), "num_levels must be 1 to 2, the decoder's levels, got 3"),
        (dict(mask_branch=dict(level=2)), "level must be 0 to 1, a level of the decoder, got 2"),
        (dict(mask_branch=dict(num_fields=-1)), "num_fields must be 0 or more"),
        (dict(test_cfg=dict(mask_thr=5)), "mask_thr must be from 0 to 1, got 5"),
    ],
)
def test_bad_arguments(options, says):
    with pytest.raises(ValueError, match=says):
        build(**options)


def test_all_points_are_the_full_resolution():
    """Losses do not depend on the order of the pixels: as many points as pixels change nothing."""
    x, samples = features(), [sample(3), sample(2)]
    full, sampled = build().loss(x, samples), build(criterion=points(16 * 24)).loss(x, samples)
    assert full.keys() == sampled.keys()
    for key, value in full.items():
        torch.testing.assert_close(sampled[key], value, msg=key)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_masks_at_points(stride):
    cells = sample(9, size=(17, 23))
    shape = -(-17 // stride) + 1, -(-23 // stride)  # one row of padding
    pixels = torch.randperm(shape[0] * shape[1])[:40]
    expected = cells.gt_masks(stride, shape).flatten(1)[:, pixels]
    torch.testing.assert_close(cells.gt_masks_at(pixels, stride, shape), expected)
    assert expected.any()


def test_objectness_does_not_teach_the_rest():
    """Ours alone: only the quality layers get a gradient from it; the published one reaches the branches."""
    for kind, reaches in (("MaskQuality", False), ("IoUObjectness", True)):
        head = build(objectness=dict(type=kind))
        head.loss(features(), [sample(3), sample(2)])["loss_objectness"].backward()
        assert all(p.grad.abs().sum() > 0 for p in head.objectness.parameters() if p.dim() > 1)
        taught = head.project.weight.grad
        assert (taught is not None and bool(taught.abs().sum() > 0)) == reaches


def test_published_objectness_is_the_squared_error_to_the_iou():
    """Eq. 5.2 by hand: an IoU logit of 0 for each matched query is (1/2 - IoU)^2."""
    loss = dict(type="MSELoss", loss_weight=3.0)
    head, samples = build(objectness=dict(type="IoUObjectness", loss=loss)), [sample(3)]
    torch.nn.init.zeros_(head.objectness.linear.weight)
    torch.nn.init.zeros_(head.objectness.linear.bias)
    outputs = head(features(batch=1))
    logits = mask_logits(outputs["stages"][-1]["kernels"], outputs["basis"])[0].flatten(1)
    masks = samples[0].gt_masks().flatten(1)
    cls_logits = outputs["stages"][-1]["cls_logits"][0]
    query, cell = head.criterion.matcher(cls_logits, logits, samples[0].gt_instances.labels, masks)
    error = 0
    for i, j in zip(query, cell, strict=True):
        a, b = logits[i] > 0, masks[j] > 0
        error += (0.5 - (a & b).sum() / (a | b).sum()) ** 2
    value = head.loss(features(batch=1), samples)["loss_objectness"]
    torch.testing.assert_close(value, 3 * error / 3)


@pytest.mark.parametrize("kind", ["IoUObjectness", "MaskQuality"])
def test_scores_with_objectness(kind):
    """An objectness of 1/4 everywhere: sqrt(c / 4) x maskness, and c / 4 x maskness."""
    options = dict(test_cfg=dict(score_thr=0.0))
    head = build(**options, objectness=dict(type=kind)).eval()
    last = head.objectness.linear if kind == "IoUObjectness" else head.objectness.layers[-1]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.constant_(last.bias, -math.log(3))
    with torch.no_grad():
        result = head.predict(features(batch=1), [sample(0)])[0]
        outputs = head(features(batch=1))
    probs = mask_logits(outputs["stages"][-1]["kernels"], outputs["basis"])[0].sigmoid()
    expected = []
    for prob, c in zip(probs, outputs["stages"][-1]["cls_logits"][0, :, 0].sigmoid(), strict=True):
        if (prob > 0.5).any():
            maskness = prob[prob > 0.5].mean()
            expected.append((((c / 4).sqrt() if kind == "IoUObjectness" else c / 4) * maskness).item())
    assert result.scores.tolist() == pytest.approx(sorted(expected, reverse=True), rel=1e-5)
    unaware = build(**options, objectness=dict(type=kind, in_score=False)).eval()
    plain = build(**options).eval()
    unaware.load_state_dict(head.state_dict())
    plain.load_state_dict(head.state_dict(), strict=False)
    with torch.no_grad():
        found = [each.predict(features(batch=1), [sample(0)])[0] for each in (unaware, plain)]
    torch.testing.assert_close(found[0].scores, found[1].scores)


@pytest.mark.parametrize("in_score", [True, False])
def test_published_objectness_lets_unsure_classes_pass(in_score):
    """Class .04 and IoU .95: the score is .195 x maskness, above a threshold of .05 that .04 is below."""
    head = build(
        test_cfg=dict(score_thr=0.05), objectness=dict(type="IoUObjectness", in_score=in_score)
    ).eval()
    for layer, bias in ((head.classifier[0], -math.log(24)), (head.objectness.linear, math.log(19))):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.constant_(layer.bias, bias)
    torch.nn.init.constant_(head.kernel[0].bias, 1.0)
    with torch.no_grad():
        result = head.predict(features(batch=1), [sample(0)])[0]
    assert bool(len(result)) == in_score and (result.scores > 0.09).all()


def of_one_kernel(nms: dict | None, score_thr: float) -> torch.Tensor:
    """Scores of an image where the five queries of a head with this ``nms`` have the same kernel."""
    head = build(test_cfg=dict(score_thr=score_thr, nms=nms)).eval()
    for layer in (*head.kernel, *head.classifier):
        torch.nn.init.zeros_(layer.weight)
    torch.nn.init.constant_(head.kernel[0].bias, 0.1)
    with torch.no_grad():
        return head.predict(features(batch=1), [sample(0)])[0].scores


def test_nms_of_repetitions():
    """Greedy NMS keeps the first; matrix NMS leaves exp(-2) of the others' scores, if score_thr lets it."""
    plain = of_one_kernel(nms=None, score_thr=0.0)
    torch.testing.assert_close(plain, plain[:1].expand(5))
    kept = of_one_kernel(nms=dict(type="MaskNMS", iou_thr=0.9), score_thr=0.0)
    torch.testing.assert_close(kept, plain[:1])
    lowered = of_one_kernel(nms=dict(type="MatrixNMS", sigma=2.0), score_thr=0.0)
    torch.testing.assert_close(lowered, plain * torch.tensor([1] + [math.exp(-2)] * 4))
    cut = of_one_kernel(nms=dict(type="MatrixNMS", sigma=2.0), score_thr=0.5 * float(plain[0]))
    torch.testing.assert_close(cut, plain[:1])


def test_weights_of_earlier_names_load():
    options = dict(OURS, objectness=dict(type="MaskQuality"))
    source, target = build(**options), build(**options)
    torch.nn.init.normal_(source.activation.conv.weight)
    names = {
        "mask_branch.features.": "mask_features.",
        "mask_branch.displacement.": "displacement.",
        "activation.conv.": "iam.",
        "objectness.": "quality.",
    }
    earlier = {}
    for name, value in source.state_dict().items():
        new = next((new for new in names if name.startswith(new)), "")
        earlier[names.get(new, "") + name.removeprefix(new)] = value
    assert {"iam.weight", "mask_features.bias", "displacement.bias", "quality.norm.weight"} <= set(earlier)
    target.load_state_dict(earlier)
    assert all(map(torch.equal, source.state_dict().values(), target.state_dict().values()))
