"""One probability map: cytoplasm, nuclei, border, background, overlap, or one of your own."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from cellmm.errors import CellMMError
from cellmm.models.heads.base import HeadExport
from cellmm.models.losses.functional import mean_over_ranks
from cellmm.registry import MODELS


@MODELS.register_module()
class SemanticHead(BaseModule):
    """A 1x1 convolution of the finest map gives the logits of one map of the image's pixels.

    One head per decoder of ParallelDecoders makes the decoupled network, several heads on one decoder make
    the multi-channel network. Source: sparseseunet 4.2.2, 4.2.3, figure 4.4.

    The head learns from the pixels of the image, not from the padding of the batch or from ``ignore``. At
    stride s a logit stands for the s x s pixels of its block, and the loss is computed at each of them, so
    that targets and P are combined before anything is averaged. There is one class: cells of other classes
    are refused.

    Args:
        in_channels, stride: of the maps, finest first, and of the finest; the model gives them.
        target: the map of ``gt_semantic`` to learn, and its name in ``pred_semantic``: one of
            SemanticTargets, or of a transform of your own that adds uint8 (H, W) of 0 and 1 to it.
        loss: config of a loss of pixels, see BCELoss, the default.
    """

    export = HeadExport()

    def __init__(
        self,
        in_channels: Sequence[int],
        stride: int,
        target: str,
        loss: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.stride, self.target = stride, target
        self.logits = nn.Conv2d(in_channels[0], 1, 1)
        self.pixel_loss = MODELS.build(loss or dict(type="BCELoss"))
        # what training samples must have, and the steps that write it
        self.needs = {"gt_semantic": "SemanticTargets before PackCellInputs"}
        if getattr(self.pixel_loss, "needs_proximity", False):
            self.needs["gt_proximity"] = "ProximityMap before PackCellInputs"

    def forward(self, features: list[Tensor]) -> Tensor:
        """Logits (B, 1, h, w), float32."""
        return self.logits(features[0]).float()

    def loss(self, features: list[Tensor], samples: list) -> dict[str, Tensor]:
        """``loss_map``, over the pixels of the target."""
        logits = self(features)[:, 0]
        for sample in samples:
            self._check(sample)
        batch, height, width = logits.shape
        blocks = logits[:, :, None, :, None].expand(-1, -1, self.stride, -1, self.stride)
        pixels = blocks.reshape(batch, height * self.stride, width * self.stride)
        targets = [s.gt_semantic.get(self.target) for s in samples]
        learned = [
            ~s.ignore if "ignore" in s else torch.ones_like(target, dtype=torch.bool)
            for s, target in zip(samples, targets, strict=True)
        ]
        guide = {}
        if "gt_proximity" in self.needs:
            guide["proximity"] = _padded([sample.gt_proximity for sample in samples], pixels)
        targets, learned = _padded(targets, pixels), _padded(learned, pixels)
        count = mean_over_ranks(learned.sum().item(), pixels)
        return dict(
            loss_map=self.pixel_loss(pixels, targets * learned, weight=learned, avg_factor=count, **guide)
        )

    def predict_maps(self, features: list[Tensor]) -> Tensor:
        """Probabilities (B, h, w), float32."""
        return self(features)[:, 0].sigmoid()

    def _check(self, sample) -> None:
        name = sample.get("img_path")
        for key, steps in self.needs.items():
            if key not in sample:
                raise CellMMError(f"{name}: no {key}, which the map {self.target!r} learns; add {steps}")
        if self.target not in sample.gt_semantic:
            raise CellMMError(
                f"{name}: gt_semantic has {sorted(sample.gt_semantic.keys())} and no {self.target!r}; add it "
                "to the targets of SemanticTargets, or a transform that writes it"
            )
        labels = sample.gt_instances.labels if "gt_instances" in sample else ()
        if len(labels) and (top := int(labels.max())) > 0:
            raise CellMMError(
                f"{name}: a cell of class {top} (from 0), but the map {self.target!r} knows one class: set "
                "class_agnostic=True in the dataset to take all classes as one"
            )


def _padded(maps: list[Tensor], like: Tensor) -> Tensor:
    """Maps (H, W) with 0 after their last rows and columns: float32 (B, *like.shape[1:])."""
    height, width = like.shape[1:]
    return torch.stack([F.pad(m.float(), (0, width - m.shape[1], 0, height - m.shape[0])) for m in maps])
