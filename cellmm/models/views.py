"""Mirrored and turned views of an image, and the way back for what is found in them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from torch import Tensor

from cellmm.errors import CellMMError
from cellmm.structures import PredictedInstances

Array = TypeVar("Array", Tensor, np.ndarray)
TTA = ("flips", "turns")


@dataclass(frozen=True)
class View:
    """An image with rows and columns exchanged, then mirrored; the last two axes are rows and columns."""

    transpose: bool = False
    flip_rows: bool = False
    flip_cols: bool = False

    def of(self, image: Array) -> Array:
        """(..., H, W) -> (..., H, W), or (..., W, H) where rows and columns are exchanged."""
        return self._flip(image.swapaxes(-2, -1) if self.transpose else image)

    def undo(self, seen: Array) -> Array:
        """The inverse of ``of``.

        >>> image = np.arange(6).reshape(2, 3)
        >>> all((view.undo(view.of(image)) == image).all() for view in views("turns"))
        True
        """
        seen = self._flip(seen)
        return seen.swapaxes(-2, -1) if self.transpose else seen

    def _flip(self, image: Array) -> Array:
        axes = [axis for axis, flip in ((-2, self.flip_rows), (-1, self.flip_cols)) if flip]
        if not axes:
            return image
        return image.flip(axes) if isinstance(image, Tensor) else np.flip(image, axes)

    def undo_instances(self, found: PredictedInstances, shape: Sequence[int]) -> PredictedInstances:
        """What was found in this view of an input of ``shape`` (H, W), on the input itself.

        Both sides of the input must be multiples of the stride of the masks.
        """
        grid = tuple(int(side / found.stride) for side in shape)
        seen = self.of(np.empty(grid, dtype=bool)).shape
        corners, points = found.origins, found.points
        sizes = np.array([prob.shape for prob in found.probs], dtype=np.int64).reshape(-1, 2)
        for axis, flip in enumerate((self.flip_rows, self.flip_cols)):
            if flip:
                corners = corners.copy()
                corners[:, axis] = seen[axis] - corners[:, axis] - sizes[:, axis]
                if points is not None:
                    points = points.copy()
                    points[:, axis] = seen[axis] * found.stride - 1 - points[:, axis]
        if self.transpose:
            corners = corners[:, ::-1]
            points = None if points is None else points[:, ::-1]
        return replace(
            found,
            probs=[self.undo(prob) for prob in found.probs],
            origins=corners,
            grid_shape=grid,
            points=points,
        )


def views(tta: str | None) -> tuple[View, ...]:
    """The views of an image by the name of a test-time augmentation; the first is the image as it is.

    ``flips``: 4, mirrored up and down, left and right, and both. ``turns``: 8, these and their quarter turns,
    the whole dihedral group of the square. None: the image alone.

    Raises:
        CellMMError: another name.

    >>> len(views(None)), len(views("flips")), len(views("turns"))
    (1, 4, 8)
    """
    if tta is None:
        return (View(),)
    if tta not in TTA:
        raise CellMMError(f"model.tta: {tta!r}; set it to {' or '.join(map(repr, TTA))}, or to None")
    flips = [View(flip_rows=rows, flip_cols=cols) for rows in (False, True) for cols in (False, True)]
    turned = [replace(view, transpose=True) for view in flips] if tta == "turns" else []
    return (*flips, *turned)
