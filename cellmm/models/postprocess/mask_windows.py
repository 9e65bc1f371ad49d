"""What a head predicts, as windows on the grid of the masks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mmengine.structures import InstanceData


@dataclass
class MaskWindows:
    """N masks on a map of ``grid_shape`` (h', w') whose pixels stand for ``stride`` pixels of the input.

    ``probs[i]``, float32 (h_i, w_i) in [0, 1], starts at row and column ``origins[i]`` of the map; outside a
    mask has probability 0. ``points``: float (N, 2), (y, x) in pixels of the input, where each belongs, if
    the head says so.
    """

    probs: Sequence[np.ndarray]
    origins: np.ndarray
    stride: float
    grid_shape: tuple[int, int]
    points: np.ndarray | None = None

    @classmethod
    def of(cls, instances: InstanceData, input_shape: Sequence[int], stride: int) -> "MaskWindows":
        """From what a head's ``predict`` gives: ``mask_probs``, as whole maps or, with ``mask_origins``, as
        windows at ``stride``, and ``points``."""
        probs = [one.detach().float().cpu().numpy() for one in instances.mask_probs]
        if "mask_origins" in instances:
            origins = instances.mask_origins.cpu().numpy()
            grid_shape = tuple(-(-side // stride) for side in input_shape)
        else:
            origins = np.zeros((len(probs), 2), dtype=np.int64)
            grid_shape = tuple(instances.mask_probs.shape[-2:])
            stride = input_shape[0] / grid_shape[0]
        points = instances.points.cpu().numpy() if "points" in instances else None
        return cls(probs, origins, stride, grid_shape, points)

    def boxes(self, mask_thr: float) -> np.ndarray:
        """(top, left, bottom, right) of each mask, pixels of the input, ends excluded: (N, 4); 0 if empty."""
        boxes = np.zeros((len(self.probs), 4))
        for i, prob in enumerate(self.probs):
            inside = prob > mask_thr
            rows, cols = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
            if len(rows):
                low, high = (rows[0], cols[0]), (rows[-1] + 1, cols[-1] + 1)
                boxes[i] = np.concatenate([low + self.origins[i], high + self.origins[i]]) * self.stride
        return boxes

    def places(self, mask_thr: float) -> np.ndarray:
        """``points``, or the centroids of the masks: (N, 2)."""
        if self.points is not None:
            return self.points
        points = np.zeros((len(self.probs), 2))
        for i, prob in enumerate(self.probs):
            pixels = np.argwhere(prob > mask_thr)
            if len(pixels):
                points[i] = (pixels.mean(0) + self.origins[i] + 0.5) * self.stride - 0.5
        return points

    def in_tile(self, top: int, left: int, image_shape: Sequence[int]) -> "MaskWindows":
        """The same windows where their input is the part from (top, left) on of an image of this shape."""
        shift = np.array([top, left])
        return MaskWindows(
            self.probs,
            self.origins + np.rint(shift / self.stride).astype(np.int64),
            self.stride,
            tuple(int(round(side / self.stride)) for side in image_shape),
            None if self.points is None else self.points + shift,
        )

    def select(self, index: Sequence[int]) -> "MaskWindows":
        """Those of ``index``, in its order."""
        index = list(index)
        return MaskWindows(
            [self.probs[i] for i in index],
            self.origins[index],
            self.stride,
            self.grid_shape,
            None if self.points is None else self.points[index],
        )
