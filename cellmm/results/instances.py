"""The cells that a model found in one image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cellmm.structures import CellSample, LabelLayers, MaskRuns
from cellmm.structures import rle as rle_ops

MANY = 50_000_000  # pixels that are painted at once


@dataclass(frozen=True)
class Instances:
    """N cells of one image, best first; their masks may overlap.

    Args:
        masks: of the image in the pixels of its file; ``masks.shape`` is (H, W).
        scores: float32 (N,) in [0, 1].
        labels: int64 (N,), classes from 0.
        classes: the names of the labels.
        category_ids: their ids in the annotation that was trained on.
        pixel_size: (y, x) in micrometres; None: not known.
        name: of the image, as in the results' files.
    """

    masks: MaskRuns
    scores: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...] = ("cell",)
    category_ids: tuple[int, ...] = (1,)
    pixel_size: tuple[float, float] | None = None
    name: str = ""

    @classmethod
    def of_sample(cls, sample: CellSample, **fields) -> "Instances":
        """What ``sample.pred_instances`` holds; ``fields``: classes, category_ids, pixel_size and name."""
        found = sample.pred_instances
        masks = MaskRuns.from_rles(found.masks, sample.ori_shape)
        scores, labels = found.scores.float().numpy(), found.labels.numpy().astype(np.int64)
        return cls(masks=masks, scores=scores, labels=labels, **fields)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the image."""
        return self.masks.shape

    def __len__(self) -> int:
        return len(self.masks)

    def select(self, index: Sequence[int] | np.ndarray) -> "Instances":
        """The cells of ``index``, in its order: whole numbers, or bool (N,)."""
        return replace(
            self, masks=self.masks.select(index), scores=self.scores[index], labels=self.labels[index]
        )

    def to_layers(self) -> LabelLayers:
        """The cells as a stack of label images, which keeps overlap; ids count from 1."""
        return LabelLayers.from_rles(self.masks.to_rles(), self.shape)

    def to_labels(self) -> tuple[np.ndarray, int]:
        """One label image, int32 (H, W), and the number of pixels where cells were covered by others.

        Cell i has the id i + 1. Where cells overlap, the pixel belongs to the one with the best score (the
        first of those with equal scores).
        """
        labels = np.zeros(self.shape, dtype=np.int32)
        flat, width = labels.reshape(-1), self.shape[1]
        order = np.lexsort((-np.arange(len(self)), self.scores))  # the best last, on top
        masks = self.masks.select(order)
        end = np.cumsum(masks.areas())
        begin = 0
        while begin < len(masks):
            done = end[begin - 1] if begin else 0
            stop = max(int(np.searchsorted(end, done + MANY, side="right")), begin + 1)
            runs = slice(masks.first[begin], masks.first[stop])
            x, y, length = (values[runs].astype(np.int64) for values in (masks.x, masks.y, masks.length))
            row = rle_ops.run_pixels(y, length)
            pixels = row * width + np.repeat(x, length)
            flat[pixels] = np.repeat(order[masks.owners()[runs]] + 1, length)
            begin = stop
        return labels, int(masks.areas().sum() - np.count_nonzero(labels))
