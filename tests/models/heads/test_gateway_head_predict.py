"""GatewayHead.predict on hand-made disks, with objects that a stand-in for DecoNet knows."""

import numpy as np
import pytest
import torch

from cellmm.models.feature_spec import FeatureSpec, feature_pyramid
from cellmm.registry import MODELS

SHAPE = (48, 64)


def build(origin=0, stride=1, finder=(), windows=(), mask_decoder=None, **options):
    torch.manual_seed(0)
    finest, *coarser = feature_pyramid((5, 6, 7), stride)
    return MODELS.build(
        dict(
            type="GatewayHead",
            in_specs=(FeatureSpec(finest.channels, stride, origin), *coarser),
            feature_channels=4,
            mask_decoder=mask_decoder or dict(type="DecoNet", widths=(4, 6), norm="BN", padding="same"),
            finder=dict(dict(type="PeakFinder"), **dict(finder)),
            windows=dict(type="GrowingWindows", **dict(windows)),
            **options,
        )
    ).eval()


LEARNED_QUALITY = dict(
    sampler=dict(type="SingleGatewaySampler", num_gates=2),
    scoring=dict(type="GatewayScoring", objectness=dict(type="MaskQuality")),
)


def disks(points, radius=3, shape=SHAPE):
    y, x = torch.meshgrid(*(torch.arange(n) for n in shape), indexing="ij")
    out = torch.zeros(shape, dtype=torch.bool)
    for row, col in points:
        out |= (y - row) ** 2 + (x - col) ** 2 <= radius**2
    return out


def box(top, left, bottom, right, shape=SHAPE):
    out = torch.zeros(shape, dtype=torch.bool)
    out[top:bottom, left:right] = True
    return out


def predict(head, points, objects, probs=0.9, classes=None, calls=None):
    """``predict`` where object i is drawn, with probability ``probs``, through a gateway at points[i]."""
    objects = torch.stack(objects) if objects else torch.zeros(0, *SHAPE, dtype=torch.bool)
    probs = torch.as_tensor(probs).expand(len(objects))
    logits = torch.full((1, head.num_classes + 1, *SHAPE), -6.0)
    logits[:, 0] = 6.0
    for i, point in enumerate(points):
        inside = disks([point])
        logits[0, 0, inside] = -6.0
        logits[0, 1 + (classes[i] if classes else 0), inside] = 6.0

    def decode_windows(features, f, image, first, gates):
        size = gates.shape[-2:]
        if calls is not None:
            calls.append((len(gates), tuple(size)))
        out = torch.full((len(gates), *size), -6.0)
        for k, (row, col) in enumerate(first.tolist()):
            where = gates[k].nonzero().float().mean(0) + first[k]
            away = (torch.tensor(points) - where).norm(dim=1)
            i = int(away.argmin())
            assert away[i] < 1.5, "the gateway lies in its window"
            part = objects[i, row : row + size[0], col : col + size[1]]
            out[k] = torch.where(part, torch.logit(probs[i]), out[k])
        return out, torch.zeros(len(gates), 6, 1, 1)

    head.decode_windows = decode_windows
    head.forward = lambda features: dict(features=torch.zeros(1, 4, *SHAPE), disk_logits=logits)
    return head.predict([], [None])[0]


def pasted(out, before=0):
    """bool (n, H, W) on the map, from the windows; ``before``: pixels before the map's first."""
    full = np.zeros((len(out), *SHAPE), bool)
    for mask, probs, (top, left) in zip(full, out.probs, (out.origins - before).tolist(), strict=True):
        mask[top : top + probs.shape[0], left : left + probs.shape[1]] = probs > out.mask_thr
    return torch.from_numpy(full)


NMS = dict(nms=dict(type="MaskNMS", iou_thr=0.6))
POINTS = [(10.0, 12.0), (30.0, 20.0), (24.0, 50.0)]
OBJECTS = [box(8, 8, 13, 20), box(26, 16, 36, 24), box(20, 40, 28, 60)]


