"""Cells as a reader finds them: each outline is checked, and what is left out is counted."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.annotations.base import AnnotatedCell, ImageAnnotation
from cellmm.io.coco_segmentations import short
from cellmm.io.memory import MAX_VALUES
from cellmm.messages import name_some

MAX_COORDINATE = 2**20  # px, beyond any image
TOO_FEW = "outlines without an area"
OUTSIDE = "outlines outside of the image"
EMPTY = "masks without a pixel"
BOXES = "boxes"
BOX_CURE = "a box does not say which pixels a cell has: draw polygons or masks"


class CollectedCells:
    """The cells of one image.

    Args:
        path: of the annotation file, for messages.
        image: see ImageAnnotation.
        shape: (H, W) of the image as the file states it, or None; outlines outside of it are left out.
    """

    def __init__(self, path: Path, image: str | None = None, shape: tuple[int, int] | None = None) -> None:
        self.path, self.image, self.shape = path, image, shape
        self.cells: list[AnnotatedCell] = []
        self.left_out: Counter[str] = Counter()

    def leave_out(self, what: str, number: int = 1) -> None:
        if number:
            self.left_out[what] += number

    def add(self, rings: Sequence[Any], what: str, **fields: Any) -> None:
        """A cell of rings of points (x, y), the first one its outline; ``fields``: of AnnotatedCell.

        Args:
            what: names the outline in errors, such as "shape 3".

        Raises:
            CellMMError: a coordinate is not a number, or absurd.
        """
        checked = [self._ring(ring, what) for ring in rings]
        areas = [ring for ring in checked if _has_area(ring)]
        if not areas or areas[0] is not checked[0]:
            self.leave_out(TOO_FEW)
        elif self.shape is not None and all(_is_outside(ring, self.shape) for ring in areas):
            self.leave_out(OUTSIDE)
        else:
            self.cells.append(AnnotatedCell(rings=areas, **fields))

    def add_pixels(self, pixels: np.ndarray, corner: tuple[int, int], what: str, **fields: Any) -> None:
        """A cell of pixels, bool (h, w), the first of them at ``corner`` (top, left)."""
        if not pixels.any():
            self.leave_out(EMPTY)
            return
        top, left = corner
        if max(abs(top), abs(left)) > MAX_COORDINATE:
            raise CellMMError(
                f"{self.path}: {what} begins at row {top} and column {left}; repair or remove it"
            )
        if self.shape is not None and not (
            -pixels.shape[0] < top < self.shape[0] and -pixels.shape[1] < left < self.shape[1]
        ):
            self.leave_out(OUTSIDE)
            return
        self.cells.append(AnnotatedCell(pixels=pixels, corner=(top, left), **fields))

    def annotation(self) -> ImageAnnotation:
        return ImageAnnotation(self.cells, self.image, self.shape, dict(self.left_out) or None)

    def _ring(self, points: Any, what: str) -> np.ndarray:
        try:
            ring = np.array(points)
        except (ValueError, OverflowError):  # points of different lengths, or 10**400
            ring = np.array(None)
        if ring.size == 0:
            return np.zeros((0, 2))
        if ring.ndim != 2 or ring.shape[1] < 2 or ring.dtype.kind not in "iuf":
            raise CellMMError(
                f"{self.path}: {what} has points {short(points)}, not pairs of numbers; repair or remove it"
            )
        ring = ring[:, :2].astype(np.float64)
        if not (np.abs(ring) <= MAX_COORDINATE).all():  # NaN fails here, too
            raise CellMMError(
                f"{self.path}: {what} has a coordinate {ring[~(np.abs(ring) <= MAX_COORDINATE)][0]:g}, which "
                "is not a place in an image; repair or remove it"
            )
        return ring


def checked_cells(
    path: Path, images: Sequence[CollectedCells], cure: str = BOX_CURE
) -> list[ImageAnnotation]:
    """What a reader returns.

    Raises:
        CellMMError: no image has a cell, although the file holds something else, or an image has boxes only:
            it would count as an image without cells.
    """
    left_out = sum((image.left_out for image in images), Counter[str]())
    if left_out and not any(image.cells for image in images):
        counts = ", ".join(f"{number} {what}" for what, number in left_out.items())
        raise CellMMError(f"{path} holds no area of a cell, just {counts}; {cure}")
    if boxed := [image.image for image in images if image.left_out[BOXES] and not image.cells]:
        raise CellMMError(f"{path}: images with boxes only, {name_some(boxed)}; {cure}")
    return [image.annotation() for image in images]


def dicts(path: Path, values: Any, what: str) -> list[dict]:
    """The dicts of a list from a json file; ``what`` they are is for the error where it is another thing."""
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise CellMMError(f"{path}: {what} are {short(values)}, not a list of dicts: export it again")
    return values


def file_name(text: Any) -> str | None:
    """The path of an image as a file states it, with / between its folders, None where it is not a text."""
    text = text.replace("\\", "/").strip() if isinstance(text, str) else ""
    return text or None


def whole(value: Any) -> int | None:
    """The whole number that a value, perhaps a text, stands for; None: it does not."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return int(number) if number == number // 1 and abs(number) < 2**31 else None


def stated_shape(height: Any, width: Any) -> tuple[int, int] | None:
    """(H, W) where a file states a plausible size of its image, else None."""
    shape = whole(height), whole(width)
    if None in shape or not all(0 < side <= MAX_COORDINATE for side in shape):
        return None
    return shape if shape[0] * shape[1] <= MAX_VALUES else None


def class_name(value: Any) -> str | None:
    """The name of a class, None where it is empty or not a text."""
    return value.strip() or None if isinstance(value, str) else None


def word(value: Any) -> str:
    """The name of a kind, as a text whatever a json file holds in its place."""
    return value if isinstance(value, str) and len(value) <= 60 else short(value)


def _has_area(ring: np.ndarray) -> bool:
    if len(ring) < 3:
        return False
    steps = ring - ring[0]
    x, y = steps[np.abs(steps).sum(1).argmax()]
    return bool((np.abs(steps[:, 0] * y - steps[:, 1] * x) > 1e-9).any())


def _is_outside(ring: np.ndarray, shape: tuple[int, int]) -> bool:
    x, y = ring.T
    return bool(x.max() <= 0 or y.max() <= 0 or x.min() >= shape[1] or y.min() >= shape[0])
