"""Models with heads of maps: one decoder and several, whole and in tiles, with cells made of the maps."""

import copy

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData
from torch import nn

from cellmm.errors import CellMMError
from cellmm.models import FeatureSpec
from cellmm.registry import MODELS, TASK_UTILS
from cellmm.structures import CellSample, rle

UNET = dict(type="SEUNetDecoder", widths=(6, 8))
FOUR = ("cytoplasm", "nuclei", "border", "background")
IAM = dict(
    type="IAMHead",
    num_queries=4,
    feature_dim=8,
    instance_branch=dict(channels=8, depth=1),
    mask_branch=dict(channels=8, depth=1, mask_dim=4),
    test_cfg=dict(score_thr=0.0),
)


def semantic(*targets):
    return {target: dict(type="SemanticHead", target=target) for target in targets}


def build(decoder=UNET, **more):
    torch.manual_seed(0)
    defaults = dict(
        type="CellSegmentor",
        data_preprocessor=dict(type="CellDataPreprocessor", in_channels=2),
        encoder=dict(type="SEUNetEncoder", widths=(4, 8, 8)),
        decoder=decoder,
    )
    return MODELS.build(dict(defaults, **more))


def parallel(*names, **decoder):
    return dict(type="ParallelDecoders", decoders={name: dict(UNET, **decoder) for name in names})


def data(*sizes, cells=2, channels=2, seed=0, to_original=None, ori_shape=None):
    rng = torch.Generator().manual_seed(seed)
    samples = []
    for i, (h, w) in enumerate(sizes):
        frame = dict(img_shape=(h, w), ori_shape=ori_shape or (h, w))
        frame["to_original"] = np.eye(3) if to_original is None else to_original
        sample = CellSample(metainfo=dict(img_id=i, img_path=f"{i}.tif", **frame))
        sample.gt_layers = torch.zeros(1, h, w, dtype=torch.int32)
        num = min(cells, h)
        for c in range(num):
            sample.gt_layers[0, c] = c + 1
        sample.gt_instances = InstanceData(labels=torch.zeros(num, dtype=torch.long))
        covered = (sample.gt_layers[0] > 0).to(torch.uint8)
        maps = dict(cytoplasm=covered, background=1 - covered, nuclei=covered, border=covered)
        sample.gt_semantic = BaseDataElement(**maps, overlap=torch.zeros(h, w, dtype=torch.uint8))
        samples.append(sample)
    images = [torch.rand(channels, h, w, generator=rng) for h, w in sizes]
    return dict(inputs=images, data_samples=samples)


VARIANTS = dict(
    one_decoder=dict(heads=semantic(*FOUR), instance_head=None),
    decoupled=dict(decoder=parallel(*FOUR), heads=semantic(*FOUR), instance_head=None),
    overlap_aware=dict(
        decoder=parallel("cells", "overlap"),
        heads=dict(instances=dict(IAM, reads=["cells", "overlap"]), **semantic("overlap")),
    ),
)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("cells", [0, 2])
@pytest.mark.parametrize("sizes", [[(9, 14), (12, 5)], [(1, 1), (2, 2)]])
def test_each_variant_learns_and_predicts(name, cells, sizes):
    config = copy.deepcopy(VARIANTS[name])
    model = build(**VARIANTS[name])
    assert VARIANTS[name] == config
    batch = model.data_preprocessor(data(*sizes, cells=cells), True)
    losses = model(**batch, mode="loss")
    parts = FOUR if name != "overlap_aware" else ("overlap",)
    iam = {f"instances.loss_{part}" for part in ("dice", "bce", "cls")} if name == "overlap_aware" else set()
    assert set(losses) == {f"{part}.loss_map" for part in parts} | iam
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.parameters())
    assert set(model(torch.rand(1, 2, 8, 8))) == set(model.heads)
    model.eval()
    for sample, size in zip(model.test_step(data(*sizes)), sizes, strict=True):
        assert set(sample.pred_semantic.keys()) == set(parts)
        for part in parts:
            probs = sample.pred_semantic.get(part)
            assert (
                probs.shape == size and probs.dtype == torch.float32 and 0 <= probs.min() <= probs.max() <= 1
            )
        assert ("pred_instances" in sample) == (name == "overlap_aware")
        assert all(
            mask["size"] == list(size) for mask in sample.get("pred_instances", InstanceData(masks=[])).masks
        )


