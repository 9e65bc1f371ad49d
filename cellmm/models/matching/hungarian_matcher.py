"""One-to-one assignment of queries to cells."""

import scipy  # its parts are imported on first use: predicting does without optimize
import torch
from torch import Tensor

from cellmm.models.losses.functional import pairwise_dice
from cellmm.registry import TASK_UTILS


@TASK_UTILS.register_module()
class HungarianMatcher:
    """Pair queries with cells so that the sum of C = C_cls^(1-lambda) * C_mask^lambda is largest.

    C_cls is the probability of the cell's class, C_mask the Dice of the two masks: both grow with the
    agreement. In an image with more cells than queries every query gets a cell, and some cells get no query:
    the caller counts them. Source: sparseseunet eq. 4.10 to 4.13.

    Args:
        mask_weight: lambda, in [0, 1].
    """

    def __init__(self, mask_weight: float = 0.8) -> None:
        if not 0 <= mask_weight <= 1:
            raise ValueError(f"mask_weight must be in [0, 1], got {mask_weight}")
        self.mask_weight = mask_weight

    @torch.no_grad()
    def __call__(
        self, cls_logits: Tensor, mask_logits: Tensor, labels: Tensor, masks: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One image: (N, K) and (N, P) logits, (M,) labels and (M, P) masks -> (query, cell) indices.

        Both index tensors are int64 of length min(N, M), on the device of the logits.
        """
        probs = cls_logits.float().sigmoid()[:, labels]
        dice = pairwise_dice(mask_logits.float().sigmoid(), masks)
        score = probs ** (1 - self.mask_weight) * dice**self.mask_weight
        return best_pairs(score)


def best_pairs(score: Tensor) -> tuple[Tensor, Tensor]:
    """The one-to-one pairs (row, column) of the largest sum: (N, M) -> int64 (min(N, M),) each."""
    if not torch.isfinite(score).all():
        # any pairs will do: their loss is not finite either, and NonFiniteHook says what to do
        score = torch.zeros_like(score)
    rows, columns = scipy.optimize.linear_sum_assignment(score.cpu().numpy(), maximize=True)
    as_tensor = lambda index: torch.as_tensor(index, dtype=torch.long, device=score.device)  # noqa: E731
    return as_tensor(rows), as_tensor(columns)
