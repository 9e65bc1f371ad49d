"""Scores of masks, and the quality that is learned of them."""

import pytest
import torch

from cellmm.models.heads.gateway_targets import WindowTargets
from cellmm.registry import MODELS

QUALITY = dict(type="MaskQuality", loss=dict(type="BCELoss", loss_weight=0.5))


def build(**options):
    torch.manual_seed(0)
    return MODELS.build(dict(type="GatewayScoring", in_channels=3, **options))


def masks():
    """Two masks of 2 x 2 pixels, the second one empty, their coarsest maps and disk probabilities."""
    logits = torch.logit(torch.tensor([[[0.9, 0.7], [0.2, 0.4]], [[0.1, 0.1], [0.1, 0.1]]]))
    return logits, torch.randn(2, 3, 1, 1), torch.tensor([0.8, 0.3])


def test_the_mean_probability_of_the_pixels():
    scoring = build()
    torch.testing.assert_close(scoring(*masks(), 0.5), torch.tensor([0.8, 0.0]))
    torch.testing.assert_close(scoring(*masks(), 0.3), torch.tensor([2.0 / 3, 0.0]))
    assert not scoring.learns and scoring.loss(*masks(), 0.5, []) == {} and not scoring.state_dict()


def test_times_the_expected_iou():
    logits, coarsest, probs = masks()
    scoring = build(objectness=QUALITY)
    scoring.objectness.forward = lambda features, logits, probs: (
        torch.logit(torch.tensor([0.25, 0.5])) if features.shape == (2, 6) else None
    )
    torch.testing.assert_close(scoring(logits, coarsest, probs, 0.5), torch.tensor([0.2, 0.0]))
    learned_only = build(objectness=dict(QUALITY, in_score=False))
    torch.testing.assert_close(learned_only(logits, coarsest, probs, 0.5), torch.tensor([0.8, 0.0]))


def test_the_true_iou_is_that_with_the_cell_that_fits_best():
    """The first mask is cell 2 to the pixel, the second one is none: 1 and 0, however they were opened."""
    layers = torch.tensor([[[2, 2], [1, 1]]], dtype=torch.int32)
    windows = [WindowTargets(layers, torch.ones(2, 2), 1)] * 2
    scoring = build(objectness=QUALITY)
    expected = torch.tensor([20.0, -20.0], requires_grad=True)
    scoring.objectness.forward = lambda features, logits, probs: expected
    (loss,) = scoring.loss(*masks(), 0.5, windows).values()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    scoring.objectness.forward = lambda features, logits, probs: -expected
    (loss,) = scoring.loss(*masks(), 0.5, windows).values()
    assert loss.item() == pytest.approx(0.5 * 20)
    empty = (torch.zeros(0, 2, 2), torch.zeros(0, 3, 1, 1), torch.zeros(0))
    assert build(objectness=QUALITY).loss(*empty, 0.5, [])["loss_quality"] == 0
