"""A model whose result is known: every bright spot is a cell. What goes wrong is not the network's fault."""

from pathlib import Path

import numpy as np
import torch
from mmengine.model import BaseModule
from scipy import ndimage
from torch import Tensor, nn

from cellmm.models import FeatureSpec
from cellmm.registry import MODELS
from cellmm.structures import PredictedInstances


@MODELS.register_module()
class SamePixels(BaseModule):
    """Encoder and decoder in one: the image as it is."""

    out_specs = (FeatureSpec(1),)

    def forward(self, x: Tensor | list[Tensor]) -> list[Tensor]:
        return [x[:, :1]] if isinstance(x, Tensor) else x


@MODELS.register_module()
class BrightSpots(BaseModule):
    """One cell per connected spot brighter than ``threshold``; more than ``SMALL`` px are class 1."""

    def __init__(self, num_classes: int = 2, threshold: float = 0.5) -> None:
        super().__init__()
        self.num_classes, self.threshold = num_classes, nn.Parameter(torch.tensor(threshold))

    def forward(self, features: list[Tensor]) -> Tensor:
        return features[0]

    def loss(self, features: list[Tensor], samples: list) -> dict[str, Tensor]:
        return dict(loss_threshold=self.threshold.square())

    @torch.no_grad()
    def predict(self, features: list[Tensor], samples: list) -> list[PredictedInstances]:
        return [self._predict(image[0].numpy()) for image in features[0]]

    def _predict(self, image: np.ndarray) -> PredictedInstances:
        spots, num = ndimage.label(image > float(self.threshold))
        masks = np.stack([spots == i + 1 for i in range(num)]) if num else np.zeros((0, *image.shape))
        sizes = masks.reshape(num, -1).sum(1) if num else np.zeros(0)
        return PredictedInstances(
            probs=torch.from_numpy(masks.astype(np.float32)),
            scores=torch.full((num,), 0.9),
            labels=torch.from_numpy((sizes > SMALL).astype(np.int64)),
        )


SMALL = 30  # px; class 0 is a cell of 5x5 px, class 1 one of 7x7

CONFIG = """
default_scope = 'cellmm'
model = dict(
    type='CellSegmentor',
    encoder=dict(type='SamePixels'),
    decoder=dict(type='SamePixels'),
    heads=dict(instances=dict(type='BrightSpots')),
    data_preprocessor=dict(type='CellDataPreprocessor', in_channels=1),
)
test_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CellCocoDataset',
        ann_file='cells.json',
        metainfo=dict(classes=('small', 'large')),
        pipeline=[dict(type='LoadImage'), STEPS, dict(type='PackCellInputs')],
    ),
)
test_cfg = dict()
test_evaluator = dict(type='CellCocoMetric')
"""


def write_exact_model(folder: Path, steps: str, meta: dict | None = None) -> tuple[Path, Path]:
    """A config and a checkpoint of the model in ``folder``; ``steps``: those between loading and packing."""
    config, weights = folder / "config.py", folder / "w.pth"
    config.write_text(CONFIG.replace("STEPS", steps))
    torch.save(dict(state_dict={"heads.instances.threshold": torch.tensor(0.5)}, meta=meta or {}), weights)
    return config, weights
