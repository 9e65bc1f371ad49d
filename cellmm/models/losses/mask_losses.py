"""Losses between pairs of masks: one value per pair."""

from torch import Tensor

from cellmm.models.losses.functional import dice_coefficient, mask_bce
from cellmm.models.losses.weighted_loss import WeightedLoss
from cellmm.registry import MODELS


@MODELS.register_module()
class DiceLoss(WeightedLoss):
    """1 - Dice of sigmoid(logits) with the targets in [0, 1], both (K, P): K pairs of masks of P pixels.

    ``weight`` (K, P), from 0: a pixel counts so many times, 0 leaves it out. Source: sparseseunet eq. 4.14;
    nuclei-notes.

    Args:
        loss_weight: factor of the loss.
        squared: of ``dice_coefficient``; False: the plain sums of nuclei-notes.
    """

    of_masks = True

    def __init__(self, loss_weight: float = 1.0, squared: bool = True) -> None:
        super().__init__(loss_weight)
        self.squared = squared

    def elements(self, pred: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        return 1 - dice_coefficient(pred.float().sigmoid(), target, squared=self.squared, weight=weight)


@MODELS.register_module()
class MaskBCELoss(WeightedLoss):
    """Binary cross-entropy of logits with targets in [0, 1], both (K, P), averaged over each mask's pixels.

    ``weight`` (K, P): the average is over the weighted pixels; 0 for a mask without any.
    Source: sparseseunet eq. 4.15.
    """

    of_masks = True

    def elements(self, pred: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        return mask_bce(pred, target, weight)
