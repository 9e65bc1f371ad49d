"""A limit on the work that predicting an image spends without getting a mask for it."""

from collections.abc import Sequence

import torch
from torch import Tensor


class DecodingBudget:
    """Pixels through DecoNet for one image: those that may be wasted are limited.

    A gateway pays when it gives a mask of its own: whole in its window, with a score that passes, and not
    at a place that the mask of an earlier gateway covers. All pixels of the others are wasted so far; a
    window that grows pays for the smaller windows before it. As many pixels may be wasted as are ``free``,
    and half as many again as have paid. A net that has learned wastes little, whatever the number of cells,
    and stays below this. A net that has not would otherwise look at thousands of places, up to the whole
    image for each.

    Args:
        num: how many gateways there are.
        free: see above, in pixels.
        shape: (h, w) of the feature map.
    """

    def __init__(self, num: int, free: float, shape: Sequence[int]) -> None:
        self.free = free
        self.spent = torch.zeros(num, dtype=torch.float64)
        self.paid = torch.zeros(num, dtype=torch.bool)
        self._covered = torch.zeros(tuple(shape), dtype=torch.bool)

    def allowed(self, pixels: int, most: int) -> int:
        """How many windows of so many pixels may be wasted now, at most ``most``."""
        paid = float(self.spent[self.paid].sum())
        wasted = float(self.spent.sum()) - paid
        left = max(self.free + paid / 2 - wasted, 0)
        return min(int(left // pixels), most)

    def spend(
        self, which: Tensor, pixels: int, points: Tensor, whole: Tensor, masks: Tensor, first: Tensor
    ) -> None:
        """Gateways ``which`` (K,) at ``points`` (K, 2) took ``pixels`` each.

        They gave masks, bool (K, h, w) from pixels ``first`` (K, 2) on; ``whole`` (K,): whole and passing.
        """
        which, masks, whole = which.cpu(), masks.cpu(), (whole & masks.flatten(1).any(1)).tolist()
        self.spent[which] += pixels
        for k, ((row, col), (top, left)) in enumerate(
            zip(points.round().long().tolist(), first.tolist(), strict=True)
        ):
            if whole[k] and not self._covered[row, col]:
                self.paid[which[k]] = True
                self._covered[top : top + masks.shape[1], left : left + masks.shape[2]] |= masks[k]
