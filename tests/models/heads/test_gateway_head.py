"""GatewayHead: losses in both ways of training, encoding once, and telling crossing objects apart."""

import math

import numpy as np
import pytest
import torch

from cellmm.datasets.transforms.disk_targets import DiskTargets
from cellmm.datasets.transforms.packing import PackCellInputs
from cellmm.datasets.transforms.reference_points import ReferencePoints
from cellmm.errors import CellMMError
from cellmm.models.feature_spec import feature_pyramid
from cellmm.models.heads.gateway_targets import ImageTargets
from cellmm.models.layers.pixel_grid import PixelGrid
from cellmm.registry import MODELS
from cellmm.structures import LabelLayers

SIZE = (48, 64)
CHANNELS = (5, 6, 7)
OURS = dict(
    mask_decoder=dict(fine_skip=True),
    finder=dict(type="PeakFinder"),
    sampler=dict(type="SingleGatewaySampler", num_gates=4, random_share=0.25, detected_share=0.5, radius=3),
    criterion=dict(type="GatewayCriterion", loss_dice=dict(type="DiceLoss")),
    scoring=dict(
        type="GatewayScoring",
        objectness=dict(type="MaskQuality", loss=dict(type="BCELoss", loss_weight=0.5)),
    ),
    windows=dict(type="GrowingWindows", size=16),
)
PUBLISHED = dict(sampler=dict(type="UnionGatewaySampler", keep_prob=1.0, thinning=1))
WAYS = pytest.mark.parametrize("options", [PUBLISHED, OURS], ids=["published", "ours"])


def build(stride=2, norm="BN", mask_decoder=(), **options):
    torch.manual_seed(0)
    decoder = dict(type="DecoNet", widths=(4, 6), norm=norm, padding="same", upsample="nearest")
    return MODELS.build(
        dict(
            type="GatewayHead",
            in_specs=feature_pyramid(CHANNELS, stride),
            feature_channels=4,
            mask_decoder=dict(decoder, **dict(mask_decoder)),
            **options,
        )
    )


def single(num_gates, random_share=0.0, detected_share=0.0, radius=3):
    return dict(OURS["sampler"], num_gates=num_gates, radius=radius) | dict(
        random_share=random_share, detected_share=detected_share
    )


def union(keep_prob=1.0, thinning=1):
    return dict(type="UnionGatewaySampler", keep_prob=keep_prob, thinning=thinning)