def test_overlap_features_reach_the_instances():
    model = build(**VARIANTS["overlap_aware"])
    assert [spec.channels for spec in model.head_inputs.specs("instances")] == [12, 16, 16]
    batch = model.data_preprocessor(data((8, 8)), True)
    losses = model(**batch, mode="loss")
    (losses["instances.loss_dice"] + losses["instances.loss_cls"]).backward()
    assert all(p.grad is not None for p in model.decoder.decoders["overlap"].parameters())


def test_a_model_of_one_head_has_its_plain_loss():
    model = build(heads=semantic("cytoplasm"), instance_head=None)
    batch = model.data_preprocessor(data((8, 8)), True)
    assert set(model(**batch, mode="loss")) == {"loss_map"}


# a network that looks at single pixels


class Pixel(nn.Module):
    """Encoder and decoder: the means of blocks of the input, or the input as it is."""

    divisor = 4

    def __init__(self, block=1, in_specs=None):
        super().__init__()
        self.block, self.out_specs = block, in_specs or (FeatureSpec(2, block),)

    def forward(self, x):
        x = x if torch.is_tensor(x) else x[0]
        return [nn.functional.avg_pool2d(x, self.block)]


class ChannelHead(nn.Module):
    """Its map is a channel of the input."""

    def __init__(self, target, channel=0, says=None):
        super().__init__()
        self.target, self.channel = target, channel
        if says is not None:
            self.out_spec = FeatureSpec(1, says)

    def forward(self, features):
        return features[0][:, self.channel]

    predict_maps = forward


@pytest.fixture()
def pixelwise():
    for module in (Pixel, ChannelHead):
        MODELS.register_module(module=module, force=True)
    yield build_pixelwise
    for module in (Pixel, ChannelHead):
        MODELS.module_dict.pop(module.__name__)


def build_pixelwise(stride=1, says=(None, None), **more):
    names = dict(cytoplasm=0, nuclei=1)
    defaults = dict(
        encoder=dict(type="Pixel", block=stride),
        decoder=dict(type="Pixel"),
        heads={n: dict(type="ChannelHead", target=n, channel=i, says=says[i]) for n, i in names.items()},
        instance_head=None,
    )
    return build(**dict(defaults, **more)).eval()


def maps_of(model, batch):
    return [sample.pred_semantic for sample in model.test_step(copy.deepcopy(batch))]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("sizes", [[(75, 101)], [(33, 20), (31, 90)], [(1, 1)]])
def test_maps_averaged_over_tiles_are_those_of_the_whole_image(pixelwise, stride, sizes):
    batch = data(*sizes)
    whole = maps_of(pixelwise(stride), batch)
    tiled = maps_of(pixelwise(stride, tile=32, tile_overlap=16), batch)
    for expected, other in zip(whole, tiled, strict=True):
        for name in ("cytoplasm", "nuclei"):
            torch.testing.assert_close(expected.get(name), other.get(name))
    if stride == 1:
        assert torch.equal(whole[0].nuclei, batch["inputs"][0][1])


def test_maps_come_back_in_the_frame_of_the_file(pixelwise):
    """A file of 6x8 pixels of which the network saw 4x4 from (1, 2) on: nothing outside of it."""
    back = np.array([[1, 0, 2], [0, 1, 1], [0, 0, 1.0]])
    batch = data((4, 4), to_original=back, ori_shape=(6, 8))
    (found,) = maps_of(pixelwise(), batch)
    expected = torch.zeros(6, 8)
    expected[1:5, 2:6] = batch["inputs"][0][0]
    torch.testing.assert_close(found.cytoplasm, expected)


def two_cells(shape=(48, 60)):
    """Cytoplasm of two bars that touch at column 30, and their nuclei."""
    cytoplasm = torch.zeros(shape)
    cytoplasm[10:40, 5:55] = 0.9
    nuclei = torch.zeros(shape)
    nuclei[20:26, 15:20] = nuclei[20:26, 40:45] = 0.9
    return torch.stack([cytoplasm, nuclei])


@pytest.mark.parametrize("tiles", [{}, dict(tile=32, tile_overlap=16)])
def test_cells_of_the_maps(pixelwise, tiles):
    batch = data((48, 60), (20, 20))
    batch["inputs"] = [two_cells(), torch.zeros(2, 20, 20)]
    model = pixelwise(postprocess=dict(type="SeededWatershed"), **tiles)
    first, second = (sample.pred_instances for sample in model.test_step(copy.deepcopy(batch)))
    assert len(second) == 0 and len(first) == 2 and rle.area(first.masks).sum() == 30 * 50
    assert first.scores.tolist() == pytest.approx([0.9, 0.9]) and first.labels.tolist() == [0, 0]
    assert not (rle.decode(first.masks).sum(0) > 1).any()


