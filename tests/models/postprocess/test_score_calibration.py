"""Calibrated scores: by hand, in order and never equal, AP as before, in models."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from cellmm.config.load import load_config
from cellmm.errors import CellMMError
from cellmm.evaluation import functional as F
from cellmm.models.postprocess.score_calibration import ScoreCalibration
from cellmm.registry import MODELS
from cellmm.structures import PredictedInstances, rle
from tests.models.test_map_heads import Pixel, build, data

FLAT = [(0, 0), (0.2, 0.7), (0.9, 0.75), (1, 1)]
SCORES = (0.9, 0.45, 0.25)


def instances(scores):
    labels = torch.zeros(len(scores), dtype=torch.long)
    return PredictedInstances(torch.ones(len(scores), 1, 1), torch.as_tensor(scores), labels)


def test_values_by_hand():
    calibrate = ScoreCalibration([(0, 0), (0.5, 0.1), (1, 1)])
    found = instances([1.0, 0.75, 0.5, 0.25, 0.0])
    assert calibrate(found).scores.tolist() == pytest.approx([1.0, 0.55, 0.1, 0.05, 0.0])
    assert found.scores.tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert len(calibrate(instances([]))) == 0
    same = ScoreCalibration([(0, 0), (1, 1)])(found).scores
    assert same.tolist() == found.scores.tolist()


def test_neighbouring_scores_stay_apart_and_equal_ones_equal():
    """Where the map is flat, float32 has not enough numbers."""
    one = torch.tensor([0.6])
    neighbours = torch.nextafter(one, torch.tensor([1.0]))
    mapped = ScoreCalibration(FLAT)(instances(torch.cat([neighbours, one, one]))).scores
    assert mapped[0] > mapped[1] and mapped[1] == mapped[2]
    assert mapped.float()[0] == mapped.float()[1]
    dense = torch.rand(5000, generator=torch.Generator().manual_seed(0)).sort(descending=True).values
    mapped = ScoreCalibration(FLAT)(instances(dense)).scores
    assert torch.equal(mapped[:-1] > mapped[1:], dense[:-1] > dense[1:])


def test_ap_is_the_same():
    rng = np.random.default_rng(0)
    masks = np.zeros((40, 40, 40), bool)
    for mask, (y, x), size in zip(masks, rng.integers(0, 30, (40, 2)), rng.integers(4, 10, 40), strict=True):
        mask[y : y + size, x : x + size] = True
    cells, found = rle.encode(masks[:20]), rle.encode(np.roll(masks, 1, axis=2))
    scores = rng.random(40).astype(np.float32)

    def ap(scores):
        scores = np.asarray(scores, np.float64)
        image = F.ClassInImage([], np.zeros(0), cells, np.zeros(20, bool), np.full(20, 50.0))
        return F.average_precision([{0: image.changed(found, scores)}])

    before, after = ap(scores), ap(ScoreCalibration(FLAT)(instances(scores)).scores)
    assert 0 < before[0, 0] < 1 and np.array_equal(before, after)


@pytest.mark.parametrize(
    "knots",
    [
        [(0, 0), (0.5, 0.5), (0.5, 0.6), (1, 1)],
        [(0, 0), (0.4, 0.6), (0.5, 0.6), (1, 1)],
        [(0, 0.1), (1, 1)],
        [(0, 0), (0.9, 0.9)],
        [(0, 0)],
        [(0, 0), (1, 1, 1)],
        [(0, 0), (float("nan"), 0.5), (1, 1)],
        [0, 1],
        "high",
    ],
)
def test_other_knots_are_refused(knots):
    with pytest.raises(CellMMError, match=r"model\.calibration: .*reliability\.py"):
        ScoreCalibration(knots)


def test_scores_that_are_no_shares_are_refused():
    with pytest.raises(ValueError, match="only those in"):
        ScoreCalibration(FLAT)(instances([1.5, 0.5]))


class ScoredHead(nn.Module):
    """Three masks, of the first channel and of parts of it, with SCORES."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()

    def forward(self, features):
        return (features[0][:, 0] > 0).float()

    def loss(self, features, samples):
        return dict(loss_mask=self(features).sum())

    def predict(self, features, samples):
        labels = torch.zeros(3, dtype=torch.long)
        masks = [
            torch.stack([p, p * (torch.arange(len(p)) < 20)[:, None], p.roll(1, 1)]) for p in self(features)
        ]
        return [PredictedInstances(part, torch.tensor(SCORES), labels) for part in masks]


@pytest.fixture
def scores_of():
    """``scores_of(calibration, **options)``: the scores of a model, best first."""
    for module in (Pixel, ScoredHead):
        MODELS.register_module(module=module, force=True)
    given = data((48, 60))
    given["inputs"] = [torch.zeros(2, 48, 60)]
    given["inputs"][0][0, 10:30, 8:44] = 1

    def scores(calibration, **options):
        parts = dict(encoder=dict(type="Pixel"), decoder=dict(type="Pixel"))
        heads = dict(instances=dict(type="ScoredHead"))
        model = build(heads=heads, calibration=calibration, **parts, **options).eval()
        (sample,) = model.test_step(copy.deepcopy(given))
        return sample.pred_instances.scores.numpy()

    yield scores
    for module in (Pixel, ScoredHead):
        MODELS.module_dict.pop(module.__name__)


@pytest.mark.parametrize("options", [{}, dict(tile=32, tile_overlap=16), dict(tta="flips")])
def test_the_scores_of_a_model(scores_of, options):
    """In tiles and after the mean of views, too."""
    plain, mapped = scores_of(None, **options), scores_of(FLAT, **options)
    assert len(plain) >= 3 and mapped.dtype == np.float64
    assert mapped == pytest.approx(np.interp(plain, *np.transpose(FLAT)))


def test_knots_of_a_config(tiny_config, tmp_path):
    config = load_config(tiny_config(tmp_path, f"model = dict(calibration={FLAT})\n"))
    assert MODELS.build(config.model).calibration.probs.tolist() == [0, 0.7, 0.75, 1]
    config.merge_from_dict({"model.calibration": [(0, 0), (0.5, 0.1)]})
    with pytest.raises(CellMMError, match=r"model\.calibration"):
        MODELS.build(config.model)