def open_gateways(head, given, stride=2):
    """What the head's sampler opens in one image where the head sees no disk at all."""
    shape = tuple(side // stride for side in given.gt_layers.shape[-2:])
    targets = ImageTargets(given, PixelGrid(stride), shape)
    return head.sampler.sample(targets, torch.zeros(shape), head.finder, head.windows)


def features(batch=1, size=SIZE, stride=2):
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randn(batch, c, size[0] // stride // 2**i, size[1] // stride // 2**i, generator=generator)
        for i, c in enumerate(CHANNELS)
    ]


def bars(count, size=SIZE):
    """Upright bars, 6 x 14 pixels, the second and later ones on the same rows; none touches the border."""
    masks = np.zeros((count, *size), bool)
    for i in range(count):
        masks[i, 14:28, 9 + 12 * i : 15 + 12 * i] = True
    return masks


def sample(masks, stride=2, radius=3, labels=None, ignore=None, kind="inside"):
    results = dict(
        img=np.zeros((*masks.shape[1:], 1), np.float32),
        img_path="wells/a1.tif",
        gt_layers=LabelLayers.from_masks(masks, shape=masks.shape[1:]),
        gt_labels=np.zeros(len(masks), np.int64) if labels is None else np.array(labels),
        gt_ignore=np.zeros(len(masks), bool),
    )
    if ignore is not None:
        results["ignore"] = ignore
    for transform in (ReferencePoints(kind=kind, stride=stride, step=1), DiskTargets(radius=radius)):
        results = transform(results)
    return PackCellInputs()(results)["data_samples"]


def total(losses):
    return sum(losses.values())


@WAYS
def test_loss_is_finite_and_reaches_everything(options):
    head = build(**options)
    given = [fmap.requires_grad_() for fmap in features(2)]
    losses = head.loss(given, [sample(bars(3)), sample(bars(1))])
    expected = {"loss_disk", "loss_mask"} | ({"loss_dice", "loss_quality"} if options is OURS else set())
    assert set(losses) == expected and all(value > 0 for value in losses.values())
    total(losses).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0 or name.endswith("conv.bias"), name
    assert all(fmap.grad is not None and fmap.grad.abs().sum() > 0 for fmap in given)


def test_quality_learns_and_teaches_nothing_else():
    head = build(**OURS)
    given = [fmap.requires_grad_() for fmap in features()]
    head.loss(given, [sample(bars(3))])["loss_quality"].backward()
    assert all(fmap.grad is None for fmap in given)
    for name, parameter in head.named_parameters():
        assert (parameter.grad is not None) == name.startswith("scoring."), name


@WAYS
@pytest.mark.parametrize("counts", [(0,), (1,), (0, 1), (0, 0)])
def test_few_cells(options, counts):
    head = build(**options)
    losses = head.loss(features(len(counts)), [sample(bars(n)) for n in counts])
    assert all(torch.isfinite(value) for value in losses.values()) and losses["loss_disk"] > 0
    # as published a tile without an open gateway has an empty mask to learn
    assert (losses["loss_mask"] > 0) == (any(counts) or options is PUBLISHED)
    total(losses).backward()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)
    assert all(torch.isfinite(value).all() for value in head.state_dict().values())


@WAYS
def test_no_gateway_for_disks_on_the_border_and_cells_without_one(options):
    """Cell 1 has no disk (its point is nan), cell 3 is whole; the disk of cell 2 lies on the last column: the
    published way leaves it out, since F ends there inside the image."""
    head = build(**options if options is PUBLISHED else dict(OURS, sampler=single(4, random_share=0.25)))
    target = sample(bars(3))
    target.gt_points[0] = float("nan")
    target.gt_disks[target.gt_disks == 1] = 0
    target.gt_disks[5, -1] = 2
    expected = {3} if options is PUBLISHED else {2, 3}
    for seed in range(5):
        torch.manual_seed(seed)
        opened = open_gateways(head, target)
        assert {i for cells in opened.cells for i in cells.tolist()} == expected
    assert torch.isfinite(total(head.loss(features(), [target])))


def test_published_opens_a_union_of_thinned_disks():
    head = build(sampler=union(keep_prob=0.5, thinning=2))
    target = sample(bars(4))
    disks = target.gt_disks
    number, areas = [], set()
    for _ in range(120):
        opened = open_gateways(head, target)
        assert opened.gates.shape == (1, 24, 32) and len(opened.cells) == 1
        cells = opened.cells[0]
        inside = disks[opened.gates[0]]
        assert sorted(set(inside.tolist())) == cells.tolist()  # inside the open disks, and nowhere else
        areas |= {int((inside == i).sum()) for i in cells}
        number.append(len(cells))
    assert 1.5 < np.mean(number) < 2.5 and min(number) == 0 and max(number) == 4
    assert len(areas) >= 2 and max(areas) == int((disks == 1).sum())


def test_published_thinning_is_one_draw_an_image_and_opens_whole_disks():
    """Disks of radius 5 lose 0 to 3 layers, all of an image as many: what predicting opens is learned."""
    head = build(stride=1, sampler=union(thinning=3))
    masks = np.zeros((3, 48, 64), bool)
    for i in range(3):
        masks[i, 14:34, 4 + 20 * i : 20 + 20 * i] = True
    target = sample(masks, stride=1, radius=5)
    disks = target.gt_disks
    seen = set()
    for _ in range(60):
        opened = open_gateways(head, target, stride=1)
        areas = {int((opened.gates[0] & (disks == i)).sum()) for i in (1, 2, 3)}
        assert len(areas) == 1 and not (opened.gates[0] & (disks == 0)).any()
        seen |= areas
    assert seen == {81, 52, 28, 12}


