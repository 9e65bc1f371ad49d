"""GatewayHead: losses in both ways of training, encoding once, and telling crossing objects apart."""

import math

import numpy as np
import pytest
import torch

from cellmm.datasets.transforms.disk_targets import DiskTargets
from cellmm.datasets.transforms.packing import PackCellInputs
from cellmm.datasets.transforms.reference_points import ReferencePoints
from cellmm.errors import CellMMError
from cellmm.models import feature_pyramid
from cellmm.registry import MODELS
from cellmm.structures import LabelLayers

SIZE = (48, 64)
CHANNELS = (5, 6, 7)
OURS = dict(
    window=16,
    train_gates=4,
    anywhere=0.25,
    found=0.5,
    gates="peaks",
    fine_skip=True,
    score="quality",
    loss_dice_weight=1.0,
    loss_quality_weight=0.5,
)
PUBLISHED = dict(keep_prob=1.0)
WAYS = pytest.mark.parametrize("options", [PUBLISHED, OURS], ids=["published", "ours"])


def build(stride=2, norm="BN", seed=0, **options):
    torch.manual_seed(seed)
    deco_net = dict(widths=(4, 6), norm=norm, padding="same", upsample="nearest")
    return MODELS.build(
        dict(
            dict(
                type="GatewayHead",
                in_specs=feature_pyramid(CHANNELS, stride),
                feature_channels=4,
                train_radius=3,
            ),
            deco_net=deco_net,
            **options,
        )
    )


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
    for transform in (ReferencePoints(kind=kind), DiskTargets(stride=stride, radius=radius)):
        results = transform(results)
    return PackCellInputs()(results)["data_samples"]


def total(losses):
    return sum(losses.values())


@WAYS
def test_loss_is_finite_and_reaches_everything(options):
    head = build(**options)
    given = [one.requires_grad_() for one in features(2)]
    losses = head.loss(given, [sample(bars(3)), sample(bars(1))])
    expected = {"loss_disk", "loss_mask"} | ({"loss_dice", "loss_quality"} if "window" in options else set())
    assert set(losses) == expected and all(value > 0 for value in losses.values())
    total(losses).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0 or name.endswith("conv.bias"), name
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in given)


def test_quality_learns_and_teaches_nothing_else():
    head = build(**OURS)
    given = [one.requires_grad_() for one in features()]
    head.loss(given, [sample(bars(3))])["loss_quality"].backward()
    assert all(one.grad is None for one in given)
    for name, parameter in head.named_parameters():
        assert (parameter.grad is not None) == name.startswith("quality."), name


@WAYS
@pytest.mark.parametrize("counts", [(0,), (1,), (0, 1), (0, 0)])
def test_few_cells(options, counts):
    head = build(**options)
    losses = head.loss(features(len(counts)), [sample(bars(n)) for n in counts])
    assert all(torch.isfinite(value) for value in losses.values()) and losses["loss_disk"] > 0
    # as published a tile without an open gateway has an empty mask to learn
    assert (losses["loss_mask"] > 0) == (any(counts) or "window" not in options)
    total(losses).backward()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)
    assert all(torch.isfinite(value).all() for value in head.state_dict().values())


@WAYS
def test_no_gateway_for_disks_on_the_border_and_cells_without_one(options):
    """Cell 1 has no disk (its point is nan), cell 3 is whole; the disk of cell 2 lies on the last column: the
    published way leaves it out, since F ends there inside the image."""
    head = build(**dict(options, found=0.0))
    one = sample(bars(3))
    one.gt_points[0] = float("nan")
    one.gt_disks[one.gt_disks == 1] = 0
    one.gt_disks[5, -1] = 2
    disks, _, _ = head._disk_targets(torch.zeros(1, 2, 24, 32), [one])
    expected = {3} if head.train_gates is None else {2, 3}
    for seed in range(5):
        torch.manual_seed(seed)
        opened = head._open_for_training(torch.zeros(1, 24, 32), disks, [one])
        assert {i for cells in opened.cells for i in cells.tolist()} == expected
    assert torch.isfinite(total(head.loss(features(), [one])))


