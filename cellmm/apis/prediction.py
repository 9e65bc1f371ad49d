"""An image on its way into a model, and what comes out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cellmm.io.sources import ImageSource
from cellmm.results import Instances


@dataclass(frozen=True)
class Prepared:
    """An image as the model takes it.

    Args:
        source: where it comes from.
        item: ``inputs`` and ``data_samples``; None: it is predicted in tiles, and not read yet.
        plan: of its tiles; None: it is predicted whole.
    """

    source: ImageSource
    item: dict | None
    plan: Any = None

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Of the input (C, H, W); None: it is not read yet."""
        return None if self.item is None else tuple(self.item["inputs"].shape)


@dataclass(frozen=True)
class Prediction:
    """What a model gives for one image.

    Args:
        instances: None: the model gives no cells.
        maps: {target: probabilities, float32 (H, W)} in the pixels of the file; empty: the model gives none.
        tiled: whether it was predicted in tiles.
    """

    instances: Instances | None
    maps: Mapping[str, np.ndarray]
    tiled: bool
