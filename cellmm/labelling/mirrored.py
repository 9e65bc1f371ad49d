"""Images and their cells, left and right exchanged."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cellmm.apis.inferencer import CellInferencer
from cellmm.io.sources import ImageSource
from cellmm.io.sources.view import SourceView
from cellmm.results import Instances
from cellmm.structures import MaskRuns


@dataclass(frozen=True)
class Mirrored(SourceView):
    """An image with its columns in reverse order; an ImageSource."""

    source: ImageSource

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def path(self) -> Path | None:
        return self.source.path

    @property
    def shape(self) -> tuple[int, int]:
        return self.source.shape

    def read(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        """Pixels (bottom - top, right - left, C) of the mirror image."""
        width = self.shape[1]
        return np.ascontiguousarray(self.source.read(top, width - right, bottom, width - left)[:, ::-1])

    def read_all(self) -> np.ndarray:
        """All pixels of the mirror image."""
        return np.ascontiguousarray(self.source.read_all()[:, ::-1])


def mirror_images(inferencer: CellInferencer) -> None:
    """Let ``inferencer.open`` give mirror images; a ``StreamPlan.set_up``."""
    open_images = inferencer.open

    def open_mirrored(image: Any, name: str | None = None) -> list[ImageSource]:
        return [Mirrored(source) for source in open_images(image, name)]

    inferencer.open = open_mirrored


def turned_back(found: Instances) -> Instances:
    """The cells of a mirror image in the pixels of the image.

    Examples:
        >>> masks = MaskRuns.from_crops([np.ones((1, 2), bool)], [(0, 0)], (1, 5))
        >>> cells = Instances(masks, np.ones(1, np.float32), np.zeros(1, np.int64))
        >>> turned_back(cells).masks.boxes().tolist()
        [[0, 3, 1, 5]]
    """
    masks = found.masks
    x = np.int32(masks.shape[1] - 1) - masks.x
    order = np.lexsort((masks.y, x, masks.owners()))
    return replace(
        found, masks=MaskRuns(masks.shape, masks.first, x[order], masks.y[order], masks.length[order])
    )