def test_published_opens_a_union_of_thinned_disks():
    head = build(keep_prob=0.5)
    one = sample(bars(4))
    disks, _, _ = head._disk_targets(torch.zeros(1, 2, 24, 32), [one])
    number, areas = [], set()
    for _ in range(60):
        opened = head._open_for_training(torch.zeros(1, 24, 32), disks, [one])
        assert opened.gates.shape == (1, 24, 32) and len(opened.cells) == 1
        cells = opened.cells[0]
        inside = disks[0][opened.gates[0]]
        assert sorted(set(inside.tolist())) == cells.tolist()  # inside the open disks, and nowhere else
        areas |= {int((inside == i).sum()) for i in cells}
        number.append(len(cells))
    assert 1.5 < np.mean(number) < 2.5 and min(number) == 0 and max(number) == 4
    assert len(areas) >= 3 and max(areas) <= int((disks == 1).sum())


def test_published_thinning_is_one_draw_an_image_and_opens_whole_disks():
    """Disks of radius 5 lose 0 to 3 layers, all of an image as many: what predicting opens is learned."""
    head = build(stride=1, keep_prob=1.0, train_thinning=3)
    masks = np.zeros((3, 48, 64), bool)
    for i in range(3):
        masks[i, 14:34, 4 + 20 * i : 20 + 20 * i] = True
    one = sample(masks, stride=1, radius=5)
    disks = one.gt_disks
    seen = set()
    for _ in range(60):
        opened = head._open_for_training(torch.zeros(1, 48, 64), disks[None], [one])
        areas = {int((opened.gates[0] & (disks == i)).sum()) for i in (1, 2, 3)}
        assert len(areas) == 1 and not (opened.gates[0] & (disks == 0)).any()
        seen |= areas
    assert seen == {81, 52, 28, 12}


def test_a_tile_without_an_open_gateway_learns_an_empty_mask():
    """Logit 0 costs log 2, logit -30 nothing; a window of ours without a cell costs nothing."""
    for logit, expected in ((0.0, math.log(2)), (-30.0, 0.0)):
        head = build(keep_prob=0.0)
        head.draw = lambda features, f, image, first, gates, logit=logit: (
            torch.full((len(gates), 1, 24, 32), logit),
            torch.zeros(len(gates), 6, 1, 1),
        )
        losses = head.loss(features(2), [sample(bars(2)), sample(bars(1))])
        assert losses["loss_mask"].item() == pytest.approx(expected, abs=1e-6)


def test_the_published_mask_is_the_union():
    """Logit 0 costs log 2 everywhere, logit 30 the share of the map that no bar covers, times 30."""
    head = build(**PUBLISHED)
    seen = {}

    def draw(features, f, image, first, gates):
        seen["open"] = gates
        return torch.full((len(gates), 1, 24, 32), seen["logit"]), torch.zeros(len(gates), 6, 1, 1)

    head.draw = draw
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
        one = sample(bars(2), ignore=ignore)
        if change:
            extra = torch.from_numpy(ignore) & (torch.rand(SIZE, generator=torch.Generator()) < 0.5)
            one.gt_layers = torch.where(extra, torch.ones_like(one.gt_layers), one.gt_layers)
        torch.manual_seed(3)
        losses.append(head.loss(features(), [one]))
    assert losses[0]["loss_mask"] > 0
    for name, value in losses[0].items():
        assert value.item() == losses[1][name].item(), name


