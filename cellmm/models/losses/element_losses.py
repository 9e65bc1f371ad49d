"""Losses of pixels, classes or scores: one value per element."""

import torch
from torch import Tensor
from torch.nn import functional as F

from cellmm.models.losses.functional import cross_entropy, sigmoid_focal
from cellmm.models.losses.weighted_loss import WeightedLoss, weighted
from cellmm.registry import MODELS


@MODELS.register_module()
class BCELoss(WeightedLoss):
    """Binary cross-entropy of logits with targets in [0, 1], any shape. Source: sparseseunet eq. 4.1.

    Args:
        loss_weight: factor of the loss, lambda of sparseseunet eq. 4.2.
        pos_weight: factor of the term of the positives, y log(p).
    """

    def __init__(self, loss_weight: float = 1.0, pos_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        self.pos_weight = pos_weight

    def elements(self, pred: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        bce = F.binary_cross_entropy_with_logits(
            pred.float(),
            target.float(),
            reduction="none",
            pos_weight=torch.tensor(float(self.pos_weight), device=pred.device),
        )
        return weighted(bce, weight)


@MODELS.register_module()
class MSELoss(WeightedLoss):
    """Squared error of values (not logits), any shape. Source: nuclei-notes."""

    of_values = True

    def elements(self, pred: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        return weighted((pred.float() - target.float()).square(), weight)


@MODELS.register_module()
class L1Loss(WeightedLoss):
    """Absolute error of values (not logits), any shape. Source: sparseseunet eq. 4.7; pix2pix."""

    of_values = True

    def elements(self, pred: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        return weighted((pred.float() - target.float()).abs(), weight)


@MODELS.register_module()
class CrossEntropyLoss(WeightedLoss):
    """Cross-entropy of logits (B, C, ...) with classes (B, ...), integers from 0. Source: diskmask 2.2.3.

    ``weight``: (B, ...); weight 0 is the published ignore label 255. Without ``avg_factor`` it is the mean
    over all elements, those of weight 0 included.
    """

    def check_shapes(self, pred: Tensor, target: Tensor, weight: Tensor | None) -> None:
        super().check_shapes(pred[:, 0], target, weight)

    def elements(self, pred: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        return weighted(cross_entropy(pred, target), weight)


@MODELS.register_module()
class SigmoidFocalLoss(WeightedLoss):
    """Focal loss of logits with targets in {0, 1}, any shape. Source: sparseseunet eq. 4.5, 4.17.

    Args:
        alpha: weight of the positives; 1 - alpha is that of the negatives.
        gamma: how strongly elements that are already right are played down.
        loss_weight: factor of the loss.
    """

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        self.alpha, self.gamma = alpha, gamma

    def elements(self, pred: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        return weighted(sigmoid_focal(pred, target, self.alpha, self.gamma), weight)
