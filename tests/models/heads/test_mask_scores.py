"""The net that judges masks: what it sees, and that it does not teach the net that drew them."""

import math

import pytest
import torch

from cellmm.models.heads.mask_scores import MaskQuality, maskness
from cellmm.registry import MODELS


def inputs(count=3):
    torch.manual_seed(0)
    return torch.randn(count, 10), torch.randn(count, 1, 8, 6), torch.rand(count)


def test_gradient_stays_inside():
    net = MaskQuality(10)
    given = [x.requires_grad_() for x in inputs()]
    out = net(*given)
    assert out.shape == (3,)
    out.sum().backward()
    assert all(x.grad is None for x in given)
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())


def test_statistics_of_a_mask():
    """Two of four pixels above .5 with mean .8, one in doubt: log 2 / 10, .8, 1 / 2, and the disk's .3."""
    net = MaskQuality(10, hidden=4)
    seen = []
    net.layers[0].register_forward_hook(lambda module, args, out: seen.append(args[0]))
    logits = torch.logit(torch.tensor([0.9, 0.7, 0.1, 0.1])).view(1, 1, 2, 2)
    features = torch.arange(5.0).repeat(2)[None]
    net(features, logits, torch.tensor([0.3]))
    torch.testing.assert_close(seen[0][0, 10:], torch.tensor([0.0693147, 0.8, 0.5, 0.3]))
    normal = (torch.arange(5.0) - 2) / 2**0.5  # mean 2, variance 2
    torch.testing.assert_close(seen[0][0, :10], normal.repeat(2), atol=1e-4, rtol=0)


def test_none_and_empty_masks():
    net = MaskQuality(10)
    assert net(*inputs(0)).shape == (0,)
    features, logits, probs = inputs()
    assert torch.isfinite(net(features, torch.full_like(logits, -50), probs)).all()


def test_windows_of_other_batches_change_nothing():
    net, (features, logits, probs) = MaskQuality(10), inputs()
    together = net(features, logits, probs)
    alone = torch.cat([net(features[i : i + 1], logits[i : i + 1], probs[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(alone, together)


def test_maskness_by_hand():
    probs = torch.tensor([[[0.9, 0.7], [0.1, 0.2]], [[0.1, 0.2], [0.3, 0.4]]])
    torch.testing.assert_close(maskness(probs, probs > 0.5), torch.tensor([0.8, 0.0]))


def test_scores_and_what_can_pass():
    """With objectness 1/4 of a probability of 0.16."""
    probs, predicted = torch.tensor([0.16]), torch.tensor([-math.log(3)])
    cases = [("IoUObjectness", True, 0.2, 0.01), ("MaskQuality", True, 0.04, 0.1)]
    cases += [("IoUObjectness", False, 0.16, 0.1), ("MaskQuality", False, 0.16, 0.1)]
    for kind, in_score, score, least in cases:
        part = MODELS.build(dict(type=kind, num_features=10, in_score=in_score))
        assert part.score(probs, predicted).item() == pytest.approx(score)
        assert part.least_prob(0.1) == pytest.approx(least)


def test_losses_by_hand():
    """Predicted 1/4, true IoU 3/4: squared error, and cross-entropy."""
    predicted, iou = torch.tensor([-math.log(3)]), torch.tensor([0.75])
    squared = MODELS.build(
        dict(type="IoUObjectness", num_features=2, loss=dict(type="MSELoss", loss_weight=3))
    )
    assert squared.loss(predicted, iou, 2.0).item() == pytest.approx(3 * 0.25 / 2)
    entropy = MODELS.build(dict(type="MaskQuality", num_features=2))
    expected = 0.75 * math.log(4) + 0.25 * math.log(4 / 3)
    assert entropy.loss(predicted, iou, 1.0).item() == pytest.approx(expected)