def test_a_tile_without_an_open_gateway_learns_an_empty_mask():
    """Logit 0 costs log 2, logit -30 nothing; a window of ours without a cell costs nothing."""
    for logit, expected in ((0.0, math.log(2)), (-30.0, 0.0)):
        head = build(sampler=union(keep_prob=0.0))
        head.decode_windows = lambda features, f, image, first, gates, logit=logit: (
            torch.full((len(gates), 24, 32), logit),
            torch.zeros(len(gates), 6, 1, 1),
        )
        losses = head.loss(features(2), [sample(bars(2)), sample(bars(1))])
        assert losses["loss_mask"].item() == pytest.approx(expected, abs=1e-6)


def test_the_published_mask_is_the_union():
    """Logit 0 costs log 2 everywhere, logit 30 costs 30 times the share of the map that no bar covers."""
    head = build(**PUBLISHED)
    seen = {}

    def decode_windows(features, f, image, first, gates):
        seen["open"] = gates
        return torch.full((len(gates), 24, 32), seen["logit"]), torch.zeros(len(gates), 6, 1, 1)

    head.decode_windows = decode_windows
    for logit in (0.0, 30.0):
        seen["logit"] = logit
        loss = head.loss(features(), [sample(bars(2))])["loss_mask"].item()
        covered = 2 * 6 * 14 / (48 * 64)
        expected = math.log(2) if logit == 0 else 30 * (1 - covered)
        assert loss == pytest.approx(expected, rel=1e-5)


@WAYS
def test_ignored_pixels_change_nothing(options):
    ignore = np.zeros(SIZE, bool)
    ignore[:, 40:] = ignore[36:] = True
    losses = []
    for change in (False, True):
        head = build(**options)
        target = sample(bars(2), ignore=ignore)
        if change:
            extra = torch.from_numpy(ignore) & (torch.rand(SIZE, generator=torch.Generator()) < 0.5)
            target.gt_layers = torch.where(extra, torch.ones_like(target.gt_layers), target.gt_layers)
        torch.manual_seed(3)
        losses.append(head.loss(features(), [target]))
    assert losses[0]["loss_mask"] > 0
    for name, value in losses[0].items():
        assert value.item() == losses[1][name].item(), name


def test_targets_that_do_not_fit():
    head = build()
    with pytest.raises(CellMMError, match=r"a1.tif: .*set stride=2 in ReferencePoints") as error:
        head.loss(features(), [sample(bars(2), stride=1)])
    assert "\n" not in str(error.value)
    with pytest.raises(CellMMError, match=r"a1.tif: a cell of class 1 .*num_classes") as error:
        head.loss(features(), [sample(bars(2), labels=[0, 1])])
    assert "\n" not in str(error.value)
    assert build(num_classes=2).loss(features(), [sample(bars(2), labels=[0, 1])])["loss_disk"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(windows=dict(type="GrowingWindows", patience=0)), "patience must be None or above 0"),
        (dict(sampler=single(2)), "SingleGatewaySampler needs windows of a size; set windows.size"),
        (dict(windows=dict(type="GrowingWindows", size=18)), "multiple of 4"),
        (dict(scoring=OURS["scoring"]), "UnionGatewaySampler opens several together; take SingleGateway"),
        (dict(windows=dict(type="GrowingWindows", size=4)), "one pixel to batch normalisation: take 8"),
    ],
)
def test_parts_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message) as error:
        build(**options)
    assert "\n" not in str(error.value)


