"""What a step of a pipeline says of itself, in class attributes.

A transform is a callable ``results -> results``, usually a ``BaseTransform`` of mmcv. It

- draws random numbers from ``results["rng"]`` alone, so that the same draw gives the same result. A transform
  that was not written for cellmm may take the global generators, which the dataset seeds for each draw;
- takes images with and without cells, and leaves alone the keys that are not its own;
- moves all of ``MOVED_WITH_THE_IMAGE`` alike, or none of it.

``cellmm.testing.check_transform`` tests all of this. A transform may state the attributes of
``TransformContract``; those that it does not state have the defaults there. An attribute that depends on the
arguments, such as ``removes_cells`` of Rescale, is set in the constructor.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields

from cellmm.datasets.transforms.moving_cells import MOVING_TARGETS

# what moves with the pixels, where it is present
MOVED_WITH_THE_IMAGE = ("img", "img_shape", "to_original", "ignore", "gt_layers", "gt_nuclei")


@dataclass(frozen=True, kw_only=True)
class TransformContract:
    """What a transform says of itself.

    Args:
        reads: keys that must be present. What it reads only where it is present is in its docstring.
        writes: keys that it adds, changes or takes away, besides those that ``moves_pixels`` and
            ``removes_cells`` imply.
        moves_pixels: it crops, pads, resizes or warps. Then it moves ``MOVED_WITH_THE_IMAGE``, refuses
            targets that it would leave behind (``moving_cells.refuse_moved_targets``), and composes
            ``to_original`` or refuses test pipelines, which have ``eval_instances``.
        removes_cells: fewer cells may come out than went in. Then it drops their entries of
            ``moving_cells.MOVING_TARGETS`` and numbers the others anew (``moving_cells.replace_cells``).
        adds_cells: more cells may come out than went in.
        mixes_images: it takes other images from ``results["dataset"]``, which the dataset puts there; see
            ``mixing.other_image``.
        annotation_only: it reads the annotation and leaves the image alone: prediction skips it.
    """

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    moves_pixels: bool = False
    removes_cells: bool = False
    adds_cells: bool = False
    mixes_images: bool = False
    annotation_only: bool = False

    @classmethod
    def of(cls, step: Callable) -> "TransformContract":
        """What a built transform says."""
        return cls(**{item.name: getattr(step, item.name, item.default) for item in fields(cls)})

    def may_change(self) -> set[str]:
        """All keys that the transform may add, change or take away."""
        moved = MOVED_WITH_THE_IMAGE if self.moves_pixels else ()
        return {*self.writes, *moved, *(MOVING_TARGETS if self.removes_cells else ())}


def removes_cells(steps: Iterable[Callable]) -> bool:
    """Whether fewer cells may come out of a pipeline than are annotated."""
    return any(TransformContract.of(step).removes_cells for step in steps)


def adds_cells(steps: Iterable[Callable]) -> bool:
    """Whether more cells may come out of a pipeline than are annotated."""
    return any(TransformContract.of(step).adds_cells for step in steps)
