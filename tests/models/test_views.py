"""Test-time augmentation: views of an image are predicted, and what they give is merged."""

import numpy as np
import pytest
import torch

from cellmm.errors import CellMMError
from cellmm.models.views import View, views
from cellmm.registry import MODELS
from cellmm.structures import PredictedInstances
from tests.models.test_map_heads import IAM, semantic
from tests.models.test_map_heads import build as build_maps
from tests.models.test_map_heads import data as map_data
from tests.models.test_tiled_prediction import Blobs, Same, build, data, found, image_of

GATEWAY = dict(
    type="GatewayHead",
    feature_channels=4,
    mask_decoder=dict(type="DecoNet", widths=(4, 4), padding="same"),
    finder=dict(type="ComponentFinder"),
    test_cfg=dict(score_thr=0.0),
)


class LeftAlone(Blobs):
    """Sees only cells whose left side lies in the left half."""

    def predict(self, features, samples):
        width = features[0].shape[-1]
        return [some.select(some.boxes()[:, 1] < width / 2) for some in super().predict(features, samples)]


@pytest.fixture(autouse=True)
def registered():
    modules = Same, Blobs, LeftAlone
    for module in modules:
        MODELS.register_module(module=module, force=True)
    yield
    for module in modules:
        MODELS.module_dict.pop(module.__name__)


def assert_same(one, other):
    """The same masks in every image, and the same scores but for rounding."""
    for some, others in zip(one, other, strict=True):
        some, others = (sorted((rle, score) for score, rle in found) for found in (some, others))
        assert [rle for rle, _ in some] == [rle for rle, _ in others]
        assert [score for _, score in some] == pytest.approx([score for _, score in others])


@pytest.mark.parametrize(("tta", "number"), [(None, 1), ("flips", 4), ("turns", 8)])
def test_the_views_are_the_group_that_their_names_say(tta, number):
    image = torch.arange(6).reshape(1, 2, 3)
    seen = [view.of(image) for view in views(tta)]
    assert len({(tuple(one.shape), tuple(one.flatten().tolist())) for one in seen}) == number
    for view in views(tta):
        assert torch.equal(view.undo(view.of(image)), image)
        assert np.array_equal(view.undo(view.of(image.numpy())), image.numpy())
    assert views(tta)[0] == View()