def test_cells_of_the_maps_do_not_reach_into_the_padding(pixelwise):
    """The small image of the batch is cell all over; so is what was added to it."""
    batch = data((6, 7), (30, 30))
    batch["inputs"] = [torch.ones(2, 6, 7), torch.ones(2, 30, 30)]
    model = pixelwise(postprocess=dict(type="SeededWatershed", min_area=43))
    found = model.test_step(batch)
    assert [len(sample.pred_instances) for sample in found] == [0, 1]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            dict(instance_head="cytoplasm"),
            "instance_head 'cytoplasm' is a SemanticHead, which gives no instances",
        ),
        (dict(instance_head="instances"), "instance_head 'instances' is not among the heads"),
        (dict(heads=semantic("nuclei"), postprocess=dict(type="SeededWatershed")), "needs a map 'cytoplasm'"),
        (
            dict(heads=dict(semantic("cytoplasm"), instances=IAM), postprocess=dict(type="SeededWatershed")),
            "instances come from the head 'instances' already",
        ),
        (
            dict(heads=dict(a=semantic("border")["border"], **semantic("border")), instance_head=None),
            "model.heads.border.target: 'border' is that of a already",
        ),
        (
            dict(decoder=parallel("cytoplasm"), heads=dict(a=dict(semantic("border")["border"], reads="b"))),
            "model.heads.a.reads: there is no decoder 'b'; the decoders are .'cytoplasm'.",
        ),
    ],
)
def test_what_does_not_go_together(options, says):
    if "decoder" in options:
        options = dict(options, instance_head=None)
    with pytest.raises(CellMMError, match=says):
        build(**dict(dict(heads=semantic("cytoplasm")), **options))


def test_a_map_that_does_not_lie_as_its_head_says(pixelwise):
    model = pixelwise(says=(2, 2))
    with pytest.raises(
        CellMMError, match="model.heads.cytoplasm: .8, 8. pixels give a map of .8, 8., .* stride 2"
    ):
        model.test_step(data((8, 8)))


def test_maps_that_do_not_start_at_the_first_pixel_are_refused(pixelwise, monkeypatch):
    says = "model.heads.cytoplasm: .* starts at pixel 7 of the input, .* padding='same'"
    with pytest.raises(CellMMError, match=says):
        monkeypatch.setattr(ChannelHead, "out_spec", FeatureSpec(1, 1, origin=7), raising=False)
        pixelwise()
    with pytest.raises(CellMMError, match=says.replace("7", r"\d+")):
        build(
            encoder=dict(
                type="SEUNetEncoder", widths=(4, 6), stem_stride=2, norm="none", padding="valid", depth=1
            ),
            decoder=dict(type="EncoNetDecoder", widths=(4, 5), padding="valid", depth=1),
            heads=semantic("cytoplasm"),
            instance_head=None,
        )


class EachPixel:
    """A postprocess that needs no map in particular."""

    def __call__(self, maps):
        raise AssertionError("there are no maps")


def test_a_postprocess_without_any_map():
    TASK_UTILS.register_module(module=EachPixel, force=True)
    with pytest.raises(CellMMError, match="EachPixel .* no head gives a map; add a SemanticHead"):
        build(heads=dict(cells=IAM), postprocess=dict(type="EachPixel"), instance_head=None)
    TASK_UTILS.module_dict.pop("EachPixel")


@pytest.mark.parametrize("tiles", [{}, dict(tile=32, tile_overlap=16)])
def test_exclusive_maps_of_one_head_at_full_resolution(tiles):
    model = build(
        encoder=dict(type="SEUNetEncoder", widths=(4, 8, 8), stem_stride=2),
        heads=dict(maps=dict(type="SoftmaxHead", subpixel=True)),
        postprocess=dict(type="ClassComponents"),
        **tiles,
    ).eval()
    assert model.map_strides == dict(interior=1, boundary=1, exterior=1)
    (found,) = model.test_step(data((33, 50)))
    maps = [found.pred_semantic.get(name) for name in ("interior", "boundary", "exterior")]
    torch.testing.assert_close(sum(maps), torch.ones(33, 50))
    assert all(mask["size"] == [33, 50] for mask in found.pred_instances.masks)


def test_maps_of_two_strides_make_no_cells(pixelwise):
    with pytest.raises(CellMMError, match="must have the same stride"):
        pixelwise(says=(1, 2), postprocess=dict(type="SeededWatershed"))
