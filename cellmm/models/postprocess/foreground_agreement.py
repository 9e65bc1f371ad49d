"""Instances agree with a map of the foreground about where cells end and background begins."""

from collections.abc import Mapping
from dataclasses import replace

import cv2
import numpy as np

from cellmm.checks import check_share, check_whole
from cellmm.registry import TASK_UTILS
from cellmm.structures import MaskRuns, PredictedInstances, map_in_original_frame
from cellmm.structures.original_frame import masks_in_original_frame
from cellmm.structures.semantic_maps import disk


@TASK_UTILS.register_module()
class ForegroundAgreement:
    """Where one mask alone claims a pixel, it has it if the map says foreground.

    The map shows no single cell, but may show better than masks at half resolution where all of them end. In
    the pixels of the map, or of the masks where these are finer:

    1. A pixel that a single mask has stays if the map is above ``threshold`` there, and else goes.
    2. A pixel that no mask has, at most ``grow`` px from a single mask (Euclid), is added to it where the map
       is above ``threshold``.
    3. A pixel of several masks stays in all of them, and one without a mask but near several stays without.

    A mask of which less than ``min_share`` is left of its own pixels stays as it is, without what grows: the
    map does not know this cell. So no cell is lost. A hole in the map becomes a hole of the mask, and a mask
    that the map parts is one cell of several pieces. Scores, labels and order stay.

    Args:
        target: of the map, among those that the heads of the model, or of the models of an ensemble, give.
        threshold: of the map's probability.
        grow: px; 0: masks are cut alone.
        min_share: see above, 0 to 1.
    """

    def __init__(
        self, target: str = "cytoplasm", threshold: float = 0.35, grow: int = 1, min_share: float = 0.5
    ) -> None:
        check_share(threshold=threshold, min_share=min_share)
        check_whole(0, grow=grow)
        self.target, self.threshold, self.grow, self.min_share = target, threshold, grow, min_share
        self.needs_maps = (target,)

    def __call__(
        self, found: PredictedInstances, maps: Mapping[str, np.ndarray], strides: Mapping[str, int]
    ) -> PredictedInstances:
        """See ``heads.base.Refinement``."""
        probs, stride = maps[self.target], strides[self.target]
        fine = min(found.stride, stride)
        shape = tuple(round(side * stride / fine) for side in probs.shape)
        frame = dict(img_shape=shape, to_original=np.eye(3), ori_shape=shape)
        inside = map_in_original_frame(probs, stride / fine, **frame) > self.threshold
        rles, kept = masks_in_original_frame(
            found.probs,
            found.stride / fine,
            mask_thr=found.mask_thr,
            origins=found.origins,
            grid_shape=found.grid_shape,
            **frame,
        )
        crops, corners = self._agree(MaskRuns.from_rles(rles, shape), inside)
        return replace(
            found.select(kept),
            probs=[crop.astype(np.float32) for crop in crops],
            origins=corners,
            stride=fine,
            grid_shape=shape,
            mask_thr=0.5,
        )

    def _agree(self, masks: MaskRuns, inside: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        """Masks that agree with ``inside``, bool (H, W): windows, bool (h, w), and their first pixels."""
        more = self.grow
        boxes = np.clip(masks.boxes() + (-more, -more, more, more), 0, masks.shape * 2)
        places = [np.s_[top:bottom, left:right] for top, left, bottom, right in boxes.tolist()]
        own = [masks.window(i, box) for i, box in enumerate(boxes)]
        claims = _total(own, places, masks.shape)
        rings = [
            cv2.dilate(mask.view(np.uint8), disk(more)).view(bool) & (claims[place] == 0)
            for mask, place in zip(own, places, strict=True)
        ]
        near = _total(rings, places, masks.shape)
        agreed = []
        for mask, ring, place in zip(own, rings, places, strict=True):
            stays = mask & (inside[place] | (claims[place] > 1))
            if np.count_nonzero(stays) < max(self.min_share * np.count_nonzero(mask), 1):
                agreed.append(mask)
            else:
                agreed.append(stays | (ring & inside[place] & (near[place] == 1)))
        return agreed, boxes[:, :2]


def _total(parts: list[np.ndarray], places: list[tuple[slice, slice]], shape: tuple[int, int]) -> np.ndarray:
    """In how many of the parts, bool (h, w), each pixel is: int32 (H, W)."""
    total = np.zeros(shape, np.int32)
    for part, place in zip(parts, places, strict=True):
        total[place] += part
    return total
