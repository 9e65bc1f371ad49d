"""Losses of probability maps, averaged over the pixels that are learned."""

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cellmm.errors import CellMMError
from cellmm.models.losses.functional import mean_over_ranks, soft_focal
from cellmm.registry import MODELS


class _PixelLoss(nn.Module):
    """``loss_weight`` (lambda of sparseseunet eq. 4.2) x the mean over the learned pixels of the batch.

    ``forward(logits, targets, weight, proximity)``, each (B, H, W): targets in [0, 1]; ``weight`` in [0, 1],
    the share of the pixel that is learned; ``proximity`` in [0, 1], or None. -> (), float32; without learned
    pixels 0. The batch is that of all ranks: the sum of a rank is divided by the mean of their weights.
    """

    needs_proximity = False

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    @abstractmethod
    def elements(self, logits: Tensor, targets: Tensor, proximity: Tensor | None) -> Tensor:
        """The formula, one value a pixel, float32."""

    def forward(
        self, logits: Tensor, targets: Tensor, weight: Tensor, proximity: Tensor | None = None
    ) -> Tensor:
        weight = weight.float()
        values = self.elements(logits.float(), targets.float(), proximity)
        return self.loss_weight * (values * weight).sum() / mean_over_ranks(weight.sum().item(), logits)


@MODELS.register_module()
class PixelBCELoss(_PixelLoss):
    """Binary cross-entropy, sparseseunet eq. 4.1; ``pos_weight`` multiplies its y log(p)."""

    def __init__(self, loss_weight: float = 1.0, pos_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        self.pos_weight = pos_weight

    def elements(self, logits: Tensor, targets: Tensor, proximity: Tensor | None) -> Tensor:
        pos_weight = torch.tensor(float(self.pos_weight), device=logits.device)
        return F.binary_cross_entropy_with_logits(logits, targets, reduction="none", pos_weight=pos_weight)


FORMS = ("none", "target", "weight", "negatives")


@MODELS.register_module()
class ProximityFocalLoss(_PixelLoss):
    """Focal loss of an overlap map, guided by P, how likely cells overlap at a pixel.

    Source: sparseseunet 4.3, 5.4.

    Args:
        form: ``'negatives'``: what the text of 4.3 says: 1 - P times the term of the negatives, so that an
            overlap predicted where cells are far apart costs most; ``'target'``: y' = y (1 - P) in place of
            y, as eq. 4.5 is printed, which lowers the target where P is high (docs/concepts/overlap.md);
            ``'weight'``: P times the focal loss, eq. 5.1; ``'none'``: focal loss without P.
        alpha, gamma: of the focal loss.

    Raises CellMMError where ``'target'`` leaves no overlap to learn: P is 1 on all of it, in the first batch
    that has any.
    """

    def __init__(
        self, form: str = "negatives", alpha: float = 0.25, gamma: float = 2.0, loss_weight: float = 1.0
    ) -> None:
        super().__init__(loss_weight)
        if form not in FORMS:
            raise ValueError(f"form must be one of {FORMS}, got {form!r}")
        self.form, self.alpha, self.gamma = form, alpha, gamma
        self.needs_proximity = form != "none"
        self._left = False  # form 'target': whether a batch had overlap that P left to learn

    def elements(self, logits: Tensor, targets: Tensor, proximity: Tensor | None) -> Tensor:
        if self.form == "none":
            return soft_focal(logits, targets, self.alpha, self.gamma)
        if proximity is None:
            raise CellMMError(
                f"ProximityFocalLoss(form={self.form!r}) needs gt_proximity: put ProximityMap before "
                "PackCellInputs"
            )
        proximity = proximity.float()
        if self.form == "target":
            lowered = targets * (1 - proximity)
            self._check_left(targets, lowered)
            return soft_focal(logits, lowered, self.alpha, self.gamma)
        if self.form == "weight":
            return proximity * soft_focal(logits, targets, self.alpha, self.gamma)
        return soft_focal(logits, targets, self.alpha, self.gamma, negative_weight=1 - proximity)

    def _check_left(self, targets: Tensor, lowered: Tensor) -> None:
        """Refuse a P that empties the targets; thin overlaps alone may do so later, under v4."""
        if self._left or not targets.any():
            return
        if not lowered.any():
            raise CellMMError(
                "ProximityFocalLoss(form='target') has no overlap to learn, as P is 1 on all overlap: choose "
                "kind v0, v1 or v4, or form 'negatives' or 'weight'"
            )
        self._left = True