def test_targets_that_do_not_fit():
    head = build()
    with pytest.raises(CellMMError, match=r"a1.tif: .*set stride=2 in DiskTargets") as error:
        head.loss(features(), [sample(bars(2), stride=1)])
    assert "\n" not in str(error.value)
    with pytest.raises(CellMMError, match=r"a1.tif: a cell of class 1 .*num_classes") as error:
        head.loss(features(), [sample(bars(2), labels=[0, 1])])
    assert "\n" not in str(error.value)
    assert build(num_classes=2).loss(features(), [sample(bars(2), labels=[0, 1])])["loss_disk"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(gates="boxes"), "gates must be"),
        (dict(window=16, train_gates=2, train_thinning=3), "of the published training"),
        (dict(train_thinning=-1), "train_thinning must be None or 0"),
        (dict(patience=0), "patience must be None or above 0"),
        (dict(max_gates=0), "max_gates must be None or 1"),
        (dict(score="area"), "score must be"),
        (dict(score="quality"), "needs loss_quality_weight"),
        (dict(train_gates=2), "needs a window"),
        (dict(window=18), "multiple of 4"),
        (dict(window=16, train_gates=3, anywhere=0.5, found=0.5), "more than 3 train_gates"),
        (dict(loss_quality_weight=0.5), "need train_gates"),
        (dict(window=4), "one pixel to batch normalisation: take 8"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_a_stride_that_is_not_that_of_the_map_is_one_line():
    for stride, maps in ((1, features(stride=2)), (2, features(size=(128, 128), stride=1))):
        one = sample(bars(2, SIZE if stride == 1 else (128, 128)), stride=stride)
        with pytest.raises(CellMMError, match=f"is not of stride {stride}"):
            build(stride=stride).loss(maps, [one])


def test_unpadded_nets_need_room():
    valid = dict(
        deco_net=dict(widths=(4, 6), norm="none", padding="valid"), in_specs=feature_pyramid(CHANNELS)
    )
    config = dict(type="GatewayHead", feature_channels=4, **valid)
    least = MODELS.build(config).deco_net.min_size
    assert 20 < least < 60
    with pytest.raises(ValueError, match=f"at least {least} without padding, got {least - 1}"):
        MODELS.build(dict(config, window=least - 1, train_gates=2))
    with pytest.raises(
        CellMMError, match=f"DecoNet needs {least} or more: train on crops that are .* larger"
    ):
        small = sample(bars(1, (20, 30)), stride=1)
        MODELS.build(config).loss([torch.zeros(1, c, 20, 30) for c in CHANNELS], [small])


def test_no_gateway_is_looked_for_in_what_is_ignored():
    """A cell half of which is mirrored: nothing is known of a mask there, so its quality is not learned."""
    ignore = np.zeros(SIZE, bool)
    ignore[:, 32:] = True
    head = build(**dict(OURS, anywhere=0.0, found=1.0, train_gates=8))
    one, seen = sample(bars(4), ignore=ignore), []
    find = head.find
    head.find = lambda probs: seen.append(probs) or find(probs)
    head.loss(features(), [one])
    assert (seen[0][:, 16:] == 0).all() and (seen[0][:, :16] > 0).any()


def test_quality_sees_the_same_disk_probability_in_training_and_in_use():
    head = build(**dict(OURS, anywhere=0.0, found=0.0))
    head.disk_logits.bias.data[:] = torch.tensor([0.0, 1.0])
    seen = []
    quality = head.quality.forward
    head.quality.forward = lambda coarsest, logits, probs: (
        seen.append(probs) or quality(coarsest, logits, probs)
    )
    maps = features()
    head.loss(maps, [sample(bars(2))])
    head.eval()
    head.gate_thr = 0.0
    out = head.predict(maps, [None])[0]
    probs = 1 - head(maps)["disk_logits"].softmax(1)[0, 0]
    row, col = torch.from_numpy((out.points + 0.5) / 2 - 0.5).round().long().unbind(1)
    assert set(probs[row, col].tolist()) <= {float(one) for batch in seen[1:] for one in batch}


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
            deco_net=dict(widths=(4, 4, 6, 8), **common),
            window=324,
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
    once, _ = head.draw(whole_maps, f, which, first, window)
    whole, _ = head.draw(whole_maps, f, which, zero, gates)
    tile_maps = decoder(encoder(image[..., 32 : 32 + 516, 48 : 48 + 516]))
    double, _ = head.draw(tile_maps, head.features(tile_maps[0]), which, zero, window)
    assert once.shape == (1, 1, 132, 132) and once.std() > 0.01
    assert (once - whole[..., 32 : 32 + 132, 48 : 48 + 132]).abs().max() < 1e-4
    assert (once - double).abs().max() < 1e-4


@pytest.mark.parametrize("size", [(24, 40), (56, 72)])
def test_all_of_f_without_a_window(size):
    """3 x 5 and 7 x 9 pixels on the coarsest map of four pixels each."""
    head = build(keep_prob=1.0)
    head.loss(features(1, size), [sample(np.zeros((0, *size), bool))])
    head.eval()
    head.disk_logits.bias.data = torch.tensor([-9.0, 9.0])
    head.score_thr = -1.0
    head.deco_net.logits.bias.data.fill_(9.0)
    out = head.predict(features(1, size), [None])[0]
    assert [tuple(one.shape) for one in out.probs] == [(size[0] // 2, size[1] // 2)]
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
            deco_net=dict(widths=(8, 12, 16), norm="BN", padding="same", upsample="nearest"),
            fine_skip=True,
            window=32,
            train_gates=3,
            train_radius=3,
            gates="peaks",
            loss_dice_weight=1.0,
            nms_thr=0.6,
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
