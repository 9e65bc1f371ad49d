"""Cells that a person corrects: added, removed, painted by hand, and the last steps undone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cellmm.errors import CellMMError
from cellmm.structures.label_layers import LabelLayers

SAME = 0.5  # IoU above which two masks are taken for one cell


@dataclass(frozen=True)
class _Step:
    """A cell that was added or removed: where, and its mask in its box."""

    added: bool
    layer: int
    label: int
    mask: np.ndarray
    corner: tuple[int, int]


class EditableCells:
    """Label images (H, W), one above the other, as an editor shows them.

    Whoever draws on an array of ``layers`` changes the cells. Since people count from 1 on every layer, a
    label on two layers is two cells. ``add`` draws a cell on the first layer on which its pixels are free,
    and appends a layer where none has room, so that overlap is kept.

    Args:
        layers: at least one array of integers (H, W), all of one shape; kept without a copy.

    Examples:
        >>> cells = EditableCells.of(LabelLayers(np.array([[1, 1, 0, 0]])))
        >>> cells.add(np.ones((1, 2), bool), (0, 1)), len(cells.layers)
        (2, 2)
        >>> cells.remove(0, 1), len(cells.to_layers())
        (2, 1)
        >>> cells.undo()
        'put cell 2 back'
    """

    def __init__(self, layers: Sequence[np.ndarray]) -> None:
        self.layers = list(layers)
        shapes = {np.shape(layer) for layer in self.layers}
        if len(shapes) != 1 or len(next(iter(shapes))) != 2:
            raise ValueError(f"one or more label images of one shape (H, W) are needed, not {sorted(shapes)}")
        self._steps: list[_Step] = []

    @classmethod
    def of(cls, cells: LabelLayers) -> "EditableCells":
        """A copy of ``cells`` to edit."""
        return cls([layer.copy() for layer in cells.layers])

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the image."""
        return self.layers[0].shape

    def to_layers(self) -> LabelLayers:
        """The cells as they are now, numbered from 1 over all layers.

        Raises:
            CellMMError: a layer holds what is not a label.
        """
        used, num = [], 0
        for layer in self.layers:
            own = LabelLayers.from_label_image(layer)
            used.append(own.layers[0] + np.where(own.layers[0] > 0, num, 0))
            num += len(own)
        return LabelLayers(np.stack(used), num=num).compact()[0]

    def at(self, y: int, x: int) -> list[tuple[int, int]]:
        """(layer, label) of the cells at a pixel, the topmost first."""
        self._check_inside(y, x)
        labels = [(i, int(layer[y, x])) for i, layer in enumerate(self.layers)]
        return [(i, label) for i, label in reversed(labels) if label]

    def same_as(self, mask: np.ndarray, corner: tuple[int, int]) -> int | None:
        """The label of the cell that shares most of a mask, bool (h, w) from ``corner`` (row, column) on.

        None: there is none with an IoU above 0.5.
        """
        for layer in self.layers:
            labels, shared = np.unique(self._part(layer, mask, corner)[mask], return_counts=True)
            for label, pixels in zip(labels.tolist(), shared.tolist(), strict=True):
                if label and pixels > SAME * (mask.sum() + np.count_nonzero(layer == label) - pixels):
                    return label
        return None

    def add(self, mask: np.ndarray, corner: tuple[int, int]) -> int:
        """Draw a cell, bool (h, w) from ``corner`` (row, column) on, and return its label, a new one.

        Raises:
            ValueError: a mask without pixels, or one that is not inside the image.
        """
        if not mask.any():
            raise ValueError("the mask has no pixel")
        label = self._new_label()
        layer = self._draw(mask, corner, label)
        self._steps.append(_Step(True, layer, label, mask, corner))
        return label

    def remove(self, y: int, x: int) -> int:
        """Remove the topmost cell at a pixel, and return its label.

        Raises:
            CellMMError: there is none.
        """
        found = self.at(y, x)
        if not found:
            raise CellMMError(f"no cell at row {y}, column {x}: click on the cell that is to be removed")
        layer, label = found[0]
        mask, corner = self._erase(layer, label)
        self._steps.append(_Step(False, layer, label, mask, corner))
        return label

    def undo(self) -> str:
        """Take the last ``add`` or ``remove`` back that was not yet, and say what was done.

        What was painted by hand since then stays. A cell whose place is taken comes back on another layer;
        one whose label is in use there by then comes back with a new label.

        Raises:
            CellMMError: there is nothing to undo.
        """
        if not self._steps:
            raise CellMMError("nothing to undo: no cell was added or removed")
        step = self._steps.pop()
        if step.added:
            drawn = self._part(self.layers[step.layer], step.mask, step.corner)
            drawn[step.mask & (drawn == step.label)] = 0
            return f"removed cell {step.label} again"
        place = self._place(step.mask, step.corner, first=step.layer)
        in_use = place < len(self.layers) and (self.layers[place] == step.label).any()
        label = self._new_label() if in_use else step.label
        self._draw(step.mask, step.corner, label, first=step.layer)
        return f"put cell {step.label} back{f', as cell {label}' if in_use else ''}"

    def _new_label(self) -> int:
        return max(int(layer.max(initial=0)) for layer in self.layers) + 1

    def _place(self, mask: np.ndarray, corner: tuple[int, int], first: int = 0) -> int:
        """The layer for a mask: ``first`` if it is free there, else the lowest with room, else a new one."""
        order = [first, *(i for i in range(len(self.layers)) if i != first)]
        free = (i for i in order if not self._part(self.layers[i], mask, corner)[mask].any())
        return next(free, len(self.layers))

    def _draw(self, mask: np.ndarray, corner: tuple[int, int], label: int, first: int = 0) -> int:
        """Draw a mask on ``_place``, which is returned."""
        place = self._place(mask, corner, first)
        if place == len(self.layers):
            self.layers.append(np.zeros_like(self.layers[0]))
        if label > np.iinfo(self.layers[place].dtype).max:
            raise CellMMError(
                f"a layer of {self.layers[place].dtype} has no room for cell {label}: use int32"
            )
        self._part(self.layers[place], mask, corner)[mask] = label
        return place

    def _erase(self, layer: int, label: int) -> tuple[np.ndarray, tuple[int, int]]:
        """Set the pixels of a label to 0; its mask in its box, and the box's corner."""
        rows, cols = np.nonzero(self.layers[layer] == label)
        if not len(rows):  # it was erased by hand
            return np.zeros((0, 0), bool), (0, 0)
        top, left = int(rows.min()), int(cols.min())
        mask = np.zeros((int(rows.max()) - top + 1, int(cols.max()) - left + 1), dtype=bool)
        mask[rows - top, cols - left] = True
        self._part(self.layers[layer], mask, (top, left))[mask] = 0
        return mask, (top, left)

    def _part(self, layer: np.ndarray, mask: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
        """The pixels of a layer under the box of a mask."""
        (top, left), (height, width) = corner, mask.shape
        if not (0 <= top <= self.shape[0] - height and 0 <= left <= self.shape[1] - width):
            raise ValueError(f"a mask of {mask.shape} at {corner} is not inside an image of {self.shape}")
        return layer[top : top + height, left : left + width]

    def _check_inside(self, y: int, x: int) -> None:
        if not (0 <= y < self.shape[0] and 0 <= x < self.shape[1]):
            raise CellMMError(f"row {y}, column {x} lies outside of the image of {self.shape} pixels")
