"""Masks that agree with a map: by hand, against a reference of single pixels, at two strides, in models."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from cellmm.errors import CellMMError
from cellmm.models import FeatureSpec
from cellmm.registry import MODELS, TASK_UTILS
from cellmm.structures import PredictedInstances, rle
from tests.models.test_map_heads import ChannelHead, Pixel, build, data

SHAPE = (12, 16)


def box(y0, x0, y1, x1, shape=SHAPE):
    mask = np.zeros(shape, np.float32)
    mask[y0:y1, x0:x1] = 1
    return mask


def instances(*masks, stride=1, **more):
    num = len(masks)
    probs = torch.from_numpy(np.stack(masks)) if num else torch.zeros(0, *SHAPE)
    scores = torch.linspace(0.9, 0.5, num)
    return PredictedInstances(probs, scores, torch.arange(num), stride=stride, **more)


def agree(found, inside, stride=1, **options):
    refine = TASK_UTILS.build(dict(type="ForegroundAgreement", **options))
    assert refine.needs_maps == (options.get("target", "cytoplasm"),)
    target = refine.target
    return refine(found, {target: inside}, {target: stride})


def painted(found):
    """The masks in full: bool (N, h, w)."""
    runs = found.mask_runs()
    assert found.mask_thr == 0.5 and all(set(np.unique(prob)) <= {0, 1} for prob in found.probs)
    return np.array([runs.window(i, (0, 0, *runs.shape)) for i in range(len(runs))], bool).reshape(
        -1, *runs.shape
    )


def test_one_mask_is_cut_and_grows_by_a_pixel():
    got = painted(agree(instances(box(2, 2, 6, 8)), box(2, 4, 10, 12)))
    # columns 2 and 3 go; one row below and one column to the right come, but not the corner between them
    expected = box(2, 4, 7, 9)
    expected[6, 8] = 0
    assert np.array_equal(got[0], expected > 0)
    assert np.array_equal(
        painted(agree(instances(box(2, 2, 6, 8)), box(2, 4, 10, 12), grow=0))[0], box(2, 4, 6, 8)
    )
    far = painted(agree(instances(box(2, 2, 6, 8)), box(2, 4, 10, 12), grow=3))[0]
    assert far[8, 6] and not far[9, 6] and far.sum() > expected.sum()


def test_shared_pixels_stay_and_gaps_between_two_masks_too():
    one, other = box(2, 2, 6, 8), box(2, 6, 6, 12)  # share columns 6 and 7
    got = painted(agree(instances(one, other), np.zeros(SHAPE, np.float32), min_share=0.1))
    assert np.array_equal(got, [box(2, 6, 6, 8), box(2, 6, 6, 8)])
    one, other = box(2, 2, 6, 6), box(2, 7, 6, 12)  # a gap of a pixel, which both come near
    got = painted(agree(instances(one, other), np.ones(SHAPE, np.float32)))
    assert not got[:, 2:6, 6].any() and got[0, 2, 1] and got[1, 2, 12]


def test_no_cell_vanishes():
    known, unknown = box(1, 1, 4, 6), box(7, 7, 11, 11)
    inside = box(1, 1, 4, 6) + box(7, 7, 11, 8)  # a quarter of the other one
    got = painted(agree(instances(known, unknown), inside))
    assert np.array_equal(got, [known, unknown])
    got = painted(agree(instances(known, unknown), inside, min_share=0.25))
    assert np.array_equal(got[1], box(7, 7, 11, 8))
    # not even with a share of 0
    assert np.array_equal(painted(agree(instances(unknown), 0 * inside, min_share=0.0))[0], unknown)


def test_holes_and_pieces():
    mask, inside = box(2, 2, 9, 12), box(2, 2, 9, 12)
    inside[4:6, 4:6] = 0  # a hole
    inside[:, 8] = 0  # two pieces
    found = agree(instances(mask), inside)
    assert len(found) == 1 and np.array_equal(painted(found)[0], inside > 0)


def test_what_else_is_known_stays():
    points = np.array([[3.0, 4.0], [0.0, 0.0], [8.0, 12.0]])
    found = instances(
        box(2, 2, 6, 8), box(0, 0, 0, 0), box(7, 10, 10, 14), points=points, limits={"{} were": 2}
    )
    got = agree(found, np.ones(SHAPE, np.float32))
    assert got.scores.tolist() == found.scores[[0, 2]].tolist() and got.labels.tolist() == [0, 2]
    assert np.array_equal(got.points, points[[0, 2]]) and got.limits == {"{} were": 2}
    none = agree(instances(), np.ones(SHAPE, np.float32))
    assert len(none) == 0 and (none.stride, none.grid_shape) == (1, SHAPE)


def test_masks_at_half_the_resolution_of_the_map():
    small = box(1, 1, 3, 4, shape=(6, 8))
    got = agree(instances(small, stride=2), np.ones(SHAPE, np.float32), grow=0)
    assert (got.stride, got.grid_shape) == (1, SHAPE) and np.array_equal(painted(got)[0], box(2, 2, 6, 8))
    got = painted(agree(instances(small, stride=2), box(2, 3, 7, 8)))[0]
    assert np.array_equal(got, box(2, 3, 7, 8))
    windows = PredictedInstances(
        [small[1:3, 1:4]],
        torch.ones(1),
        torch.zeros(1),
        stride=2,
        origins=np.array([[1, 1]]),
        grid_shape=(6, 8),
    )
    assert np.array_equal(painted(agree(windows, box(2, 3, 7, 8)))[0], got)


def test_a_map_at_half_the_resolution_of_the_masks():
    got = agree(instances(box(2, 2, 6, 8)), box(1, 2, 3, 6, shape=(6, 8)), stride=2, threshold=0.5)
    assert got.stride == 1 and got.grid_shape == SHAPE
    expected = box(2, 4, 6, 9)
    assert np.array_equal(painted(got)[0], expected)


def naive(masks, inside, grow, share):
    """One pixel after the other."""
    height, width = inside.shape
    pixels = list(itertools.product(range(height), range(width)))
    claims = {p: [i for i, mask in enumerate(masks) if mask[p]] for p in pixels}
    near = {
        p: [
            i
            for i, mask in enumerate(masks)
            if any(math.dist(p, q) <= grow for q in zip(*np.nonzero(mask), strict=True))
        ]
        for p in pixels
    }
    result = np.zeros_like(masks)
    for i, mask in enumerate(masks):
        stays = [p for p in pixels if mask[p] and (len(claims[p]) > 1 or inside[p])]
        comes = [p for p in pixels if not claims[p] and near[p] == [i] and inside[p]]
        if not stays or len(stays) < share * mask.sum():
            result[i] = mask
            continue
        for p in stays + comes:
            result[i][p] = True
    return result


def test_random_masks():
    rng = np.random.default_rng(0)
    kept = 0
    for case in range(40):
        masks = np.zeros((rng.integers(1, 5), *SHAPE), bool)
        for mask in masks:
            y, x, h, w = *rng.integers(0, 10, 2), *rng.integers(1, 8, 2)
            mask[y : y + h, x : x + w] = True
        inside = rng.random(SHAPE) < rng.choice([0.3, 0.7])
        grow, share = int(rng.integers(0, 3)), float(rng.choice([0.0, 0.5]))
        found = instances(*masks.astype(np.float32))
        got = painted(agree(found, inside.astype(np.float32), grow=grow, min_share=share))
        expected = naive(masks, inside, grow, share)
        kept += (expected == masks).all((1, 2)).sum()
        assert np.array_equal(got, expected), case
    assert kept > 5


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (dict(threshold=2), "threshold must be"),
        (dict(grow=-1), "grow must be"),
        (dict(min_share=2), "min_share"),
    ],
)
def test_wrong_options(options, says):
    with pytest.raises(ValueError, match=says):
        TASK_UTILS.build(dict(type="ForegroundAgreement", **options))


# in a model: channel 0 is the foreground, channel 1 has one mask, the means of blocks of 2 x 2


class MaskHead(nn.Module):
    """Where the mean of the second channel is above 0 is the only mask, at stride 2."""

    out_spec = FeatureSpec(1, 2)

    def forward(self, features):
        return nn.functional.avg_pool2d(features[0][:, 1], 2)

    def loss(self, features, samples):
        raise AssertionError("it does not learn")

    def predict(self, features, samples):
        return [
            PredictedInstances(
                probs[None].clamp(0, 1), torch.ones(1), torch.zeros(1, dtype=torch.long), stride=2
            )
            for probs in self(features)
        ]


@pytest.fixture()
def parts():
    for module in (Pixel, ChannelHead, MaskHead):
        MODELS.register_module(module=module, force=True)
    yield
    for module in (Pixel, ChannelHead, MaskHead):
        MODELS.module_dict.pop(module.__name__)


PIXELS = dict(encoder=dict(type="Pixel"), decoder=dict(type="Pixel"))
MASKS = dict(instances=dict(type="MaskHead"))
MAPS = dict(foreground=dict(type="ChannelHead", target="cytoplasm"))
REFINE = dict(type="ForegroundAgreement", threshold=0.5)


def model_of(heads, **more):
    return build(**dict(PIXELS, heads=heads, **more)).eval()


def batch(size=(48, 60)):
    """A mask, and a foreground that goes on by a column at the right and begins a column later."""
    found = data(size)
    image = torch.zeros(2, *size)
    image[1, 10:30, 8:44] = 1
    image[0, 10:30, 9:45] = 0.9
    found["inputs"] = [image]
    return found


def mask_of(model, given):
    (sample,) = model.test_step(copy.deepcopy(given))
    (mask,) = sample.pred_instances.masks
    return rle.decode([mask])[0].astype(bool), sample


@pytest.mark.parametrize("options", [{}, dict(tile=32, tile_overlap=16), dict(tta="turns")])
def test_the_masks_of_a_model_agree_with_its_map(parts, options):
    given = batch()
    plain, _ = mask_of(model_of(MASKS | MAPS, **options), given)
    assert np.array_equal(plain, box(10, 8, 30, 44, shape=(48, 60)))
    refined, sample = mask_of(model_of(MASKS | MAPS, refine=REFINE, **options), given)
    assert np.array_equal(refined, box(10, 9, 30, 45, shape=(48, 60)))
    assert sample.pred_semantic.cytoplasm.shape == (48, 60)


@pytest.mark.parametrize("options", [{}, dict(tile=32, tile_overlap=16), dict(tta="flips")])
def test_the_map_of_another_model(parts, options):
    other = dict(
        type="CellSegmentor",
        data_preprocessor=dict(type="CellDataPreprocessor", in_channels=2),
        heads=MAPS,
        instance_head=None,
        **PIXELS,
    )
    refined, sample = mask_of(model_of(MASKS, ensemble=[other], refine=REFINE, **options), batch())
    assert np.array_equal(refined, box(10, 9, 30, 45, shape=(48, 60)))
    assert sample.pred_instances.scores.tolist() == [1] and "cytoplasm" in sample.pred_semantic
    both = model_of(MASKS | MAPS, ensemble=[other], refine=REFINE, **options)
    torch.testing.assert_close(mask_of(both, batch())[1].pred_semantic.cytoplasm, batch()["inputs"][0][0])


def test_cells_of_maps_agree_too(parts):
    heads = MAPS | dict(nuclei=dict(type="ChannelHead", target="nuclei", channel=1))
    options = dict(instance_head=None, postprocess=dict(type="SeededWatershed"))
    given = batch()
    plain, _ = mask_of(model_of(heads, **options), given)
    assert np.array_equal(plain, box(10, 9, 30, 45, shape=(48, 60)))
    refined, _ = mask_of(model_of(heads, refine=REFINE | dict(target="nuclei"), **options), given)
    assert np.array_equal(refined, box(10, 8, 30, 44, shape=(48, 60)))


def test_a_map_that_no_head_gives_is_named(parts):
    says = (
        "model.refine: ForegroundAgreement needs a map 'cytoplasm', but the heads give .*add a SemanticHead"
    )
    with pytest.raises(CellMMError, match=says):
        model_of(MASKS, refine=REFINE)


def test_maps_of_two_strides_are_not_averaged(parts):
    other = dict(
        type="CellSegmentor",
        data_preprocessor=dict(type="CellDataPreprocessor", in_channels=2),
        encoder=dict(type="Pixel", block=2),
        decoder=dict(type="Pixel"),
        heads=MAPS,
        instance_head=None,
    )
    with pytest.raises(CellMMError, match=r"model\.ensemble\.0: gives the maps .*cytoplasm': 2"):
        model_of(MASKS | MAPS, ensemble=[other])
    finer = other | dict(encoder=dict(type="Pixel"))
    with pytest.raises(CellMMError, match=r"model\.ensemble\.1: gives the maps .*cytoplasm': 2"):
        model_of(MASKS, ensemble=[finer, other])
