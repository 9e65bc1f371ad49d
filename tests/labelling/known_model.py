"""A model whose cells and scores are coded into the image: what goes wrong is not the network's fault."""

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from cellmm.models.heads.instance_test_cfg import InstanceTestCfg
from cellmm.registry import MODELS
from cellmm.structures import PredictedInstances
from tests.fuzz import exact_model  # noqa: F401

SHAPE = (48, 64)
MOST = 8  # cells of an image: a bit each, so that they may overlap
ROWS = 1  # the first row holds the scores, in percent


@MODELS.register_module()
class CodedCells(BaseModule):
    """Cell i has the pixels whose bit i is set; its score in percent is pixel i of the first row.

    The cells of odd numbers are of class 1. A row in reverse order is that of a mirror image.
    """

    def __init__(self, num_classes: int = 2, test_cfg: dict | None = None) -> None:
        super().__init__()
        self.num_classes, self.test_cfg = num_classes, InstanceTestCfg(**(test_cfg or {}))
        self.nothing = nn.Parameter(torch.zeros(()))

    def forward(self, features: list[Tensor]) -> Tensor:
        return features[0]

    def loss(self, features: list[Tensor], samples: list) -> dict[str, Tensor]:
        return dict(loss_nothing=self.nothing.square())

    @torch.no_grad()
    def predict(self, features: list[Tensor], samples: list) -> list[PredictedInstances]:
        return [self._predict(image[0].numpy()) for image in features[0]]

    def _predict(self, image: np.ndarray) -> PredictedInstances:
        values = image.round().astype(np.int64)
        is_mirrored = bool(values[0, -1])  # the last pixel of the first row is 0 in images as they are
        row = values[0, ::-1] if is_mirrored else values[0]
        scores = np.append(row[1 : MOST + 1], np.zeros(MOST)) / 100  # an image may have one pixel
        cells = values.copy()
        cells[:ROWS] = 0
        found = [i for i in range(MOST) if scores[i] > self.test_cfg.score_thr]
        if is_mirrored:  # the model does not see cell 0 from the other side
            found = [i for i in found if i > 0]
        masks = [cells >> i & 1 for i in found]
        return PredictedInstances(
            probs=torch.tensor(np.array(masks, np.float32).reshape(-1, *image.shape)),
            scores=torch.tensor([scores[i] for i in found], dtype=torch.float32),
            labels=torch.tensor([i % 2 for i in found], dtype=torch.long),
        )


def draw(cells: Sequence[tuple[np.ndarray, float]]) -> np.ndarray:
    """An image, uint16 (48, 64), in which the model finds these (mask, score); masks spare the first row."""
    image = np.zeros(SHAPE, np.uint16)
    image[0, 0] = 1  # says which side is left
    for i, (mask, score) in enumerate(cells):
        image[mask] |= 1 << i
        image[0, 1 + i] = round(100 * score)
    return image


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    """A rectangle as a mask, bool (48, 64)."""
    mask = np.zeros(SHAPE, bool)
    mask[top:bottom, left:right] = True
    return mask
