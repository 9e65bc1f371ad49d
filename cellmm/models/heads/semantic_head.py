"""One probability map: cytoplasm, nuclei, border, background, overlap, boundary, or one of your own."""

from collections.abc import Sequence

from torch import Tensor

from cellmm.models.heads.base import HeadExport
from cellmm.models.heads.pixel_head import PixelHead
from cellmm.registry import MODELS


@MODELS.register_module()
class SemanticHead(PixelHead):
    """The logits of one map of the image's pixels, see PixelHead.

    One head per decoder of ParallelDecoders makes the decoupled network, several heads on one decoder make
    the multi-channel network. Source: sparseseunet 4.2.2, 4.2.3, figure 4.4.

    Args:
        in_channels, stride: of the maps, finest first, and of the finest; the model gives them.
        target: the map of ``gt_semantic`` to learn, and its name in ``pred_semantic``: one of
            SemanticTargets or BoundaryTargets, or of a transform of your own that adds (H, W) to it, uint8 of
            0 and 1 or float32 from 0 to 1.
        loss: config of a loss of pixels or of masks (BCELoss, DiceLoss); of values (MSELoss): it is given
            the probabilities. BCELoss is the default.
        weighted, subpixel: see PixelHead.
    """

    export = HeadExport()

    def __init__(
        self,
        in_channels: Sequence[int],
        stride: int,
        target: str,
        loss: dict | None = None,
        weighted: bool = False,
        subpixel: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        loss = loss or dict(type="BCELoss")
        super().__init__(in_channels, stride, (target,), loss, weighted, subpixel, init_cfg)
        self.target = target

    def map_loss(
        self, logits: Tensor, targets: Tensor, weight: Tensor, count: Tensor, **guide: Tensor
    ) -> Tensor:
        if self.of_values:
            logits = logits.sigmoid()
        if self.of_masks:
            return self.masks_loss(logits, targets, weight, count)
        return self.pixel_loss(logits[:, 0], targets[:, 0], weight=weight, avg_factor=count, **guide)

    def predict_maps(self, features: list[Tensor]) -> Tensor:
        """Probabilities (B, h, w), float32."""
        return self(features)[:, 0].sigmoid()
