"""Probability maps of exclusive classes of pixels: nucleus, boundary, background."""

from collections.abc import Sequence

import torch
from torch import Tensor

from cellmm.errors import CellMMError
from cellmm.models.heads.pixel_head import PixelHead
from cellmm.models.losses import CrossEntropyLoss
from cellmm.registry import MODELS


@MODELS.register_module()
class SoftmaxHead(PixelHead):
    """K maps whose probabilities add up to 1 at each pixel, see PixelHead. Source: nuclei-notes.

    Args:
        in_channels, stride: of the maps, finest first, and of the finest; the model gives them.
        targets: two maps of ``gt_semantic`` or more, of which one is 1 at each pixel; their names in
            ``pred_semantic``. Those of BoundaryTargets are the default.
        loss: CrossEntropyLoss, the default; a loss of masks or of logits (DiceLoss, SigmoidFocalLoss) is
            given each class against the others.
        weighted, subpixel: see PixelHead.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        stride: int,
        targets: Sequence[str] = ("interior", "boundary", "exterior"),
        loss: dict | None = None,
        weighted: bool = False,
        subpixel: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        if len(set(targets)) < 2 or len(set(targets)) < len(targets):
            raise ValueError(f"SoftmaxHead: targets are {tuple(targets)}; name two different maps or more")
        loss = loss or dict(type="CrossEntropyLoss")
        super().__init__(in_channels, stride, targets, loss, weighted, subpixel, init_cfg)
        if "gt_proximity" in self.needs or self.of_values:
            raise CellMMError(
                f"SoftmaxHead.loss: {type(self.pixel_loss).__name__} is no loss of exclusive classes; take "
                "CrossEntropyLoss, DiceLoss or SigmoidFocalLoss"
            )

    def loss(self, features: list[Tensor], samples: list) -> dict[str, Tensor]:
        """``loss_map``; raises CellMMError where the targets of a pixel do not exclude each other."""
        for sample in samples:
            self._check(sample)
            total = sum(sample.gt_semantic.get(target).float() for target in self.targets)
            if bool((total != 1).any()):
                raise CellMMError(
                    f"{sample.get('img_path')}: {int((total != 1).sum())} pixels have none or several of "
                    f"{', '.join(self.targets)}; take maps of which one is 1 at each pixel, as "
                    "BoundaryTargets writes them"
                )
        return super().loss(features, samples)

    def map_loss(
        self, logits: Tensor, targets: Tensor, weight: Tensor, count: Tensor, **guide: Tensor
    ) -> Tensor:
        if isinstance(self.pixel_loss, CrossEntropyLoss):
            return self.pixel_loss(logits, targets.argmax(1), weight=weight, avg_factor=count)
        logits = against_the_others(logits)
        if self.of_masks:
            return self.masks_loss(logits, targets, weight, count)
        weight = weight[:, None].expand_as(logits)
        return self.pixel_loss(logits, targets, weight=weight, avg_factor=count * len(self.targets))

    def predict_maps(self, features: list[Tensor]) -> Tensor:
        """Probabilities (B, K, h, w), float32, in the order of ``targets``."""
        return self(features).softmax(1)


def against_the_others(logits: Tensor) -> Tensor:
    """Logits (B, K, ...) whose sigmoid is the softmax of ``logits``: of each class against all others.

    >>> logits = torch.tensor([[0.0, 1.0, 2.0]])
    >>> bool(torch.allclose(against_the_others(logits).sigmoid(), logits.softmax(1)))
    True
    """
    num = logits.shape[1]
    others = [[j for j in range(num) if j != k] for k in range(num)]
    return logits - torch.stack([logits[:, rest].logsumexp(1) for rest in others], 1)
