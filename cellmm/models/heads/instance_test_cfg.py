"""``test_cfg`` of the heads that give instances."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cellmm.checks import check_share
from cellmm.registry import TASK_UTILS
from cellmm.structures import PredictedInstances

ALL_IN_USE = (
    "all queries gave a cell, {}, and there may be more cells; train with a larger num_queries, or predict "
    "in smaller tiles (model.tile), each of which has its own queries"
)


@TASK_UTILS.register_module()
@dataclass
class InstanceTestCfg:
    """Which masks are returned.

    Args:
        mask_thr: probability above which a pixel belongs to the mask.
        score_thr: masks that score less are not returned.
        nms: config of MaskNMS or MatrixNMS, against masks that repeat a better one; None: all are returned.
    """

    mask_thr: float = 0.5
    score_thr: float = 0.05
    nms: dict | Callable | None = None

    def __post_init__(self) -> None:
        check_share(mask_thr=self.mask_thr, score_thr=self.score_thr)
        if isinstance(self.nms, dict):
            self.nms = TASK_UTILS.build(self.nms)

    def passing(self, scores: Tensor, filled: Tensor) -> Tensor:
        """Indices of the masks that score enough and are ``filled`` (bool (N,)), best first: int64."""
        order = scores.argsort(descending=True, stable=True)
        return order[(scores[order] > self.score_thr) & filled[order]]

    def suppress(
        self,
        masks: Tensor | Sequence[Tensor],
        scores: Tensor,
        labels: Tensor | None,
        origins: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Call ``nms``: indices of the masks that stay, best first, and their scores."""
        if self.nms is None:
            return torch.arange(len(scores), device=scores.device), scores
        keep, scores = self.nms(masks, scores, labels, origins)
        passes = scores > self.score_thr
        return keep[passes], scores[passes]

    def instances(
        self, probs: Tensor, scores: Tensor, labels: Tensor, stride: int, num_queries: int
    ) -> PredictedInstances:
        """Those of N queries that stay, best first, as whole maps.

        Args:
            probs: of the masks' pixels, (N, h, w), one per ``stride`` pixels of the image.
            scores, labels: (N,).
            num_queries: if as many masks score enough, the result says that there may be more cells.
        """
        inside = probs > self.mask_thr
        order = self.passing(scores, inside.flatten(1).any(1))
        limits = {ALL_IN_USE: num_queries} if len(order) == num_queries else {}
        keep, scores = self.suppress(inside[order], scores[order], labels[order])
        order = order[keep]
        return PredictedInstances(
            probs=probs[order],
            scores=scores,
            labels=labels[order],
            stride=stride,
            mask_thr=self.mask_thr,
            limits=limits,
        )
