"""What a reader of annotations gives, whichever program the cells were drawn in."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np


@dataclass(frozen=True)
class AnnotatedCell:
    """One cell, as outlines or as pixels.

    Args:
        rings: float (K, 2) each, (x, y) in pixels; a point is inside where it lies within an odd number of
            rings, so a hole is a ring of its own. (0, 0) is the outer corner of the first pixel.
        pixels: bool (h, w), in place of ``rings``.
        corner: (top, left) of ``pixels`` in the image.
        label: the name of its class; None: the format or the file names none.
        iscrowd: a region that is not learned, as in COCO.
        time: number of the time point from 0; None: the image has just one.
        score: how sure a model is of it; None: the format or the file states none.
    """

    rings: Sequence[np.ndarray] = ()
    pixels: np.ndarray | None = None
    corner: tuple[int, int] = (0, 0)
    label: str | None = None
    iscrowd: bool = False
    time: int | None = None
    score: float | None = None


@dataclass(frozen=True)
class ImageAnnotation:
    """The annotated cells of one image.

    Args:
        cells: in the order of the file.
        image: the name of the image file as the annotation states it, perhaps with folders; None: it states
            none, and the image is the one with the stem of the annotation file.
        shape: (H, W) of the image as the annotation states it; None: it does not.
        left_out: {what was left out and why: how many}, such as points and lines, which have no area.
    """

    cells: Sequence[AnnotatedCell]
    image: str | None = None
    shape: tuple[int, int] | None = None
    left_out: dict[str, int] | None = None


@runtime_checkable
class AnnotationReader(Protocol):
    """A format of annotation files; registered in ANNOTATION_READERS.

    Attributes:
        title: how people call the format, as in "Fiji ROI zip".
        suffixes: of its files, in lower case with the dot.
    """

    title: str
    suffixes: tuple[str, ...]

    def recognises(self, path: Path) -> bool:
        """Whether a file with one of ``suffixes`` has this format, by a quick look into it."""
        ...

    def read(self, path: Path) -> list[ImageAnnotation]:
        """All annotated images of a file.

        Raises:
            CellMMError: it is damaged, or holds what would be read to the wrong masks; in one line with the
                cure.
        """
        ...
