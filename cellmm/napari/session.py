"""What the widget does, without Qt and napari: a model, an image and its cells under correction."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cellmm.apis.inferencer import CellInferencer
from cellmm.apis.interactive import InteractiveCells
from cellmm.apis.model_cache import ModelCache
from cellmm.errors import CellMMError
from cellmm.io.sources.region import Region
from cellmm.models.postprocess.look_again import Box
from cellmm.models.postprocess.tiles import Tile
from cellmm.results import Instances
from cellmm.structures import EditableCells

Tell = Callable[[int, int], None]  # tiles done, tiles in all


@dataclass(frozen=True)
class Found:
    """Cells of an image or of a part of it, in the frame of the image, and what became of others.

    ``cut``: cells that the border of the part cuts, which are left out.
    """

    instances: Instances
    cut: int = 0


class Session:
    """A model that is loaded once, and the last image that was clicked on."""

    def __init__(self) -> None:
        self._models = ModelCache()
        self._editor: InteractiveCells | None = None
        self._clicked: list[Any] = []  # the model and the planes that it is for

    def load(self, model: str, checkpoint: str = "", diameter: float | None = None) -> CellInferencer:
        """See ModelCache."""
        return self._models.load(model, checkpoint, diameter)

    def find(
        self, inferencer: CellInferencer, image: np.ndarray, box: Box | None = None, tell: Tell | None = None
    ) -> Found:
        """The cells of an image (H, W) or (H, W, C), or of its part (top, left, bottom, right).

        Raises:
            CellMMError: an image that the model cannot take.
        """
        (whole,) = inferencer.open(image, name="image")
        if box is None or tuple(box) == (0, 0, *whole.shape):
            return Found(inferencer.predict(whole, tell))
        found = inferencer.predict(Region(whole, tuple(box)), tell)
        masks = found.masks.moved(box[0], box[1], whole.shape)
        uncut = Tile(*box).depth(masks.boxes(), whole.shape) > 0
        moved = Instances(
            masks, found.scores, found.labels, found.classes, found.category_ids, found.pixel_size, "image"
        )
        return Found(moved.select(uncut), int((~uncut).sum()))

    def editor(
        self, inferencer: CellInferencer, planes: Sequence[np.ndarray], rgb: bool, cells: EditableCells
    ) -> InteractiveCells:
        """What adds cells to ``cells`` by clicks; the features of the last image are kept.

        Args:
            planes, rgb: see ``image_of``.
        """
        wanted = [inferencer, *planes]
        if len(wanted) != len(self._clicked) or any(map(operator.is_not, wanted, self._clicked)):
            self._editor = InteractiveCells(inferencer, image_of(planes, rgb), cells)
            self._clicked = wanted
        self._editor.cells = cells
        return self._editor


def image_of(planes: Sequence[np.ndarray], rgb: bool = False) -> np.ndarray:
    """Image layers as one image: (H, W), or (H, W, C) where there are several, or one of several channels.

    Args:
        planes: (H, W) each, or a single (C, H, W).
        rgb: a single (H, W, 3) or (H, W, 4); what is beyond red, green and blue is left out.

    Raises:
        CellMMError: none, other shapes, or layers of different sizes.
    """
    shapes = [tuple(np.shape(plane)) for plane in planes]
    if not planes:
        raise CellMMError("no image: open one, or select its layer")
    if len(planes) == 1 and rgb:
        return np.asarray(planes[0])[..., :3]
    if len(planes) == 1 and len(shapes[0]) == 2:
        return np.asarray(planes[0])
    if len(planes) == 1 and len(shapes[0]) == 3 and shapes[0][0] <= 8:
        return np.moveaxis(np.asarray(planes[0]), 0, -1)
    if rgb or any(len(shape) != 2 for shape in shapes):
        raise CellMMError(
            f"layers of shape {', '.join(map(str, shapes))}: one image is needed, (H, W), RGB or up to 8 "
            "channels (C, H, W); split stacks with napari's 'Split Stack'"
        )
    if len(set(shapes)) > 1:
        raise CellMMError(f"layers of different sizes, {sorted(set(shapes))}: select those of one image")
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def add_missing(cells: EditableCells, found: Instances) -> int:
    """Add the cells that are not there yet, and return how many were added."""
    added = 0
    for index in range(len(found)):
        mask, corner = found.masks.crop(index)
        if mask.any() and cells.same_as(mask, corner) is None:
            cells.add(mask, corner)
            added += 1
    return added
