"""Focal losses of an overlap map, guided by P: how likely cells overlap at a pixel."""

from abc import abstractmethod

from torch import Tensor

from cellmm.errors import CellMMError
from cellmm.models.losses.functional import soft_focal
from cellmm.models.losses.weighted_loss import WeightedLoss, weighted
from cellmm.registry import MODELS


class _ProximityLoss(WeightedLoss):
    """Called with ``proximity``: P in [0, 1], as ``pred``; targets are in [0, 1].

    Args:
        alpha, gamma: of the focal loss.
        loss_weight: factor of the loss.
    """

    needs_proximity = True

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        self.alpha, self.gamma = alpha, gamma

    @abstractmethod
    def guided(self, pred: Tensor, target: Tensor, proximity: Tensor) -> Tensor:
        """The loss of each pixel; all float32."""

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
        proximity: Tensor | None = None,
    ) -> Tensor:
        """See WeightedLoss; raises CellMMError without ``proximity``."""
        if proximity is None:
            raise CellMMError(
                f"{type(self).__name__} needs gt_proximity: put ProximityMap before PackCellInputs"
            )
        self.check_shapes(pred, target, weight)
        elements = self.guided(pred.float(), target.float(), proximity.float())
        return self.reduce(weighted(elements, weight), avg_factor)


@MODELS.register_module()
class ProximityFocalLoss(_ProximityLoss):
    """Focal loss whose term of the negatives is multiplied by 1 - P.

    An overlap predicted where cells are far apart costs most. Source: the text of sparseseunet 4.3.
    """

    def guided(self, pred: Tensor, target: Tensor, proximity: Tensor) -> Tensor:
        return soft_focal(pred, target, self.alpha, self.gamma, negative_weight=1 - proximity)


@MODELS.register_module()
class ProximityWeightFocalLoss(_ProximityLoss):
    """P times the focal loss. Source: sparseseunet eq. 5.1."""

    def guided(self, pred: Tensor, target: Tensor, proximity: Tensor) -> Tensor:
        return proximity * soft_focal(pred, target, self.alpha, self.gamma)


@MODELS.register_module()
class ProximityTargetFocalLoss(_ProximityLoss):
    """Focal loss with the target y (1 - P) in place of y, as sparseseunet eq. 4.5 is printed.

    This lowers the target where P is high, see docs/concepts/overlap.md. Raises CellMMError if P is 1 on all
    overlap of the first batch that has any: nothing is left to learn.
    """

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, loss_weight: float = 1.0) -> None:
        super().__init__(alpha, gamma, loss_weight)
        self._left = False  # whether a batch had overlap that P left to learn

    def guided(self, pred: Tensor, target: Tensor, proximity: Tensor) -> Tensor:
        lowered = target * (1 - proximity)
        self._check_left(target, lowered)
        return soft_focal(pred, lowered, self.alpha, self.gamma)

    def _check_left(self, target: Tensor, lowered: Tensor) -> None:
        """Refuse a P that empties the targets; later on, thin overlaps alone may do so (v4)."""
        if self._left or not target.any():
            return
        if not lowered.any():
            raise CellMMError(
                "ProximityTargetFocalLoss has no overlap to learn, as P is 1 on all overlap: choose kind v0, "
                "v1 or v4 of ProximityMap, or ProximityFocalLoss or ProximityWeightFocalLoss"
            )
        self._left = True
