"""Learn the borders of cells beside their masks, from one folder per well; count the cells."""

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor, nn

from cellmm.datasets.base import CellDataset
from cellmm.models.losses.functional import dice_coefficient, mask_bce
from cellmm.models.losses.weighted_loss import WeightedLoss, weighted
from cellmm.registry import DATASETS, METRICS, MODELS


@MODELS.register_module()
class BorderLoss(WeightedLoss):
    """1 - Dice + binary cross-entropy of each image: (B, P) logits, and targets in [0, 1]."""

    def elements(self, pred: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        dice = dice_coefficient(weighted(pred.float().sigmoid(), weight), weighted(target, weight))
        return 1 - dice + mask_bce(pred, target, weight)


@MODELS.register_module()
class BorderHead(nn.Module):
    """Logits (B, 1, H, W): does the pixel lie in a cell, ``width`` pixels or less from its outline?"""

    def __init__(
        self, in_channels: tuple[int, ...], stride: int, width: int = 2, loss: dict | None = None
    ) -> None:
        super().__init__()
        self.stride, self.width = stride, width
        self.logits = nn.Conv2d(in_channels[0], 1, kernel_size=1)
        self.loss_border = MODELS.build(loss or dict(type="BorderLoss"))

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.logits(features[0])

    def loss(self, features: list[Tensor], samples: list) -> dict[str, Tensor]:
        logits = self(features)
        targets = torch.stack([self.borders(s.gt_masks(self.stride, logits.shape[-2:])) for s in samples])
        return dict(loss_border=self.loss_border(logits.flatten(1), targets.flatten(1)))

    def borders(self, masks: Tensor) -> Tensor:
        """Masks (M, H, W) -> (H, W): 1 where a cell is lost when each is made ``width`` pixels smaller."""
        size = 2 * self.width + 1
        eroded = -nn.functional.max_pool2d(-masks[:, None], size, stride=1, padding=self.width)[:, 0]
        return (masks - eroded).sum(0).clamp(max=1)


@DATASETS.register_module()
class WellDataset(CellDataset):
    """One folder per well, such as B03/, with image.tif and the label image cells.tif in it."""

    def load_data_list(self) -> list[dict]:
        wells = enumerate(sorted(self.resolve("").glob("*/image.tif")), start=1)
        return [dict(img_id=i, img_path=str(p), label_path=str(p.with_name("cells.tif"))) for i, p in wells]


@METRICS.register_module()
class CountError(BaseMetric):
    """``count_error``: |cells that score ``score_thr`` or more - cells annotated|, mean over the images."""

    default_prefix = ""
    metric_keys = ("count_error",)

    def __init__(self, score_thr: float = 0.3, **kwargs) -> None:
        super().__init__(**kwargs)
        self.score_thr = score_thr

    def process(self, data_batch: object, data_samples: list[dict]) -> None:
        for sample in data_samples:
            found = sample["pred_instances"]["scores"] >= self.score_thr
            self.results.append(abs(int(found.sum()) - int((~sample["eval_instances"]["ignore"]).sum())))

    def compute_metrics(self, results: list[int]) -> dict[str, float]:
        return dict(count_error=sum(results) / len(results))