@pytest.mark.parametrize("finder", ["PeakFinder", "ComponentFinder"])
@pytest.mark.parametrize("window", [None, 16, 32])
def test_masks_scores_points_and_order(finder, window):
    head = build(finder=dict(type=finder), windows=dict(size=window))
    out = predict(head, POINTS, OBJECTS, probs=[0.7, 0.9, 0.8])
    torch.testing.assert_close(out.scores, torch.tensor([0.9, 0.8, 0.7]))
    order = [1, 2, 0]
    assert torch.equal(pasted(out), torch.stack(OBJECTS)[order])
    np.testing.assert_allclose(out.points, np.array(POINTS)[order], rtol=1e-6)
    assert out.labels.tolist() == [0, 0, 0] and out.origins.dtype == np.int64


def test_points_and_origins_in_pixels_of_the_input():
    """Stride 2, 10 pixels before the map: point 12 is at 2 x 12.5 - .5 + 10; windows start 5 pixels on."""
    head = build(stride=2, origin=10, windows=dict(size=16))
    out = predict(head, POINTS[:1], [box(8, 8, 13, 18)])
    assert out.points.tolist() == [[30.5, 34.5]]
    assert torch.equal(pasted(out, before=5)[0], box(8, 8, 13, 18))
    assert out.origins.tolist() == [[5, 9]]  # the window from (0, 4) on: (10, 12) - 8 = (2, 4)


