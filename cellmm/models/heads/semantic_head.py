"""One probability map: cytoplasm, nuclei, border, background or overlap."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from cellmm.errors import CellMMError
from cellmm.registry import MODELS
from cellmm.structures.semantic_maps import SEMANTIC_NAMES


@MODELS.register_module()
class SemanticHead(BaseModule):
    """A 1x1 convolution of the finest map gives the logits of one map of the image's pixels.

    One head a decoder of ParallelDecoders is the decoupled network, several heads on one decoder the
    multi-channel one. Source: sparseseunet 4.2.2, 4.2.3, figure 4.4.

    Learned where an image has pixels: neither in the padding of the batch nor in ``ignore``. At stride s the
    target of a pixel is the mean of its block's s x s pixels that are learned.

    Args:
        in_channels: channels of the maps, finest first.
        stride: pixels of the input that a pixel of the finest map stands for.
        target: which map of ``gt_semantic`` is learned, and its name in ``pred_semantic``.
        loss: config of a loss of pixels, see PixelBCELoss, the default.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        stride: int,
        target: str,
        loss: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if target not in SEMANTIC_NAMES:
            raise ValueError(f"target must be one of {SEMANTIC_NAMES}, got {target!r}")
        self.stride, self.target = stride, target
        self.logits = nn.Conv2d(in_channels[0], 1, 1)
        self.pixel_loss = MODELS.build(loss or dict(type="PixelBCELoss"))
        # what training samples must have, and the steps that write it
        self.needs = {"gt_semantic": "SemanticTargets before PackCellInputs"}
        if getattr(self.pixel_loss, "needs_proximity", False):
            self.needs["gt_proximity"] = "ProximityMap before PackCellInputs"

    def forward(self, features: list[Tensor]) -> Tensor:
        """Logits (B, 1, h, w), float32."""
        return self.logits(features[0]).float()

    def loss(self, features: list[Tensor], samples: list) -> dict[str, Tensor]:
        """``loss_map``, of the target's pixels."""
        logits = self(features)[:, 0]
        for sample in samples:
            self._check(sample)
        size = logits.shape[-2:]
        self._check_size(size, samples)
        learned = [
            torch.ones_like(s.gt_semantic.get(self.target), dtype=torch.bool)
            if "ignore" not in s
            else ~s.ignore
            for s in samples
        ]
        share = self._blocks(learned, size)

        def means(maps: list[Tensor]) -> Tensor:
            blocks = self._blocks([one * use for one, use in zip(maps, learned, strict=True)], size)
            return blocks / share.clamp(min=self.stride**-2)

        proximity = None
        if all("gt_proximity" in sample for sample in samples):
            proximity = means([sample.gt_proximity for sample in samples])
        targets = means([sample.gt_semantic.get(self.target) for sample in samples])
        return dict(loss_map=self.pixel_loss(logits, targets, share, proximity))

    def predict_maps(self, features: list[Tensor]) -> Tensor:
        """Probabilities (B, h, w), float32."""
        return self(features)[:, 0].sigmoid()

    def _blocks(self, maps: list[Tensor], size: Sequence[int]) -> Tensor:
        """Means of stride x stride blocks, each map (H, W) padded with 0 first: float32 (B, h, w)."""
        height, width = (side * self.stride for side in size)
        padded = [F.pad(one.float(), (0, width - one.shape[1], 0, height - one.shape[0])) for one in maps]
        return F.avg_pool2d(torch.stack(padded)[:, None], self.stride)[:, 0]

    def _check(self, sample) -> None:
        name = sample.get("img_path")
        for key, steps in self.needs.items():
            if key not in sample:
                raise CellMMError(f"{name}: no {key}, which the map {self.target!r} learns; add {steps}")
        if self.target not in sample.gt_semantic:
            raise CellMMError(
                f"{name}: gt_semantic has {sorted(sample.gt_semantic.keys())} and no {self.target!r}; add it "
                "to the targets of SemanticTargets"
            )

    def _check_size(self, size: Sequence[int], samples: list) -> None:
        """Refuse maps that ``stride`` does not fit."""
        shapes = [sample.gt_semantic.get(self.target).shape for sample in samples]
        largest = [max(shape[axis] for shape in shapes) for axis in (0, 1)]
        for side, pixels in zip(size, largest, strict=True):
            if not pixels <= side * self.stride < 2 * max(pixels, 64):
                raise CellMMError(
                    f"{samples[0].get('img_path')}: a feature map of {tuple(size)} pixels for "
                    f"{tuple(largest)} px is not of stride {self.stride}: set the head's stride to that of "
                    "the decoder's finest map"
                )
