"""Losses between matched masks and between class logits, as registered classes with their weight."""

from abc import abstractmethod

from torch import Tensor, nn

from cellmm.models.losses.functional import dice_coefficient, mask_bce, sigmoid_focal
from cellmm.registry import MODELS


class _WeightedLoss(nn.Module):
    """A sum over elements, times ``loss_weight``, over a normaliser that the caller counts (at least 1)."""

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        if not loss_weight >= 0:
            raise ValueError(f"loss_weight must be 0 or more, got {loss_weight}")
        self.loss_weight = loss_weight

    @abstractmethod
    def elements(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The formula, one value an element or pair."""

    def forward(self, logits: Tensor, targets: Tensor, normalizer: Tensor | float) -> Tensor:
        return self.loss_weight * self.elements(logits, targets).sum() / normalizer


@MODELS.register_module()
class DiceLoss(_WeightedLoss):
    """1 - Dice of sigmoid(logits), (K, P) pairs of masks. Source: sparseseunet eq. 4.14."""

    def elements(self, logits: Tensor, targets: Tensor) -> Tensor:
        return 1 - dice_coefficient(logits.float().sigmoid(), targets)


@MODELS.register_module()
class MaskBCELoss(_WeightedLoss):
    """Binary cross-entropy of (K, P) pairs of masks, averaged over pixels. Source: sparseseunet eq. 4.15."""

    def elements(self, logits: Tensor, targets: Tensor) -> Tensor:
        return mask_bce(logits, targets)


@MODELS.register_module()
class SigmoidFocalLoss(_WeightedLoss):
    """Focal loss over every query and class, (..., K) logits. Source: sparseseunet eq. 4.17."""

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        self.alpha, self.gamma = alpha, gamma

    def elements(self, logits: Tensor, targets: Tensor) -> Tensor:
        return sigmoid_focal(logits, targets, self.alpha, self.gamma)
