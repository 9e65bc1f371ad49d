"""The IAM head: equations, matching per image, no cells, too many cells."""

import math

import pytest
import torch
from mmengine.structures import InstanceData

from cellmm.errors import CellMMError
from cellmm.models import feature_pyramid
from cellmm.models.layers import coordinate_channels, mask_logits
from cellmm.models.layers.mask_kernels import place_kernels
from cellmm.registry import MODELS
from cellmm.structures import CellSample

CHANNELS = (6, 8)


def build(**options):
    torch.manual_seed(0)
    defaults = dict(
        type="IAMHead",
        in_specs=feature_pyramid(CHANNELS),
        num_queries=5,
        feature_dim=8,
        branch_channels=8,
        mask_dim=4,
        depth=1,
    )
    return MODELS.build(dict(defaults, **options))


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


OURS = dict(coord_order=2, spatial_prior=0.25, num_fields=2, num_refine=2, instance_level=1, match_level=1)

VARIANTS = {
    "published": {},
    "no coordinates": dict(coord_order=0),
    "softmax": dict(activation="softmax"),
    "classes": dict(norm="GN", num_classes=3),
    "ours": OURS,
    "levels": dict(num_levels=2),
    "points": dict(OURS, num_points=7),
    "iou": dict(objectness="iou"),
    "quality": dict(OURS, objectness="quality", num_points=50),
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


def test_no_cells_in_the_batch_trains_only_the_class():
    losses = build().loss(features(), [sample(0), sample(0)])
    assert losses["loss_dice"] == 0 and losses["loss_bce"] == 0 and losses["loss_cls"] > 0
    sum(losses.values()).backward()


def test_more_cells_than_queries_keeps_each_image_to_itself(caplog):
    """3 queries, images of 5 and 2 cells: a flat index over the batch would give image 2 cells of image 1."""
    head = build(num_queries=3)
    seen = []
    matcher = head.matcher
    head.matcher = lambda *args: seen.append((args[3].shape[0], matcher(*args))) or seen[-1][1]
    head.loss(features(), [sample(5), sample(2)])
    assert [(cells, len(query)) for cells, (query, _) in seen] == [(5, 3), (2, 2)]
    assert max(seen[1][1][1].tolist()) <= 1
    assert head.num_unmatched == 2
    head.loss(features(), [sample(5), sample(2)])
    assert head.num_unmatched == 4


def test_instance_features_are_the_average_under_the_activation_map():
    """Eq. 4.9 with all weights equal: every query sees the mean of the features."""
    head = build(coord_order=0).eval()
    torch.nn.init.zeros_(head.iam.weight)
    x = features()
    outputs = head(x)
    instance = head.instance_branch(x[:1])
    mean = head.project(torch.cat([instance, x[0]], 1).mean((2, 3)))
    expected = head.classifier[0](mean)[:, None].expand(-1, 5, -1)
    torch.testing.assert_close(outputs["stages"][0]["cls_logits"], expected)


def test_fields_are_a_quadratic_around_the_centre():
    """The multiplied-out kernel gives what the shifted quadratic says, by direct evaluation."""
    generator = torch.Generator().manual_seed(2)
    kernels = torch.randn(1, 3, 1 + 10 + 1, generator=generator)
    centres = torch.randn(1, 3, 4, generator=generator)
    positions = torch.randn(1, 4, 2, 2, generator=generator)
    x, y = positions[:, 0::2], positions[:, 1::2]
    content = torch.randn(1, 1, 2, 2, generator=generator)
    basis = torch.cat([content, x, y, x * x, x * y, y * y], 1)
    logits = mask_logits(place_kernels(kernels, centres, 1), basis)
    for query in range(3):
        value = kernels[0, query, 0] * content[0, 0] + kernels[0, query, -1]
        coefficients = 4 * kernels[0, query, 1:11].view(5, 2)
        for field in range(2):
            dx = x[0, field] - centres[0, query, 2 * field]
            dy = y[0, field] - centres[0, query, 2 * field + 1]
            px, py, pxx, pxy, pyy = coefficients[:, field]
            value = value + px * dx + py * dy + (pxx - 4) * dx**2 + pxy * dx * dy + (pyy - 4) * dy**2
        torch.testing.assert_close(logits[0, query], value, rtol=1e-4, atol=1e-4)


def test_spatial_prior_starts_each_query_at_its_own_place():
    head = build(num_queries=4, coord_order=2, spatial_prior=0.3, branch_channels=4).eval()
    torch.nn.init.zeros_(head.iam.weight[:, :4])
    grid = torch.zeros(1, 4, 41, 41)
    maps = head.iam(torch.cat([grid, coordinate_channels(grid, 2)], 1))[0]
    peaks = {divmod(m.argmax().item(), 41) for m in maps}
    assert peaks == {(10, 10), (10, 30), (30, 10), (30, 30)}


def test_predict_scores_are_class_times_maskness_in_order():
    head = build(score_thr=0.0).eval()
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


def test_a_class_that_the_model_does_not_have_is_named():
    with pytest.raises(CellMMError, match="a cell of class 1 .from 0., but the model has 1: set"):
        build().loss(features(), [sample(3, num_classes=2), sample(0)])


def test_bad_arguments():
    with pytest.raises(ValueError, match="'sigmoid' or 'softmax', got 'relu'"):
        build(activation="relu")
    with pytest.raises(ValueError, match="needs coord_order=2"):
        build(spatial_prior=0.25)
    with pytest.raises(ValueError, match="'iou' or 'quality', got 'best'"):
        build(objectness="best")
    with pytest.raises(ValueError, match="num_points must be None or 1 and more, got 0"):
        build(num_points=0)
    with pytest.raises(ValueError, match="num_levels must be 1 to 2, the decoder's levels, got 3"):
        build(instance_level=1, num_levels=3)


def test_levels_pass_on_what_lies_below():
    """Nothing but the coarser map changes, and the finest activation maps change with it."""
    x = features(batch=1)
    for num_levels, changes in ((1, False), (2, True)):
        head = build(num_levels=num_levels, coord_order=0).eval()
        before, after = (head.mask_branch([x[0], one][:num_levels]) for one in (x[1], x[1] + 1))
        assert before.shape == after.shape == (1, 8, 16, 24)
        assert (not torch.equal(before, after)) == changes


def test_all_points_are_the_full_resolution():
    """Losses do not depend on the order of the pixels: as many points as pixels change nothing."""
    x, samples = features(), [sample(3), sample(2)]
    full, points = build().loss(x, samples), build(num_points=16 * 24).loss(x, samples)
    assert full.keys() == points.keys()
    for key, value in full.items():
        torch.testing.assert_close(points[key], value, msg=key)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_masks_at_points(stride):
    one = sample(9, size=(17, 23))
    shape = -(-17 // stride) + 1, -(-23 // stride)  # one row of padding
    pixels = torch.randperm(shape[0] * shape[1])[:40]
    expected = one.gt_masks(stride, shape).flatten(1)[:, pixels]
    torch.testing.assert_close(one.gt_masks_at(pixels, stride, shape), expected)
    assert expected.any()


def test_objectness_does_not_teach_the_rest():
    """Ours alone: only the quality layers get a gradient from it; the published one reaches the branches."""
    for objectness, reaches in (("quality", False), ("iou", True)):
        head = build(objectness=objectness)
        head.loss(features(), [sample(3), sample(2)])["loss_objectness"].backward()
        own = getattr(head, objectness)
        assert all(p.grad.abs().sum() > 0 for p in own.parameters() if p.dim() > 1)
        assert (head.project.weight.grad.abs().sum() > 0) == reaches


def test_published_objectness_is_the_squared_error_to_the_iou():
    """Eq. 5.2 by hand: an IoU logit of 0 for each matched query is (1/2 - IoU)^2."""
    head, samples = build(objectness="iou"), [sample(3)]
    torch.nn.init.zeros_(head.iou.weight)
    torch.nn.init.zeros_(head.iou.bias)
    outputs = head(features(batch=1))
    logits = mask_logits(outputs["stages"][-1]["kernels"], outputs["basis"])[0].flatten(1)
    masks = samples[0].gt_masks().flatten(1)
    cls_logits = outputs["stages"][-1]["cls_logits"][0]
    query, cell = head.matcher(cls_logits, logits, samples[0].gt_instances.labels, masks)
    error = 0
    for i, j in zip(query, cell, strict=True):
        a, b = logits[i] > 0, masks[j] > 0
        error += (0.5 - (a & b).sum() / (a | b).sum()) ** 2
    loss = head.loss(features(batch=1), samples)["loss_objectness"]
    torch.testing.assert_close(loss, error / 3)


@pytest.mark.parametrize("objectness", ["iou", "quality"])
def test_scores_with_objectness(objectness):
    """An objectness of 1/4 everywhere: sqrt(c / 4) x maskness, and c / 4 x maskness."""
    head = build(score_thr=0.0, objectness=objectness).eval()
    last = head.iou if objectness == "iou" else head.quality.layers[-1]
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
            expected.append((((c / 4).sqrt() if objectness == "iou" else c / 4) * maskness).item())
    assert result.scores.tolist() == pytest.approx(sorted(expected, reverse=True), rel=1e-5)
    head.use_objectness = False
    with torch.no_grad():
        unaware = head.predict(features(batch=1), [sample(0)])[0]
        plain = build(score_thr=0.0).eval()
        plain.load_state_dict(head.state_dict(), strict=False)
        torch.testing.assert_close(unaware.scores, plain.predict(features(batch=1), [sample(0)])[0].scores)


def test_published_objectness_lets_unsure_classes_pass():
    """Class .04 and IoU .95: the score is .195 x maskness, above a threshold of .05 that .04 is below."""
    head = build(score_thr=0.05, objectness="iou").eval()
    for layer, bias in ((head.classifier[0], -math.log(24)), (head.iou, math.log(19))):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.constant_(layer.bias, bias)
    torch.nn.init.constant_(head.kernel[0].bias, 1.0)
    with torch.no_grad():
        result = head.predict(features(batch=1), [sample(0)])[0]
    assert len(result) and (result.scores > 0.09).all()


def test_matrix_nms_lowers_repetitions():
    """Four queries of one kernel: the first keeps its score, the others keep exp(-2) of theirs."""
    plain, lowered = (build(score_thr=0.0, nms_sigma=sigma).eval() for sigma in (None, 2.0))
    results = []
    for head in (plain, lowered):
        for layer in (*head.kernel, *head.classifier):
            torch.nn.init.zeros_(layer.weight)
        torch.nn.init.constant_(head.kernel[0].bias, 0.1)
        with torch.no_grad():
            results.append(head.predict(features(batch=1), [sample(0)])[0])
    score = results[0].scores[0]
    torch.testing.assert_close(results[0].scores, score.expand(5))
    torch.testing.assert_close(results[1].scores[0], score)
    torch.testing.assert_close(results[1].scores[1:], (score * math.exp(-2)).expand(4))
