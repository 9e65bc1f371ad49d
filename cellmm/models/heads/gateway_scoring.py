"""What the mask of a gateway scores."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cellmm.models.derive import build_part
from cellmm.models.heads.gateway_targets import WindowTargets
from cellmm.models.heads.mask_scores import maskness
from cellmm.models.losses.functional import mean_over_ranks
from cellmm.registry import MODELS


@MODELS.register_module()
class GatewayScoring(nn.Module):
    """The mean probability of the mask's pixels; with ``objectness`` combined with the IoU that it expects.

    Source: diskmask 3.4.2; ``objectness`` is ours.

    ``learns``: whether it learns from the masks of single gateways.

    Args:
        in_channels: of DecoNet's coarsest map; the head gives it.
        objectness: config of MaskQuality, which sees the mean and the maximum of DecoNet's coarsest map.
            None: none, as published.
    """

    part_arguments = {"objectness": ("num_features",)}

    def __init__(self, in_channels: int, objectness: dict | None = None) -> None:
        super().__init__()
        self.objectness = None
        if objectness is not None:
            self.objectness = build_part(self, MODELS, "objectness", objectness, num_features=2 * in_channels)
        self.learns = objectness is not None

    def forward(self, logits: Tensor, coarsest: Tensor, disk_probs: Tensor, mask_thr: float) -> Tensor:
        """Scores in [0, 1] of K masks: (K,).

        Args:
            logits: of the masks, (K, h, w).
            coarsest: DecoNet's coarsest map of each, (K, C, h', w').
            disk_probs: disk probability at the gateway of each, (K,).
            mask_thr: probability above which a pixel belongs to the mask.
        """
        probs = logits.sigmoid()
        scores = maskness(probs, probs > mask_thr)
        if self.objectness is None:
            return scores
        return self.objectness.score(scores, self._expected_iou(logits, coarsest, disk_probs))

    def loss(
        self,
        logits: Tensor,
        coarsest: Tensor,
        disk_probs: Tensor,
        mask_thr: float,
        windows: Sequence[WindowTargets],
    ) -> dict[str, Tensor]:
        """``loss_quality``, where there is an ``objectness``; the other arguments are those of ``forward``.

        The true IoU of a mask is that with the cell that it fits best. ``windows``: the truth under each.
        """
        if self.objectness is None:
            return {}
        expected = self._expected_iou(logits, coarsest, disk_probs)
        true = torch.zeros_like(expected)
        for i, (mask, window) in enumerate(zip(logits.detach().sigmoid() > mask_thr, windows, strict=True)):
            true[i] = window.best_iou(mask)
        count = mean_over_ranks(len(expected), expected)
        return dict(loss_quality=self.objectness.loss(expected, true, count))

    def _expected_iou(self, logits: Tensor, coarsest: Tensor, disk_probs: Tensor) -> Tensor:
        """As logits, (K,)."""
        coarsest = coarsest.float()
        features = torch.cat([coarsest.mean((2, 3)), coarsest.amax((2, 3))], 1)
        return self.objectness(features, logits, disk_probs)