def test_unpadded_nets_need_room():
    config = dict(
        type="GatewayHead",
        in_specs=feature_pyramid(CHANNELS),
        feature_channels=4,
        mask_decoder=dict(type="DecoNet", widths=(4, 6), norm="none", padding="valid"),
    )
    least = MODELS.build(config).mask_decoder.min_size
    assert 20 < least < 60
    with pytest.raises(ValueError, match=f"at least {least} without padding, got {least - 1}"):
        MODELS.build(dict(config, windows=dict(type="GrowingWindows", size=least - 1)))
    with pytest.raises(
        CellMMError, match=f"DecoNet needs {least} or more: train on crops that are .* larger"
    ):
        small = sample(bars(1, (20, 30)), stride=1)
        MODELS.build(config).loss([torch.zeros(1, c, 20, 30) for c in CHANNELS], [small])


def test_no_gateway_is_looked_for_in_what_is_ignored():
    """A cell half of which is mirrored: nothing is known of a mask there, so its quality is not learned."""
    ignore = np.zeros(SIZE, bool)
    ignore[:, 32:] = True
    head = build(**dict(OURS, sampler=single(8, detected_share=1.0)))
    target, seen = sample(bars(4), ignore=ignore), []
    find = head.finder.find
    head.finder.find = lambda probs: seen.append(probs) or find(probs)
    head.loss(features(), [target])
    assert (seen[0][:, 16:] == 0).all() and (seen[0][:, :16] > 0).any()


def test_quality_sees_the_same_disk_probability_in_training_and_in_use():
    head = build(**dict(OURS, sampler=single(4)))
    head.disk_logits.bias.data[:] = torch.tensor([0.0, 1.0])
    seen = []
    quality = head.scoring.objectness.forward
    head.scoring.objectness.forward = lambda features, logits, probs: (
        seen.append(probs) or quality(features, logits, probs)
    )
    maps = features()
    head.loss(maps, [sample(bars(2))])
    head.eval()
    head.finder.score_thr = 0.0
    out = head.predict(maps, [None])[0]
    probs = 1 - head(maps)["disk_logits"].softmax(1)[0, 0]
    row, col = np.rint((out.points + 0.5) / 2 - 0.5).astype(int).T
    assert set(probs[row, col].tolist()) <= {float(prob) for batch in seen[1:] for prob in batch}


@WAYS
def test_bfloat16_is_near_float32(options):
    losses = []
    for enabled in (False, True):
        head = build(norm="none", **options)
        torch.manual_seed(2)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            losses.append(head.loss(features(), [sample(bars(3))]))
            total(losses[-1]).backward()
    for name, value in losses[0].items():
        assert losses[1][name].item() == pytest.approx(value.item(), rel=0.05, abs=0.01), name


@torch.no_grad()
def test_encoding_once_is_the_double_pass():
    """Unpadded nets: a window of F = all of F with that gateway open = both nets on the tile, to 1e-4."""
    torch.manual_seed(0)
    common = dict(padding="valid", norm="none")
    encoder = MODELS.build(dict(type="SEUNetEncoder", widths=(4, 4, 6, 8), stem_stride=2, se=False, **common))
    decoder = MODELS.build(
        dict(type="EncoNetDecoder", in_specs=encoder.out_specs, widths=(4, 4, 4, 6), **common)
    )
    head = MODELS.build(
        dict(
            type="GatewayHead",
            in_specs=decoder.out_specs,
            feature_channels=4,
            mask_decoder=dict(type="DecoNet", widths=(4, 4, 6, 8), **common),
            windows=dict(type="GrowingWindows", size=324),
        )
    )
    for net in (encoder, decoder, head):
        for parameter in net.parameters():
            torch.nn.init.normal_(parameter, std=(2 / max(parameter[0].numel(), 1)) ** 0.5)
    image = torch.rand(1, 1, 580, 580)
    whole_maps = decoder(encoder(image))
    f = head.features(whole_maps[0])
    assert f.shape[-2:] == (388, 388)
    gates = torch.zeros(1, 388, 388, dtype=torch.bool)
    gates[0, 190:195, 200:205] = True
    which, zero, first = torch.tensor([0]), torch.tensor([[0, 0]]), torch.tensor([[32, 48]])
    window = gates[:, 32 : 32 + 324, 48 : 48 + 324]
    once, _ = head.decode_windows(whole_maps, f, which, first, window)
    whole, _ = head.decode_windows(whole_maps, f, which, zero, gates)
    tile_maps = decoder(encoder(image[..., 32 : 32 + 516, 48 : 48 + 516]))
    double, _ = head.decode_windows(tile_maps, head.features(tile_maps[0]), which, zero, window)
    assert once.shape == (1, 132, 132) and once.std() > 0.01
    assert (once - whole[..., 32 : 32 + 132, 48 : 48 + 132]).abs().max() < 1e-4
    assert (once - double).abs().max() < 1e-4


