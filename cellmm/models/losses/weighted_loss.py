"""The convention of all losses: ``loss(pred, target, weight=None, avg_factor=None)``."""

from abc import abstractmethod

from torch import Tensor, nn


class WeightedLoss(nn.Module):
    """``loss_weight`` x the sum of the loss of each element / ``avg_factor``, float32.

    A subclass gives ``elements(pred, target, weight)``: the loss of each pixel, class or pair of masks, times
    its weight. ``needs_proximity``: the loss also takes ``proximity=``, a map like ``pred``. ``of_masks``:
    its elements are masks, (K, P) of P pixels, not pixels. ``of_values``: ``pred`` are values, not logits.
    """

    needs_proximity = False
    of_masks = False
    of_values = False

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        if not loss_weight >= 0:
            raise ValueError(f"loss_weight must be 0 or more, got {loss_weight}")
        self.loss_weight = loss_weight

    @abstractmethod
    def elements(self, pred: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        """The loss of each element, float32, times its ``weight``."""

    def check_shapes(self, pred: Tensor, target: Tensor, weight: Tensor | None) -> None:
        """Refuse a target of another shape, and a weight that would enlarge the prediction."""
        for what, other in (("target", target), ("weight", weight)):
            if other is None or other.shape == pred.shape:
                continue
            sides = zip(other.shape, pred.shape, strict=False)
            if what == "target" or other.ndim != pred.ndim or any(n not in (1, m) for n, m in sides):
                raise ValueError(
                    f"{type(self).__name__}: a {what} of shape {tuple(other.shape)} does not fit a "
                    f"prediction of {tuple(pred.shape)}; give both the same shape"
                )

    def reduce(self, elements: Tensor, avg_factor: Tensor | float | None) -> Tensor:
        """Sum over ``avg_factor``, or the mean; times ``loss_weight``. 0 if there are no elements."""
        if avg_factor is None and elements.numel():
            return self.loss_weight * elements.mean()
        return self.loss_weight * elements.sum() / (1 if avg_factor is None else avg_factor)

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
    ) -> Tensor:
        """Scalar loss.

        Args:
            pred, target: see the class.
            weight: how much each element (of masks: each pixel) counts, 0 for those that are not learned.
            avg_factor: what the sum is divided by, for example ``mean_over_ranks`` of the matched pairs or of
                the weights. None: the number of elements.

        Raises:
            ValueError: shapes that do not fit; only sides of 1 of a weight are broadcast.
        """
        self.check_shapes(pred, target, weight)
        return self.reduce(self.elements(pred, target, weight), avg_factor)


def weighted(elements: Tensor, weight: Tensor | None) -> Tensor:
    """Elements times weights; None: unchanged."""
    return elements if weight is None else elements * weight.float()