@pytest.mark.parametrize("view", views("turns"))
@pytest.mark.parametrize("stride", [1, 2])
def test_windows_and_points_go_back_to_where_they_were(view, stride):
    mask = np.zeros((4, 8), np.float32)
    mask[1, 2:5] = mask[2, 4] = 0.9
    seen = view.of(mask)
    rows, cols = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    corner = np.array([[rows[0], cols[0]]])
    point = np.zeros((4 * stride, 8 * stride), np.float32)
    point[1, 5] = 1
    instances = PredictedInstances(
        [seen[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]],
        scores=torch.ones(1),
        labels=torch.zeros(1, dtype=torch.long),
        stride=stride,
        origins=corner,
        grid_shape=seen.shape,
        points=np.argwhere(view.of(point)).astype(float),
    )
    back = view.undo_instances(instances, (4 * stride, 8 * stride))
    assert back.grid_shape == (4, 8) and back.points.tolist() == [[1, 5]]
    masks = back.mask_runs()
    crop, (top, left) = masks.crop(0)
    again = np.zeros((4, 8), bool)
    again[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
    assert np.array_equal(again, mask > 0.5)


@pytest.mark.parametrize("tta", ["flips", "turns"])
@pytest.mark.parametrize("windows", [False, True])
@pytest.mark.parametrize(
    ("shape", "num", "tile"), [((75, 101), 60, 32), ((33, 20), 8, None), ((1, 1), 1, None), ((9, 70), 0, 32)]
)
def test_a_model_that_is_the_same_in_all_views_finds_the_same(shape, num, tile, windows, tta):
    batch = data(image_of(shape, num, seed=num))
    more = {} if tile is None else dict(tile=tile, tile_overlap=16)
    assert_same(found(build(windows=windows, tta=tta, **more), batch), found(build(windows=windows), batch))


def test_images_of_one_batch_keep_their_own_cells():
    batch = data(image_of((40, 30), 12, seed=1), image_of((21, 50), 9, seed=2), np.ones((1, 1), np.float32))
    assert_same(found(build(tta="turns"), batch), found(build(), batch))


def test_a_cell_that_few_views_see_loses_score():
    image = np.zeros((8, 16), np.float32)
    image[2:5, 10:13] = 1
    model = build(tta="turns")
    expected = build().test_step(data(image))[0].pred_instances
    model.heads["instances"].predict = LeftAlone().predict
    got = model.test_step(data(image))[0].pred_instances
    assert got.masks == expected.masks
    # of the four upright views those that mirror left and right, and all four turned ones
    assert got.scores.tolist() == pytest.approx([float(expected.scores[0]) * 6 / 8])


def test_a_head_is_told_the_shape_of_the_view():
    model, told = build(tta="turns"), []
    head = model.heads["instances"]
    predict = head.predict
    head.predict = lambda maps, samples: told.append(samples[0].img_shape) or predict(maps, samples)
    model.test_step(data(image_of((9, 18), 3, seed=0)))
    assert told == [(9, 18)] + [(12, 20)] * 3 + [(20, 12)] * 4  # padded to multiples of 4


def test_maps_are_averaged_before_the_threshold():
    batch = map_data((13, 22))
    parts = dict(heads=semantic("cytoplasm"), instance_head=None, postprocess=dict(type="SeededWatershed"))
    plain, mean = (build_maps(**parts, tta=tta).eval() for tta in (None, "turns"))
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), mean.parameters(), strict=True))
    got = mean.test_step(batch)[0]
    inputs = mean.data_preprocessor.pad(batch["inputs"])
    expected = torch.zeros(inputs.shape[-2:])
    for turns in range(4):
        for flip in (False, True):
            seen = torch.rot90(inputs.flip(-1) if flip else inputs, turns, (-2, -1))
            logits = plain(seen, mode="tensor")["cytoplasm"]
            probs = torch.rot90(logits.detach().sigmoid().reshape(seen.shape[-2:]), -turns, (-2, -1))
            expected += (probs.flip(-1) if flip else probs) / 8
    assert got.pred_semantic.cytoplasm.numpy() == pytest.approx(expected[:13, :22].numpy(), abs=1e-5)
    regions = mean.postprocess.regions(dict(cytoplasm=expected[:13, :22].numpy()))
    assert len(got.pred_instances.scores) == regions.max()


@pytest.mark.parametrize("head", [IAM, GATEWAY], ids=["iam", "gateway"])
@pytest.mark.parametrize("tile", [None, 16])
def test_every_head_of_instances_takes_views(head, tile):
    model = build_maps(heads=dict(instances=head), tta="turns", tile=tile).eval()
    for size in ((37, 21), (1, 1)):
        found = model.test_step(map_data(size))[0].pred_instances
        assert len(found.masks) == len(found.scores) and (found.scores.diff() <= 0).all()


def test_a_turned_image_gives_turned_cells():
    model = build_maps(heads=dict(instances=IAM), tta="turns").eval()
    batch, turned = map_data((24, 16)), map_data((16, 24))
    turned["inputs"] = [image.swapaxes(-2, -1) for image in batch["inputs"]]
    one, other = (model.test_step(some)[0].pred_instances for some in (batch, turned))
    assert len(one.scores) > 0
    assert one.scores.tolist() == pytest.approx(other.scores.tolist(), abs=1e-5)
    assert [mask["size"] for mask in other.masks] == [[16, 24]] * len(one.scores)


def test_another_name_is_refused():
    with pytest.raises(CellMMError, match=r"model\.tta: 'flip'; set it to 'flips' or 'turns'"):
        build(tta="flip")
