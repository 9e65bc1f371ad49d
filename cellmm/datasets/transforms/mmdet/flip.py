"""Random flips with MMDetection's arguments."""

from collections.abc import Sequence

from mmcv.transforms import BaseTransform

from cellmm.datasets.transforms.geometry import flip
from cellmm.datasets.transforms.mmdet.arguments import refuse, training_rng
from cellmm.registry import TRANSFORMS

DIRECTIONS = ("horizontal", "vertical", "diagonal")


@TRANSFORMS.register_module()
class RandomFlip(BaseTransform):
    """Flip the image and its cells at random. Writes ``flip`` and ``flip_direction`` (None: not flipped).

    Args:
        prob: from 0 to 1. A single number is shared equally by all directions; a list has one per direction,
            and its sum is at most 1.
        direction: among 'horizontal' (left to right), 'vertical' (top to bottom) and 'diagonal' (both); one
            or a list.
        swap_seg_labels: refused.
    """

    reads = ("img", "rng")
    writes = ("flip", "flip_direction")
    moves_pixels = True

    def __init__(
        self,
        *,
        prob: float | Sequence[float],
        direction: str | Sequence[str] = "horizontal",
        swap_seg_labels: Sequence | None = None,
    ) -> None:
        refuse(
            "RandomFlip", "swap_seg_labels", swap_seg_labels, (None,), "leave it out; classes have no side"
        )
        self.directions = [direction] if isinstance(direction, str) else list(direction)
        for way in self.directions:
            refuse("RandomFlip", "direction", way, DIRECTIONS, f"choose among {', '.join(DIRECTIONS)}")
        is_list = isinstance(prob, list | tuple)
        self.probs = list(prob) if is_list else [prob / len(self.directions)] * len(self.directions)
        good = len(self.probs) == len(self.directions) and all(0 <= p <= 1 for p in self.probs)
        if not good or sum(self.probs) > 1 + 1e-6:
            raise ValueError(
                f"RandomFlip: prob is {prob!r} for {len(self.directions)} directions; give a number from 0 "
                "to 1, or one per direction with a sum of at most 1"
            )

    def transform(self, results: dict) -> dict:
        draw, direction = training_rng(results, "RandomFlip").random(), None
        for prob, way in zip(self.probs, self.directions, strict=True):
            if 0 <= draw < prob:
                direction = way
            draw -= prob
        results["flip"], results["flip_direction"] = direction is not None, direction
        if direction is None:
            return results
        return flip(
            results,
            horizontal=direction in ("horizontal", "diagonal"),
            vertical=direction in ("vertical", "diagonal"),
            step=type(self).__name__,
        )
