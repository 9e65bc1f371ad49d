"""What heads of maps share: logits of pixels, and a loss of the pixels of the image."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from cellmm.errors import CellMMError
from cellmm.models.feature_spec import FeatureSpec
from cellmm.models.losses.functional import mean_over_ranks
from cellmm.registry import MODELS
from cellmm.structures import CellSample


class PixelHead(BaseModule):
    """A 1x1 convolution of the finest map gives the logits of K maps of the image's pixels.

    The head learns from the pixels of the image, not from the padding of the batch or from ``ignore``. At
    stride s a logit stands for the s x s pixels of its block, and the loss is computed at each of them, so
    that targets and weights are combined before anything is averaged. There is one class of cells: others
    are refused.

    Args:
        in_channels, stride: of the maps, finest first, and of the finest; the model gives them.
        targets: the K maps of ``gt_semantic`` to learn, and their names in ``pred_semantic``.
        loss: config of a loss.
        weighted: weigh the pixels by ``gt_weight``, see PixelWeights.
        subpixel: give each of the s x s pixels of a block its own logit, so that the maps have stride 1
            (the efficient sub-pixel convolution of Shi et al., 2016).
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        stride: int,
        targets: Sequence[str],
        loss: dict,
        weighted: bool,
        subpixel: bool,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.targets, self.weighted = tuple(targets), weighted
        num, self.out_spec = len(self.targets), None
        self.block, self.stride = 1, stride
        if subpixel:
            self.block, self.stride, self.out_spec = stride, 1, FeatureSpec(num, 1)
        self.logits = nn.Conv2d(in_channels[0], num * self.block**2, 1)
        self.pixel_loss = MODELS.build(loss)
        self.of_masks = getattr(self.pixel_loss, "of_masks", False)
        self.of_values = getattr(self.pixel_loss, "of_values", False)
        # what training samples must have, and the steps that write it
        self.needs = {"gt_semantic": "SemanticTargets or BoundaryTargets before PackCellInputs"}
        if getattr(self.pixel_loss, "needs_proximity", False):
            self.needs["gt_proximity"] = "ProximityMap before PackCellInputs"
        if weighted:
            self.needs["gt_weight"] = "PixelWeights before PackCellInputs"

    def forward(self, features: list[Tensor]) -> Tensor:
        """Logits (B, K, h, w), float32."""
        logits = self.logits(features[0]).float()
        return logits if self.block == 1 else F.pixel_shuffle(logits, self.block)

    def loss(self, features: list[Tensor], samples: list[CellSample]) -> dict[str, Tensor]:
        """``loss_map``, over the pixels of the targets."""
        logits = self(features)
        for sample in samples:
            self._check(sample)
        batch, num, height, width = logits.shape
        blocks = logits[:, :, :, None, :, None].expand(-1, -1, -1, self.stride, -1, self.stride)
        shape = (height * self.stride, width * self.stride)
        pixels = blocks.reshape(batch, num, *shape)
        targets = torch.stack(
            [_padded([s.gt_semantic.get(target) for s in samples], shape) for target in self.targets], 1
        )
        known = [s.gt_semantic.get(self.targets[0]) for s in samples]
        learned = _padded(
            [
                ~s.ignore if "ignore" in s else torch.ones_like(m, dtype=torch.bool)
                for s, m in zip(samples, known, strict=True)
            ],
            shape,
        )
        guide = {}
        if "gt_proximity" in self.needs:
            guide["proximity"] = _padded([sample.gt_proximity for sample in samples], shape)
        targets, weight = targets * learned[:, None], learned
        if self.weighted:
            weight = learned * _padded([sample.gt_weight for sample in samples], shape)
        if self.of_masks:
            count = mean_over_ranks(len(samples) * len(self.targets), pixels)
        else:
            count = mean_over_ranks(weight.sum().item(), pixels)
        return dict(loss_map=self.map_loss(pixels, targets, weight, count, **guide))

    @abstractmethod
    def map_loss(
        self, logits: Tensor, targets: Tensor, weight: Tensor, count: Tensor, **guide: Tensor
    ) -> Tensor:
        """The loss of ``logits`` and ``targets`` (B, K, H, W), 0 where ``weight`` (B, H, W) is 0.

        ``count``: what the sum is divided by: the sum of the weights, or the number of maps of a loss of
        masks.
        """

    def masks_loss(self, logits: Tensor, targets: Tensor, weight: Tensor, count: Tensor) -> Tensor:
        """A loss of masks, such as DiceLoss: each map (B, K, H, W) of an image is one mask."""
        weight = weight[:, None].expand_as(logits)
        return self.pixel_loss(*(x.flatten(0, 1).flatten(1) for x in (logits, targets, weight)), count)

    def _check(self, sample: CellSample) -> None:
        name, maps = sample.get("img_path"), ", ".join(map(repr, self.targets))
        for key, steps in self.needs.items():
            if key not in sample:
                raise CellMMError(f"{name}: no {key}, which the map {maps} learns; add {steps}")
        for target in self.targets:
            if target not in sample.gt_semantic:
                raise CellMMError(
                    f"{name}: gt_semantic has {sorted(sample.gt_semantic.keys())} and no {target!r}; add it "
                    "to the targets of SemanticTargets, or a transform that writes it"
                )
        labels = sample.gt_instances.labels if "gt_instances" in sample else ()
        if len(labels) and (top := int(labels.max())) > 0:
            raise CellMMError(
                f"{name}: a cell of class {top} (from 0), but the map {maps} knows one class: set "
                "class_agnostic=True in the dataset to take all classes as one"
            )


def _padded(maps: list[Tensor], shape: Sequence[int]) -> Tensor:
    """Maps (H, W) with 0 after their last rows and columns: float32 (B, *shape)."""
    height, width = shape
    return torch.stack([F.pad(m.float(), (0, width - m.shape[1], 0, height - m.shape[0])) for m in maps])