def test_unpadded_masks_start_later_than_their_windows():
    """An unpadded DecoNet of two levels: 20 pixels less at each side, F 92 pixels into the image."""
    mask_decoder = dict(type="DecoNet", widths=(4, 6), norm="none", padding="valid")
    head = build(origin=92, mask_decoder=mask_decoder, windows=dict(size=60), test_cfg=dict(score_thr=0.0))
    maps = [torch.randn(1, c, 128 // 2**i, 160 // 2**i) for i, c in enumerate((5, 6, 7))]
    logits = torch.full((1, 2, 128, 160), -6.0)
    logits[:, 0] = 6.0
    inside = disks([(64, 90)], shape=(128, 160))
    logits[0, 0, inside], logits[0, 1, inside] = -6.0, 6.0
    head.forward = lambda features: dict(features=head.features(features[0]), disk_logits=logits)
    head.mask_decoder.logits.weight.data.zero_()
    head.mask_decoder.logits.bias.data.fill_(5.0)
    out = head.predict(maps, [None])[0]
    # full everywhere: the window grows to the whole map, whose mask lies 20 pixels inside it
    assert out.origins.tolist() == [[112, 112]] and out.points.tolist() == [[156.0, 182.0]]
    assert [tuple(mask.shape) for mask in out.probs] == [(88, 120)]


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_windows_grow_until_masks_fit(batch_size):
    """An object of 4 x 60 pixels, one of 4 x 26 and one that fits: windows of 16, 32 and 48 x 64."""
    points = [(8.0, 30.0), (24.0, 32.0), (40.0, 40.0)]
    objects = [box(6, 2, 10, 62), box(22, 19, 26, 45), box(38, 36, 43, 45)]
    head, calls = build(windows=dict(size=16, batch_size=batch_size)), []
    out = predict(head, points, objects, probs=[0.9, 0.8, 0.7], calls=calls)
    assert torch.equal(pasted(out), torch.stack(objects))
    torch.testing.assert_close(out.scores, torch.tensor([0.9, 0.8, 0.7]))
    number = {}
    for count, size in calls:
        assert count <= max(batch_size // (size[0] // 16) ** 2, 1)  # larger windows, fewer at once
        number[size] = number.get(size, 0) + count
    assert number == {(16, 16): 3, (32, 32): 2, (48, 64): 1}


def test_a_mask_at_the_border_of_the_map_is_not_cut():
    head, calls = build(windows=dict(size=16)), []
    out = predict(head, [(4.0, 4.0)], [box(0, 0, 8, 10)], calls=calls)
    assert calls == [(1, (16, 16))] and torch.equal(pasted(out)[0], box(0, 0, 8, 10))


def test_repeated_masks_go_and_crossing_ones_stay():
    """Two gateways on one object (IoU 1), and an object across it (IoU 16 / 176)."""
    points = [(20.0, 20.0), (20.0, 34.0), (10.0, 27.0)]
    objects = [box(18, 15, 22, 40), box(18, 15, 22, 40), box(6, 25, 30, 29)]
    assert len(predict(build(), points, objects, probs=[0.9, 0.8, 0.7]).scores) == 3
    out = predict(build(test_cfg=NMS), points, objects, probs=[0.9, 0.8, 0.7])
    torch.testing.assert_close(out.scores, torch.tensor([0.9, 0.7]))
    out = predict(build(test_cfg=NMS), points, objects, probs=[0.6, 0.8, 0.7])
    assert out.points.tolist() == [[20, 34], [10, 27]]


def test_only_the_best_gateways():
    out = predict(build(finder=dict(max_gates=2)), POINTS, OBJECTS)
    assert len(out.scores) == 2
    many = [(4.0 + 8 * r, 4.0 + 8 * c) for r in range(5) for c in range(7)]
    drawn = [disks([point]) for point in many]
    assert len(predict(build(windows=dict(batch_size=4)), many, drawn).scores) == 35


@pytest.mark.parametrize("finder", ["PeakFinder", "ComponentFinder"])
def test_none_at_all(finder):
    out = predict(build(finder=dict(type=finder), windows=dict(size=16), test_cfg=NMS), [], [])
    assert out.probs == [] and out.scores.shape == out.labels.shape == (0,)
    assert out.origins.shape == out.points.shape == (0, 2)


def test_low_scores_and_empty_masks_are_left_out():
    head = build(test_cfg=dict(score_thr=0.75))
    assert predict(head, POINTS, OBJECTS, probs=[0.7, 0.9, 0.8]).scores.tolist() == pytest.approx([0.9, 0.8])
    out = predict(build(test_cfg=NMS), POINTS, [OBJECTS[0], box(0, 0, 0, 0), OBJECTS[2]])
    assert len(out.scores) == 2


def test_classes_of_the_disks():
    out = predict(build(num_classes=2), POINTS, OBJECTS, probs=[0.9, 0.8, 0.7], classes=[1, 0, 1])
    assert out.labels.tolist() == [1, 0, 1]


def test_quality_is_a_factor_of_the_score():
    head = build(windows=dict(size=64), **LEARNED_QUALITY)
    head.scoring.objectness.forward = lambda coarsest, logits, probs: torch.logit(
        torch.full((len(logits),), 0.5)
    )
    out = predict(head, POINTS, OBJECTS, probs=[0.7, 0.9, 0.8])
    torch.testing.assert_close(out.scores, torch.tensor([0.45, 0.4, 0.35]))


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, LEARNED_QUALITY], ids=["published", "quality"])
def test_the_batch_of_gateways_changes_nothing(options):
    """The real DecoNet, on noise, one gateway at a time and sixteen together."""
    maps = [torch.randn(2, c, *(n // 2**i for n in SHAPE)) for i, c in enumerate((5, 6, 7))]
    outs = []
    for batch_size in (1, 16):
        windows = dict(size=16, batch_size=batch_size, patience=None)
        head = build(windows=windows, test_cfg=dict(score_thr=0.0), **options)
        outs.append(head.predict(maps, [None, None]))
    for alone, together in zip(*outs, strict=True):
        assert len(alone) > 5
        torch.testing.assert_close(alone.scores, together.scores, atol=1e-5, rtol=0)
        # scores that are all but equal may change places: compare by place
        a, b = (x.select(np.lexsort(x.points.T)) for x in (alone, together))
        np.testing.assert_allclose(a.points, b.points)
        torch.testing.assert_close(a.scores, b.scores, atol=1e-5, rtol=0)
        assert np.array_equal(a.origins, b.origins)
        for left, right in zip(a.probs, b.probs, strict=True):
            np.testing.assert_allclose(left, right, atol=1e-5)
