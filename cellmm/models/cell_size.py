"""How large the cells of an image are, found by a network that knows cells of a single size."""

import logging
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor
from torch.nn import functional as F

from cellmm.checks import check_share, check_whole
from cellmm.datasets.transforms import RescaleToDiameter
from cellmm.datasets.transforms.diameter import diameter_of_areas
from cellmm.registry import TASK_UTILS
from cellmm.structures import CellSample, PredictedInstances

SCALES = (1.0, 0.5, 2.0, 0.25)  # at which cells are looked for, until some are found
ENOUGH = 5  # cells by which a size is told


@TASK_UTILS.register_module()
class DiameterFinder:
    """Look for cells in the middle of an image at several scales, and measure those that are found.

    The size of the cells is the diameter of a circle as large as their median. A first look at the pixels as
    they are gives a size. Looks at the scale that follows from it correct it, as the second pass of the size
    model of Cellpose does (Stringer et al., 2021), until it stays within ``tolerance``. If fewer than five
    cells are found, other scales are tried.

    Args:
        diameter: of the cells that the network was trained on, pixels.
        side: of the part of the image that is looked at, pixels of the network.
        looks: how many, at most.
        tolerance: of the diameter.
        score_thr: cells that score less do not count.
        max_scale: images are enlarged by at most this. Specks that are taken for cells would make an image
            many times larger than memory.
    """

    def __init__(
        self,
        diameter: float,
        side: int = 384,
        looks: int = 5,
        tolerance: float = 0.15,
        score_thr: float = 0.5,
        max_scale: float = 4.0,
    ) -> None:
        if not 0 < diameter < float("inf"):
            raise ValueError(f"DiameterFinder: diameter is {diameter}; give pixels above 0")
        if not 1 <= max_scale < float("inf"):
            raise ValueError(f"DiameterFinder: max_scale is {max_scale}; give 1 or more")
        check_whole(1, side=side, looks=looks)
        check_share(tolerance=tolerance, score_thr=score_thr)
        self.diameter, self.side, self.looks = float(diameter), side, looks
        self.tolerance, self.score_thr, self.max_scale = tolerance, score_thr, max_scale

    @property
    def reach(self) -> int:
        """Side of the largest part of an image that is looked at, its pixels."""
        return round(self.side / min(SCALES))

    def find(self, image: Tensor, look: Callable[[Tensor], PredictedInstances]) -> float | None:
        """The diameter of the cells in ``image`` (1, C, H, W), normalised, in its pixels; None: no cell.

        ``look``: what the network finds in an image.
        """
        todo, most, best = list(SCALES), 0, None
        for _ in range(self.looks):
            if not todo:
                break
            scale = todo.pop(0)
            areas = self._areas(look(self.part(image, scale)))
            if not len(areas):
                continue
            seen = diameter_of_areas(areas)
            if len(areas) >= most:
                most, best = len(areas), seen / scale
            if len(areas) >= ENOUGH:
                if abs(math.log(seen / self.diameter)) <= self.tolerance:
                    return seen / scale
                todo = [self.diameter / seen * scale]
        return best

    def part(self, image: Tensor, scale: float) -> Tensor:
        """The middle of ``image``, at most ``side`` pixels large after scaling."""
        side = round(self.side / scale)
        top, left, bottom, right = middle(image.shape[-2:], (side, side))
        part = image[..., top:bottom, left:right]
        if scale == 1:
            return part
        new = [max(1, round(length * scale)) for length in part.shape[-2:]]
        return F.interpolate(part, new, mode="bilinear", align_corners=False, antialias=True)

    def known(self, found: float | None, name: object) -> float:
        """The diameter by which to scale the image ``name``: ``found``, with a warning where it cannot be.

        Without any cell it is the diameter of training; at the least it is ``diameter / max_scale``.
        """
        if found is None:
            reason, used = "no cell by which to tell how large its cells are", self.diameter
        elif found < (least := self.diameter / self.max_scale):
            reason, used = f"its cells seem to be {found:.2g} pixels across, too small to be found", least
        else:
            return found
        print_log(
            f"{name}: {reason}, so it is predicted as if they were {used:g} pixels across; give --diameter",
            logger="current",
            level=logging.WARNING,
        )
        return used

    def _areas(self, found: PredictedInstances) -> np.ndarray:
        sure = found.select(found.scores.numpy() >= self.score_thr)
        areas = [np.count_nonzero(prob > sure.mask_thr) * sure.stride**2 for prob in sure.probs]
        return np.array([area for area in areas if area], dtype=np.float64)


def middle(shape: Sequence[int], size: Sequence[int]) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) of the middle of ``shape`` (h, w), at most ``size`` (h, w)."""
    height, width = (min(old, new) for old, new in zip(shape, size, strict=True))
    top, left = (shape[0] - height) // 2, (shape[1] - width) // 2
    return top, left, top + height, left + width


def scale_to_diameter(image: Tensor, sample: CellSample, found: float, diameter: float) -> Tensor:
    """An image (C, h, w) whose cells are ``found`` pixels across, as RescaleToDiameter(diameter) scales it.

    The new size, the way back to the file and ``found`` are noted in ``sample``.
    """
    results = dict(img=image.permute(1, 2, 0).cpu().numpy(), to_original=sample.get("to_original", np.eye(3)))
    results = RescaleToDiameter(diameter=diameter)(results | dict(cell_diameter=found))
    sample.set_metainfo({key: results[key] for key in ("cell_diameter", "to_original")})
    sample.set_metainfo(dict(img_shape=results["img"].shape[:2]))
    return torch.from_numpy(np.ascontiguousarray(results["img"].transpose(2, 0, 1))).to(image.device)
