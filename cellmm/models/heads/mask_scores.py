"""How good a mask is, as far as the network that drew it can tell."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from cellmm.registry import MODELS


def maskness(probs: Tensor, inside: Tensor) -> Tensor:
    """Mean probability over the pixels of each mask: (K, h, w) and bool (K, h, w) -> (K,); 0 if empty.

    Source: sparseseunet 4.5.3.
    """
    return (probs * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)


class Objectness(nn.Module):
    """Expected IoU of a mask with its object, learned, and how it enters the score.

    ``forward``: features (K, F), logits (K, ...) of the mask's pixels, probability (K,) that there is an
    object -> (K,), the expected IoU as a logit.

    Args:
        loss: config of the loss between the expected and the true IoU.
        in_score: False: learned only, scores are as without it.
    """

    def __init__(self, loss: dict, in_score: bool = True) -> None:
        super().__init__()
        self.iou_loss, self.in_score = MODELS.build(loss), in_score

    def loss(self, predicted: Tensor, iou: Tensor, avg_factor: Tensor | float) -> Tensor:
        """Loss of K predicted logits against K true IoUs."""
        return self.iou_loss(predicted, iou, avg_factor=avg_factor)

    def score(self, probs: Tensor, predicted: Tensor) -> Tensor:
        """Probabilities (K,) that there is an object, changed by the predicted logits (K,)."""
        return self.combine(probs, predicted.sigmoid()) if self.in_score else probs

    @abstractmethod
    def combine(self, probs: Tensor, iou: Tensor) -> Tensor:
        """Score from probability and expected IoU, both (K,)."""

    def least_prob(self, score_thr: float) -> float:
        """The probability below which no IoU makes a score of more than ``score_thr``."""
        return score_thr


@MODELS.register_module()
class IoUObjectness(Objectness):
    """The thesis' objectness: a linear layer on the features, which learn from it too.

    The score is sqrt(probability x IoU). Source: sparseseunet 5.7.3, eq. 5.2, 5.3; SparseInst for the square
    root.

    Args:
        num_features: F. The head gives it.
        loss, in_score: see Objectness; the squared error by default.
    """

    def __init__(self, num_features: int, loss: dict | None = None, in_score: bool = True) -> None:
        super().__init__(loss or dict(type="MSELoss"), in_score)
        self.linear = nn.Linear(num_features, 1)

    def forward(self, features: Tensor, logits: Tensor, object_probs: Tensor) -> Tensor:
        return self.linear(features).float()[:, 0]

    def loss(self, predicted: Tensor, iou: Tensor, avg_factor: Tensor | float) -> Tensor:
        """Squared error between sigmoid(predicted) and the IoU."""
        return super().loss(predicted.sigmoid(), iou, avg_factor)

    def combine(self, probs: Tensor, iou: Tensor) -> Tensor:
        return (probs * iou).sqrt()

    def least_prob(self, score_thr: float) -> float:
        return score_thr**2 if self.in_score else score_thr


@MODELS.register_module()
class MaskQuality(Objectness):
    """A small network on detached features: ranking cannot harm masks. The score is probability x IoU.

    It sees features of the mask and the mask's own statistics: area, mean probability, share of pixels that
    are in doubt, and the probability that there is an object (of its disk, of its class).
    Source: ours; the idea of Huang et al., Mask Scoring R-CNN.

    Args:
        num_features: F. The head gives it.
        hidden: width of the network.
        loss, in_score: see Objectness; binary cross-entropy by default.
    """

    def __init__(
        self, num_features: int, hidden: int = 64, loss: dict | None = None, in_score: bool = True
    ) -> None:
        super().__init__(loss or dict(type="BCELoss"), in_score)
        self.norm = nn.LayerNorm(num_features)
        self.layers = nn.Sequential(
            nn.Linear(num_features + 4, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, 1),
        )

    def forward(self, features: Tensor, logits: Tensor, object_probs: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            features, probs = features.detach().float(), logits.detach().float().sigmoid().flatten(1)
            inside = (probs > 0.5).float()
            area = inside.sum(1).clamp(min=1)
            statistics = torch.stack(
                [
                    area.log() / 10,
                    (probs * inside).sum(1) / area,
                    ((probs > 0.2) & (probs < 0.8)).sum(1) / area,
                    object_probs.detach().float(),
                ],
                1,
            )
            return self.layers(torch.cat([self.norm(features), statistics], 1))[:, 0]

    def combine(self, probs: Tensor, iou: Tensor) -> Tensor:
        return probs * iou
