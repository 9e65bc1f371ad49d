"""Dice, BCE and focal: the formulas that losses, matching costs and metrics share.

Everything is computed in float32, whatever the input: sums over the pixels of a mask overflow or lose
their small terms in half precision.
"""

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor
from torch.nn import functional as F


def dice_coefficient(
    probs: Tensor,
    targets: Tensor,
    eps: float = 1e-6,
    *,
    squared: bool = True,
    weight: Tensor | None = None,
) -> Tensor:
    """Dice with squared sums, 2 sum(p g) / (sum p^2 + sum g^2). Source: sparseseunet eq. 4.13.

    ``probs``, ``targets``: (..., P), values in [0, 1], P pixels -> (...), in [0, 1]; 1 where both are empty.
    Without ``squared`` the sums are plain, 2 sum(p g) / (sum p + sum g). Source: nuclei-notes. ``weight``
    (..., P), from 0: a pixel counts so many times in each sum.

    >>> dice_coefficient(torch.tensor([1.0, 1.0, 0.0]), torch.tensor([1.0, 0.0, 0.0]))
    tensor(0.6667)
    """
    probs, targets = probs.float(), targets.float()
    overlap = probs * targets
    if squared:
        probs, targets = probs.square(), targets.square()
    if weight is not None:
        overlap, probs, targets = (term * weight.float() for term in (overlap, probs, targets))
    overlap, total = overlap.sum(-1), probs.sum(-1) + targets.sum(-1)
    return (2 * overlap + eps) / (total + eps)


def pairwise_dice(probs: Tensor, targets: Tensor, eps: float = 1e-6, *, squared: bool = True) -> Tensor:
    """The Dice coefficient of every prediction with every target: (N, P) and (M, P) -> (N, M).

    ``squared``: as of ``dice_coefficient``.
    """
    probs, targets = probs.float(), targets.float()
    sizes = [(x.square() if squared else x).sum(-1) for x in (probs, targets)]
    return (2 * probs @ targets.T + eps) / (sizes[0][:, None] + sizes[1][None] + eps)


def pairwise_bce(logits: Tensor, targets: Tensor) -> Tensor:
    """``mask_bce`` of every prediction with every target: (N, P) and (M, P) -> (N, M).

    >>> pairwise_bce(torch.tensor([[0.0, 50.0]]), torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
    tensor([[ 0.3466, 25.3466]])
    """
    logits, targets = logits.float(), targets.float()
    # log(1 + exp(x)) - x y: the first term does not depend on the target
    return (F.softplus(logits).mean(-1)[:, None] - logits @ targets.T / max(logits.shape[-1], 1)).clamp(min=0)


def mask_iou(masks: Tensor, others: Tensor) -> Tensor:
    """IoU of pairs of masks, bool (..., P) twice -> (...), float32 in [0, 1]; 0 where both are empty.

    >>> mask_iou(torch.tensor([True, True, False]), torch.tensor([True, False, False]))
    tensor(0.5000)
    """
    return (masks & others).sum(-1) / (masks | others).sum(-1).clamp(min=1)


def mask_bce(logits: Tensor, targets: Tensor, weight: Tensor | None = None) -> Tensor:
    """Binary cross-entropy averaged over the pixels: (..., P) logits and targets in [0, 1] -> (...).

    ``weight`` (..., P): the average is over the weighted pixels. Source: sparseseunet eq. 4.15.
    """
    bce = F.binary_cross_entropy_with_logits(logits.float(), targets.float(), reduction="none")
    if weight is None:
        return bce.mean(-1)
    weight = weight.float()
    return (bce * weight).sum(-1) / weight.sum(-1).clamp(min=1)


def sigmoid_focal(logits: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss of each element, -alpha_t (1 - p_t)^gamma log(p_t); targets in {0, 1}; any shape, kept.

    Source: sparseseunet eq. 4.17; Lin et al., Focal Loss for Dense Object Detection.
    """
    logits, targets = logits.float(), targets.float()
    bce = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    p_t = torch.sigmoid(logits) * (2 * targets - 1) + (1 - targets)
    alpha_t = alpha * targets + (1 - alpha) * (1 - targets)
    return alpha_t * (1 - p_t) ** gamma * bce


def soft_focal(
    logits: Tensor,
    targets: Tensor,
    alpha: float = 0.25,
    gamma: float = 2.0,
    negative_weight: Tensor | float = 1.0,
) -> Tensor:
    """Focal loss with targets y anywhere in [0, 1]; any shape, kept. Source: sparseseunet eq. 4.5.

    -alpha (1 - p)^gamma y log(p) - (1 - alpha) p^gamma (1 - y) log(1 - p), the second term times
    ``negative_weight``; ``sigmoid_focal`` where y is 0 or 1.
    """
    targets = targets.float()
    positive = sigmoid_focal(logits, torch.ones_like(targets), alpha, gamma)
    negative = sigmoid_focal(logits, torch.zeros_like(targets), alpha, gamma)
    return targets * positive + negative_weight * (1 - targets) * negative


def cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Logits (B, C, ...) and classes (B, ...), integers from 0 -> cross-entropy (B, ...)."""
    log_probs = logits.float().log_softmax(1)  # torch's cross_entropy of maps is not deterministic on a GPU
    return -log_probs.gather(1, classes[:, None].long())[:, 0]


def mean_over_ranks(count: float, like: Tensor) -> Tensor:
    """How many elements (``count`` on this rank) a rank has on average; at least 1 / the number of ranks.

    A rank's sum over its elements is divided by this. Averaged over the ranks, that is the value and the
    gradient of a single process with the whole batch. ``like``: a tensor on the device to exchange on.
    """
    total = torch.tensor(float(count), device=like.device)
    all_reduce(total)
    return total.clamp(min=1) / get_world_size()
