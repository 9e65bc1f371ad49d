"""``test_cfg`` of the heads that give instances."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cellmm.checks import check_share
from cellmm.registry import TASK_UTILS


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
