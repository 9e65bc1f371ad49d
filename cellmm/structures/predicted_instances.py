"""What a head or a postprocess finds in one input of the network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor

from cellmm.structures.cell_sample import CellSample
from cellmm.structures.mask_runs import MaskRuns
from cellmm.structures.original_frame import masks_in_original_frame


@dataclass
class PredictedInstances:
    """N masks, best first, on a map of the network's input.

    Tensors and arrays are taken as they come, from any device, and kept as described here, on the CPU.

    Args:
        probs: probability of each mask in [0, 1]: N windows (h_i, w_i) of the map or, without ``origins``,
            whole maps, (N, h, w). Kept as a list of float32 arrays. Outside a window the probability is 0.
        scores: (N,), a tensor.
        labels: (N,), int64, classes from 0, a tensor.
        stride: a pixel of the map stands for stride x stride pixels of the input.
        origins: (N, 2), row and column of the first pixel of each window on the map; None: whole maps.
            Kept as int64.
        grid_shape: (h, w) of the map that the windows are cut from; needed with ``origins``.
        points: (N, 2), (y, x) in pixels of the input, where each instance belongs, if the head knows.
            None: at the centroid of its mask.
        mask_thr: a pixel belongs to the mask above this probability.
        limits: {what happened, with ``{}`` for a number, and the cure after ``;``: the number in this image}
            of limits that were reached, such as the number of queries. The user is warned of them.

    Raises:
        ValueError: windows without ``grid_shape``, or fields of different lengths.
    """

    probs: Sequence[np.ndarray] | Sequence[Tensor] | Tensor
    scores: Tensor
    labels: Tensor
    stride: float = 1
    origins: np.ndarray | Tensor | None = None
    grid_shape: tuple[int, int] | None = None
    points: np.ndarray | Tensor | None = None
    mask_thr: float = 0.5
    limits: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.grid_shape is None:
            if self.origins is not None:
                raise ValueError("windows (origins) need the grid_shape that they are cut from")
            whole = self.probs if hasattr(self.probs, "shape") or not self.probs else self.probs[0]
            self.grid_shape = tuple(whole.shape[-2:]) if hasattr(whole, "shape") else (0, 0)
        self.probs = [_array(prob, np.float32) for prob in self.probs]
        self.scores = torch.as_tensor(self.scores).detach().cpu()
        self.labels = torch.as_tensor(self.labels).detach().cpu()
        if self.origins is None:
            self.origins = np.zeros((len(self.probs), 2), dtype=np.int64)
        self.origins = _array(self.origins, np.int64)
        if self.points is not None:
            self.points = _array(self.points)
        for name in ("scores", "labels", "origins", "points"):
            value = getattr(self, name)
            if value is not None and len(value) != len(self.probs):
                raise ValueError(f"{len(self.probs)} masks, but {len(value)} {name}")

    def __len__(self) -> int:
        return len(self.probs)

    def select(self, index: Sequence[int] | np.ndarray) -> "PredictedInstances":
        """Those of ``index``, in its order: whole numbers, or bool (N,)."""
        index = np.asarray(index)
        index = np.flatnonzero(index) if index.dtype == bool else index.astype(np.int64)
        return replace(
            self,
            probs=[self.probs[i] for i in index],
            scores=self.scores[index],
            labels=self.labels[index],
            origins=self.origins[index],
            points=None if self.points is None else self.points[index],
        )

    def joined(self, others: "PredictedInstances") -> "PredictedInstances":
        """These and then the ``others``, which are on the same map.

        Raises:
            ValueError: they are on another map, or only some of both have ``points``.
        """
        mine, theirs = ((p.stride, tuple(p.grid_shape), p.mask_thr, p.points is None) for p in (self, others))
        if mine != theirs:
            raise ValueError(f"instances of other maps cannot be joined: {mine} and {theirs}")
        return replace(
            self,
            probs=[*self.probs, *others.probs],
            scores=torch.cat([self.scores, others.scores]),
            labels=torch.cat([self.labels, others.labels]),
            origins=np.concatenate([self.origins, others.origins]),
            points=None if self.points is None else np.concatenate([self.points, others.points]),
            limits={
                text: max(self.limits.get(text, 0), others.limits.get(text, 0))
                for text in (*self.limits, *others.limits)
            },
        )

    def boxes(self) -> np.ndarray:
        """(top, left, bottom, right) of each mask, pixels of the input, ends excluded: (N, 4); 0 if empty."""
        boxes = np.zeros((len(self), 4))
        for i, prob in enumerate(self.probs):
            inside = prob > self.mask_thr
            rows, cols = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
            if len(rows):
                low, high = (rows[0], cols[0]), (rows[-1] + 1, cols[-1] + 1)
                boxes[i] = np.concatenate([low + self.origins[i], high + self.origins[i]]) * self.stride
        return boxes

    def places(self) -> np.ndarray:
        """``points``, or the centroids of the masks: (N, 2)."""
        if self.points is not None:
            return self.points
        points = np.zeros((len(self), 2))
        for i, prob in enumerate(self.probs):
            pixels = np.argwhere(prob > self.mask_thr)
            if len(pixels):
                points[i] = (pixels.mean(0) + self.origins[i] + 0.5) * self.stride - 0.5
        return points

    def at_stride(self, stride: int) -> "PredictedInstances":
        """What was found in maps whose pixels stand for stride x stride pixels of the input."""
        points = None if self.points is None else (self.points + 0.5) * stride - 0.5
        return replace(self, stride=self.stride * stride, points=points)

    def in_tile(self, top: int, left: int, image_shape: Sequence[int]) -> "PredictedInstances":
        """The same masks where their input is the part from (top, left) on of an image of ``image_shape``."""
        shift = np.array([top, left])
        return replace(
            self,
            origins=self.origins + np.rint(shift / self.stride).astype(np.int64),
            grid_shape=tuple(int(round(side / self.stride)) for side in image_shape),
            points=None if self.points is None else self.points + shift,
        )

    def on_image(self, sample: CellSample) -> "PredictedInstances":
        """Without those whose ``points`` lie outside of the image: in padding, or mirrored."""
        if self.points is None:
            return self
        place = np.rint(self.points).astype(np.int64)
        inside = ((place >= 0) & (place < sample.img_shape)).all(1)
        if "ignore" in sample:
            row, col = place[inside].T
            inside[inside] = ~sample.ignore.cpu().numpy()[row, col]
        return self.select(inside)

    def mask_runs(self) -> MaskRuns:
        """The masks on the map, of ``grid_shape``: a pixel of them stands for stride x stride pixels."""
        crops, corners = [], []
        for prob, origin in zip(self.probs, self.origins, strict=True):
            first = np.maximum(-origin, 0)
            end = np.minimum(prob.shape, self.grid_shape - origin)
            outside = (end <= first).any()
            inside = prob[:0, :0] if outside else prob[first[0] : end[0], first[1] : end[1]]
            crops.append(inside > self.mask_thr)
            corners.append((0, 0) if outside else origin + first)
        return MaskRuns.from_crops(crops, corners, self.grid_shape)

    def in_original_frame(self, sample: CellSample) -> InstanceData:
        """As RLE ``masks`` in the pixels of the file, with ``scores``, ``labels`` and ``index``, the place
        here; empty masks are left out."""
        masks, kept = masks_in_original_frame(
            self.probs,
            stride=self.stride,
            img_shape=sample.img_shape,
            to_original=sample.to_original,
            ori_shape=sample.ori_shape,
            mask_thr=self.mask_thr,
            origins=self.origins,
            grid_shape=self.grid_shape,
        )
        return InstanceData(
            masks=masks, scores=self.scores[kept], labels=self.labels[kept], index=torch.from_numpy(kept)
        )


def _array(value: np.ndarray | Tensor | Sequence, dtype: type | None = None) -> np.ndarray:
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = (value.float() if dtype is np.float32 else value).numpy()
    return np.asarray(value, dtype=dtype)
