"""One-to-one assignment of queries to cells by a sum of costs."""

import torch
from torch import Tensor

from cellmm.models.losses.functional import pairwise_bce, pairwise_dice
from cellmm.models.matching.hungarian_matcher import best_pairs
from cellmm.registry import TASK_UTILS


@TASK_UTILS.register_module()
class CostMatcher:
    """Pair queries with cells so that the sum of their costs is smallest, computed in float32.

    The cost of a pair: -``cls_weight`` x the probability of the cell's class, + ``bce_weight`` x the binary
    cross-entropy of the masks, + ``dice_weight`` x (1 - their Dice with plain sums). Probabilities are by a
    softmax over the classes and, last, "no object". In an image with more cells than queries every query gets
    a cell, and some cells get no query: the caller counts them. Source: Mask2Former, with its weights.
    """

    def __init__(self, cls_weight: float = 2.0, bce_weight: float = 5.0, dice_weight: float = 5.0) -> None:
        weights = dict(cls_weight=cls_weight, bce_weight=bce_weight, dice_weight=dice_weight)
        for name, weight in weights.items():
            if not weight >= 0:
                raise ValueError(f"{name} must be 0 or more, got {weight}")
        self.cls_weight, self.bce_weight, self.dice_weight = weights.values()

    @torch.no_grad()
    def __call__(
        self, cls_logits: Tensor, mask_logits: Tensor, labels: Tensor, masks: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One image: (N, K + 1) and (N, P) logits, (M,) labels and (M, P) masks -> (query, cell) indices.

        Both index tensors are int64 of length min(N, M), on the device of the logits.
        """
        with torch.autocast(mask_logits.device.type, enabled=False):
            probs = cls_logits.float().softmax(-1)[:, labels]
            dice = pairwise_dice(mask_logits.float().sigmoid(), masks, squared=False)
            bce = pairwise_bce(mask_logits, masks)
        return best_pairs(self.cls_weight * probs - self.bce_weight * bce + self.dice_weight * dice)
