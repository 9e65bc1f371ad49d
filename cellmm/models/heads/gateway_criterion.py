"""What DiskMask learns: where disks are, and the masks of the cells that belong to them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cellmm.models.heads.gateway_targets import ImageTargets, WindowTargets
from cellmm.models.heads.gateways import SampledGateways
from cellmm.models.losses.functional import mean_over_ranks
from cellmm.registry import MODELS


@MODELS.register_module()
class GatewayCriterion(nn.Module):
    """Losses of disks and of masks, by default those that were published. Source: diskmask 2.2.3, 3.3.2.

    Args:
        loss_disk: config of a loss of the disk logits (B, K + 1, h, w) with classes (B, h, w).
        loss_mask: config of a loss of mask logits (K, P) with targets in [0, 1], K masks of P pixels.
        loss_dice: the same, of masks that are not empty. Ours; None as published.
    """

    def __init__(
        self, loss_disk: dict | None = None, loss_mask: dict | None = None, loss_dice: dict | None = None
    ) -> None:
        super().__init__()
        self.loss_disk = MODELS.build(loss_disk or dict(type="CrossEntropyLoss"))
        self.loss_mask = MODELS.build(loss_mask or dict(type="MaskBCELoss"))
        self.loss_dice = MODELS.build(loss_dice) if loss_dice else None

    def forward(
        self,
        disk_logits: Tensor,
        targets: Sequence[ImageTargets],
        mask_logits: Tensor,
        windows: Sequence[WindowTargets],
        gateways: SampledGateways,
    ) -> dict[str, Tensor]:
        """``loss_disk``, ``loss_mask`` and, with a loss for it, ``loss_dice``.

        Args:
            disk_logits: (B, K + 1, h, w), class 0 being the background; ``targets``: of each image.
            mask_logits: (K, h', w'), of each gateway; ``windows``: the truth under each.
        """
        classes = torch.stack([target.classes for target in targets])
        weight = torch.stack([target.weight for target in targets])
        losses = dict(loss_disk=self.loss_disk(disk_logits, classes, weight))
        pairs = list(zip(windows, gateways.cells, strict=True))
        masks = torch.stack([window.union(cells) for window, cells in pairs]) if pairs else mask_logits
        learned = torch.stack([window.learned for window in windows]) if pairs else mask_logits
        has_mask, has_cells = (
            torch.tensor(which, dtype=torch.bool, device=mask_logits.device)
            for which in (gateways.has_mask, [len(cells) > 0 for cells in gateways.cells])
        )
        count = mean_over_ranks(sum(gateways.has_mask), mask_logits)
        losses["loss_mask"] = self._of_masks(self.loss_mask, mask_logits, masks, learned, has_mask, count)
        if self.loss_dice is not None:
            losses["loss_dice"] = self._of_masks(
                self.loss_dice, mask_logits, masks, learned, has_cells, count
            )
        return losses

    @staticmethod
    def _of_masks(
        loss: nn.Module, logits: Tensor, masks: Tensor, learned: Tensor, which: Tensor, count: Tensor
    ) -> Tensor:
        logits, masks, learned = (values[which].flatten(1) for values in (logits, masks, learned))
        return loss(logits, masks, weight=learned, avg_factor=count)
