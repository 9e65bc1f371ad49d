"""A map of centres or boundaries, learned beside the masks to shape the features."""

import math
from collections.abc import Sequence

import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from cellmm.checks import check_whole
from cellmm.errors import CellMMError
from cellmm.registry import MODELS

RESIZE = dict(center="bilinear", boundary="nearest", distance="bilinear")


@MODELS.register_module()
class AuxiliaryMapHead(BaseModule):
    """A 3x3 convolution, ReLU and a 1x1 convolution give one map of the finest features, in training alone.

    ``loss_map``: the binary cross-entropy with ``gt_<name>``, which is resized to the map, times a weight.
    Pixels in ``ignore`` and in the batch's padding are not learned. Source: maskrcnn-report, which gives
    no sizes of kernels.

    The weight falls as half a cosine from ``weight`` to 0 over the ``anneal`` part of the training: the
    report found that maps of full weight make training less stable and end at a similar score. With the
    published weight, 0.5 all along: ``weight=0.5, anneal=None``.

    Args:
        in_channels, stride: of the maps, finest first, and of the finest; the model gives them.
        name: of the map, one of AuxiliaryMaps: center or distance, bilinearly resized, or boundary, resized
            to the nearest pixel.
        hidden: channels between the convolutions.
        kernel_size: of the last convolution, 1 or 3.
        weight: of the loss, at the beginning.
        anneal: share of the training after which the weight is 0; None: it stays.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        stride: int,
        name: str,
        hidden: int = 256,
        kernel_size: int = 1,
        weight: float = 0.1,
        anneal: float | None = 0.5,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_whole(1, hidden=hidden)
        if name not in RESIZE:
            raise CellMMError(f"AuxiliaryMapHead: name is {name!r}; choose from {', '.join(RESIZE)}")
        if kernel_size not in (1, 3):
            raise CellMMError(f"AuxiliaryMapHead: kernel_size is {kernel_size}; choose 1 or 3")
        if not 0 < weight < math.inf or not (anneal is None or 0 < anneal <= 1):
            raise CellMMError(
                f"AuxiliaryMapHead: weight {weight}, anneal {anneal}; take a weight above 0, and a share "
                "from 0 to 1, or None, for anneal"
            )
        self.name, self.stride = name, stride
        self.weight, self.anneal = weight, anneal
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels[0], hidden, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, 1, kernel_size, padding=kernel_size // 2),
        )
        self.needs = {f"gt_{name}": f"AuxiliaryMaps(targets=({name!r}, ...)) before PackCellInputs"}

    def forward(self, features: list[Tensor]) -> Tensor:
        """Logits (B, 1, h, w), float32."""
        return self.layers(features[0]).float()

    def loss(self, features: list[Tensor], samples: list) -> dict[str, Tensor]:
        """``loss_map``, over the pixels of the map."""
        logits = self(features)
        shape = [side * self.stride for side in logits.shape[-2:]]
        truth = torch.cat([_padded(self._truth(sample).float(), shape) for sample in samples])
        known = torch.cat([_padded((~_ignored(sample)).float(), shape) for sample in samples])
        truth = F.interpolate(truth, logits.shape[-2:], mode=RESIZE[self.name])
        known = F.interpolate(known, logits.shape[-2:], mode="nearest")
        loss = F.binary_cross_entropy_with_logits(logits, truth, known, reduction="sum")
        return dict(loss_map=self.current_weight() * loss / known.sum().clamp(min=1))

    def current_weight(self) -> float:
        """The weight of the loss at this point of the training, as the runner's message hub tells it."""
        if self.anneal is None:
            return self.weight
        hub = MessageHub.get_current_instance().runtime_info
        share = hub.get("iter", 0) / max(hub.get("max_iters") or 1, 1) / self.anneal
        return self.weight * (1 + math.cos(math.pi * min(share, 1.0))) / 2

    def _truth(self, sample) -> Tensor:
        key = f"gt_{self.name}"
        if key not in sample:
            raise CellMMError(f"{sample.get('img_path')}: no {key}; add {self.needs[key]}")
        return sample.get(key)


def _ignored(sample) -> Tensor:
    """bool (H, W)."""
    if "ignore" in sample:
        return sample.ignore
    return torch.zeros(sample.gt_layers.shape[-2:], dtype=torch.bool, device=sample.gt_layers.device)


def _padded(image: Tensor, shape: Sequence[int]) -> Tensor:
    """(H, W) with 0 after its last rows and columns: (1, 1, *shape)."""
    return F.pad(image, (0, shape[1] - image.shape[1], 0, shape[0] - image.shape[0]))[None, None]