@pytest.mark.parametrize("size", [(24, 40), (56, 72)])
def test_all_of_f_without_a_window(size):
    """3 x 5 and 7 x 9 pixels on the coarsest map of four pixels each."""
    head = build(**PUBLISHED)
    head.loss(features(1, size), [sample(np.zeros((0, *size), bool))])
    head.eval()
    head.disk_logits.bias.data = torch.tensor([-9.0, 9.0])
    head.mask_decoder.logits.bias.data.fill_(9.0)
    out = head.predict(features(1, size), [None])[0]
    assert [prob.shape for prob in out.probs] == [(size[0] // 2, size[1] // 2)]
    assert out.origins.tolist() == [[0, 0]]


def scene():
    """Two crossing bars and a disk on 64 x 64 pixels: the image and bool (3, 64, 64)."""
    y, x = np.mgrid[:64, :64]
    masks = np.stack(
        [
            (abs(y - 22) <= 3) & (x >= 4) & (x <= 58),
            (abs(x - 20) <= 3) & (y >= 6) & (y <= 58),
            (y - 46) ** 2 + (x - 46) ** 2 <= 81,
        ]
    )
    image = masks.sum(0) + 0.1 * np.random.default_rng(0).standard_normal((64, 64))
    return torch.from_numpy(image[None, None]).float(), masks


def test_learns_to_tell_crossing_objects_apart():
    torch.manual_seed(0)
    image, masks = scene()
    encoder = MODELS.build(dict(type="SEUNetEncoder", widths=(8, 12, 16, 16), stem_stride=2, se=False))
    decoder = MODELS.build(
        dict(type="SEUNetDecoder", in_specs=encoder.out_specs, widths=(8, 12, 16), se=False)
    )
    head = MODELS.build(
        dict(
            type="GatewayHead",
            in_specs=decoder.out_specs,
            feature_channels=8,
            mask_decoder=dict(
                type="DecoNet",
                widths=(8, 12, 16),
                norm="BN",
                padding="same",
                upsample="nearest",
                fine_skip=True,
            ),
            finder=dict(type="PeakFinder"),
            sampler=single(3),
            criterion=OURS["criterion"],
            windows=dict(type="GrowingWindows", size=32),
            test_cfg=dict(nms=dict(type="MaskNMS", iou_thr=0.6)),
        )
    )
    nets = torch.nn.ModuleList([encoder, decoder, head])
    target = sample(masks, radius=3, kind="medial")
    assert sorted(target.gt_disks.unique().tolist()) == [0, 1, 2, 3]
    optimizer = torch.optim.Adam(nets.parameters(), lr=5e-3)
    for _ in range(120):
        optimizer.zero_grad()
        total(head.loss(decoder(encoder(image)), [target])).backward()
        optimizer.step()
    nets.eval()
    with torch.no_grad():
        out = head.predict(decoder(encoder(image)), [target])[0]
    best = []
    for mask in masks:
        ious = []
        for probs, (top, left) in zip(out.probs, out.origins.tolist(), strict=True):
            drawn = np.zeros((32, 32), bool)
            drawn[top : top + probs.shape[0], left : left + probs.shape[1]] = probs > 0.5
            drawn = drawn.repeat(2, 0).repeat(2, 1)
            ious.append((drawn & mask).sum() / (drawn | mask).sum())
        best.append((max(ious), int(np.argmax(ious))))
    assert min(iou for iou, _ in best) > 0.7, best
    assert len({which for _, which in best}) == 3 == len(out.scores)
