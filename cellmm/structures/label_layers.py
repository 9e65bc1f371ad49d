"""Instances as a small stack of label images: what ground truth and augmentation use."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from scipy.sparse import csr_array

from cellmm.errors import CellMMError
from cellmm.structures import rle as rle_ops
from cellmm.structures.painting import smallest_last

MAX_GRAPH = 3e7  # pairs of instances, counted on every pixel that they share


class LabelLayers:
    """N instances of one image as ``layers``, int32 (L, H, W), L >= 1: 0 is background, instance i is i + 1.

    Each instance lies wholly on one layer and instances that overlap lie on different ones (greedy
    colouring), so that L is about the most cells on one pixel and a warp costs L images, not N masks.
    Instances may be empty (warped out of the frame, say) until ``compact``. Methods return new objects.

    Args:
        layers: integers (L, H, W) or (H, W), ids from 0 to ``num``; int32 is kept without a copy. That no id
            is on two layers is not checked here: ``from_label_image`` takes stacks of unknown origin.
        num: how many instances, the highest id if None.

    Examples:
        >>> masks = np.zeros((2, 4, 6), bool)
        >>> masks[0, 1:3, :4] = masks[1, 1:3, 3:] = True
        >>> cells = LabelLayers.from_masks(masks)
        >>> cells
        LabelLayers(2 instances, 2 layers of (4, 6) pixels)
        >>> cells.areas().tolist(), int(cells.overlap().sum())
        ([8, 6], 2)
    """

    def __init__(self, layers: np.ndarray, num: int | None = None) -> None:
        layers = np.asarray(layers)
        if layers.ndim == 2:
            layers = layers[None]
        if layers.ndim != 3 or layers.size == 0:
            raise ValueError(f"layers have shape {layers.shape}: (L, H, W) with at least one pixel is needed")
        if not np.issubdtype(layers.dtype, np.integer):
            raise ValueError(f"layers are of type {layers.dtype}: integers are needed")
        top = int(layers.max())
        num = top if num is None else int(num)
        if int(layers.min()) < 0 or top > num or num > np.iinfo(np.int32).max:
            raise ValueError(f"layers hold ids from {layers.min()} to {top}: 0 to num = {num} are allowed")
        self.layers = layers.astype(np.int32, copy=False)
        self._num = num

    @classmethod
    def empty(cls, h: int, w: int) -> "LabelLayers":
        """An image of (h, w) pixels without instances."""
        return cls(np.zeros((1, h, w), dtype=np.int32), num=0)

    @classmethod
    def from_masks(
        cls, masks: np.ndarray | Sequence[np.ndarray], shape: tuple[int, int] | None = None
    ) -> "LabelLayers":
        """(N, H, W) bool or integer masks, nonzero = cell. ``shape`` (h, w) is needed for an empty list."""
        masks = np.asarray(masks)
        if masks.size == 0 and masks.ndim < 3 and shape is not None:
            masks = np.zeros((0, *shape), dtype=bool)
        if masks.ndim != 3:
            raise ValueError(
                f"masks have shape {masks.shape}: (N, H, W) is needed, or shape=(h, w) if N is 0"
            )
        if shape is not None and masks.shape[1:] != tuple(shape):
            raise CellMMError(
                f"masks of {masks.shape[1:]} pixels (h, w) do not fit an image of {tuple(shape)}"
            )
        if masks.dtype != bool and not np.issubdtype(masks.dtype, np.integer):
            raise CellMMError(f"masks are of type {masks.dtype}: threshold them first")
        num, h, w = masks.shape
        owner, pixel = np.divmod(np.flatnonzero(masks), h * w) if masks.size else np.zeros((2, 0), np.int64)
        return cls(_paint(owner, pixel, num, h * w).reshape(-1, h, w), num=num)

    @classmethod
    def from_rles(cls, rles: Sequence[Mapping], shape: tuple[int, int]) -> "LabelLayers":
        """COCO compressed RLEs of an image of ``shape`` (h, w). Cost grows with the cells' pixels only."""
        h, w = (int(n) for n in shape)
        owner, start, length = rle_ops.to_runs(rles, (h, w))
        pixel = rle_ops.run_pixels(start, length)
        columns = _paint(np.repeat(owner, length), pixel, len(rles), h * w).reshape(-1, w, h)
        return cls(np.stack([cv2.transpose(column) for column in columns]), num=len(rles))

    @classmethod
    def from_label_image(cls, label: np.ndarray) -> "LabelLayers":
        """A label image (H, W), or a stack of them (L, H, W) with the ids counted over the whole stack.

        The ids may be any positive whole numbers; they are renumbered 1..N in ascending order. Negative ids,
        fractions, NaN and an id on two layers raise a CellMMError.
        """
        label = np.asarray(label)
        stack = label[None] if label.ndim == 2 else label
        if stack.ndim != 3 or stack.size == 0:
            raise CellMMError(f"a label image has shape (H, W) or (L, H, W), not {label.shape}")
        if label.dtype == bool:
            stack = stack.astype(np.uint8)
        elif np.issubdtype(label.dtype, np.floating):
            stack = stack.astype(np.float64)
            if not (np.abs(stack) < 2**53).all() or (stack != np.rint(stack)).any():
                raise CellMMError("it holds fractions or NaN, not whole numbers: save the ids as 16 bit")
            stack = stack.astype(np.int64)
        elif not np.issubdtype(label.dtype, np.integer):
            raise CellMMError(f"a label image holds integers, not {label.dtype}: save the ids as 16 bit")
        if int(stack.min()) < 0:
            raise CellMMError(f"label {stack.min()} is negative: 0 is background, ids count from 1")
        top = int(stack.max())
        if top <= max(stack.size, 2**16):  # a table is faster than sorting
            found = np.zeros((len(stack), top + 1), dtype=bool)
            for present, layer in zip(found, stack, strict=True):
                present[layer] = True
            found[:, 0] = False
            on_layers = found.sum(0)
            ids = np.flatnonzero(on_layers)
            on_layers = on_layers[ids]
            table = np.cumsum(found.any(0), dtype=np.int32)
            layers = table[stack]
        else:
            per_layer = [values[values > 0] for values in map(np.unique, stack)]
            ids, on_layers = np.unique(np.concatenate(per_layer), return_counts=True)
            layers = np.searchsorted(ids, stack, side="right").astype(np.int32)
        if (on_layers > 1).any():
            twice = ids[on_layers > 1]
            raise CellMMError(
                f"label {twice[0]} ({len(twice)} such) is on {on_layers.max()} layers: number the cells over "
                "all layers and put each on one"
            )
        return cls(layers, num=len(ids))

    def __len__(self) -> int:
        return self._num

    def __repr__(self) -> str:
        return f"LabelLayers({self._num} instances, {self.num_layers} layers of {self.shape} pixels)"

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w) of the image."""
        return self.layers.shape[1:]

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    def to_masks(self) -> np.ndarray:
        """bool (N, H, W)."""
        h, w = self.shape
        masks = np.zeros((self._num, h, w), dtype=bool)
        flat = masks.reshape(-1)
        for layer in self.layers.reshape(-1, h * w):
            pixel = np.flatnonzero(layer)
            flat[(layer[pixel].astype(np.int64) - 1) * (h * w) + pixel] = True
        return masks

    def to_rles(self) -> list[rle_ops.RLE]:
        """N COCO compressed RLEs, an empty one for an empty instance."""
        h, w = self.shape
        parts = []
        for layer in self.layers:
            columns = cv2.transpose(layer).ravel()
            start = np.concatenate([[0], np.flatnonzero(columns[1:] != columns[:-1]) + 1])
            stop = np.append(start[1:], h * w)
            ids = columns[start]
            parts.append(np.stack([ids, start, stop - start])[:, ids > 0])
        runs = np.concatenate(parts, axis=1)
        ids, start, length = runs[:, np.argsort(runs[0], kind="stable")]
        return rle_ops.from_runs(ids - 1, start, length, self._num, (h, w))

    def areas(self) -> np.ndarray:
        """Pixels of each instance, int64 (N,)."""
        return _pixels(self.layers, self._num)

    def bboxes(self) -> np.ndarray:
        """Tight boxes (x0, y0, x1, y1), float64 (N, 4); zeros for an empty instance.

        They run on the pixels' outer edges, x1 - x0 is the width in pixels.

        Examples:
            >>> LabelLayers(np.array([[0, 1, 1], [0, 1, 0]])).bboxes().tolist()
            [[1.0, 0.0, 3.0, 2.0]]
        """
        h, w = self.shape
        low = np.full((2, self._num + 1), max(h, w), dtype=np.int64)
        high = np.zeros((2, self._num + 1), dtype=np.int64)
        for layer in self.layers:
            rows, cols = np.nonzero(layer)
            ids = layer[rows, cols]
            for axis, place in enumerate((cols, rows)):
                np.minimum.at(low[axis], ids, place)
                np.maximum.at(high[axis], ids, place + 1)
        low[high == 0] = 0
        return np.concatenate([low, high])[:, 1:].T.astype(np.float64)

    def count(self) -> np.ndarray:
        """How many instances cover each pixel, int32 (H, W)."""
        return (self.layers > 0).sum(0, dtype=np.int32)

    def covered(self) -> np.ndarray:
        """Pixels that any instance covers, bool (H, W)."""
        return np.bitwise_or.reduce(self.layers, axis=0) > 0

    def overlap(self) -> np.ndarray:
        """Pixels that at least two instances cover, bool (H, W)."""
        return self.count() > 1

    def compact(self) -> tuple["LabelLayers", np.ndarray]:
        """Without the instances that have no pixel and without empty layers.

        Returns:
            The rest, with ids 1..M in the same order, and its indices in this object, int64 (M,) ascending.
        """
        kept = np.flatnonzero(self.areas())
        return self.select(kept), kept

    def select(self, indices: np.ndarray | Sequence[int]) -> "LabelLayers":
        """The instances of these 0-based indices (or a bool (N,) array), in this order; empty layers go.

        Examples:
            >>> cells = LabelLayers(np.array([[1, 2, 3, 3]]))
            >>> cells.select([2, 0]).layers.tolist()
            [[[2, 0, 1, 1]]]
        """
        indices = np.asarray(indices)
        if indices.dtype == bool:
            if indices.shape != (self._num,):
                raise ValueError(
                    f"a bool selection of shape {indices.shape} does not fit {self._num} instances"
                )
            indices = np.flatnonzero(indices)
        indices = indices.astype(np.int64).reshape(-1)
        if len(indices) and not (0 <= indices.min() and indices.max() < self._num):
            raise ValueError(
                f"indices from {indices.min()} to {indices.max()}: 0 to {self._num - 1} are allowed"
            )
        if len(np.unique(indices)) < len(indices):
            raise ValueError("an instance is selected twice: a layer holds it once")
        if np.array_equal(indices, np.arange(self._num)):
            layers = self.layers.copy()
        else:
            table = np.zeros(self._num + 1, dtype=np.int32)
            table[indices + 1] = np.arange(1, len(indices) + 1)
            layers = table[self.layers]
        used = layers.any((1, 2))
        used[0] |= not used.any()
        return LabelLayers(layers if used.all() else layers[used], num=len(indices))

    def crop(self, y0: int, x0: int, y1: int, x1: int) -> "LabelLayers":
        """Rows y0 to y1 - 1 and columns x0 to x1 - 1, a copy; instances keep their ids, some become empty."""
        h, w = self.shape
        if not (0 <= y0 < y1 <= h and 0 <= x0 < x1 <= w):
            raise ValueError(
                f"rows {y0}:{y1}, columns {x0}:{x1} are not inside an image of {self.shape} pixels"
            )
        return LabelLayers(self.layers[:, y0:y1, x0:x1].copy(), num=self._num)


def _pixels(label: np.ndarray, num: int) -> np.ndarray:
    return np.bincount(label[label > 0], minlength=num + 1)[1:].astype(np.int64, copy=False)


def _paint(owner: np.ndarray, pixel: np.ndarray, num: int, size: int) -> np.ndarray:
    """Pixels (of instance ``owner``, sorted by it) -> layers int32 (L, size).

    Instances alone on their pixels go to the first layer. Each of the others goes to the first layer that is
    free on all of its shared pixels: ``taken`` holds a bit per layer for these, 64 layers per word.
    """
    layer_of = np.zeros(num, dtype=np.int64)
    shared = np.bincount(pixel, minlength=size) > 1
    contested = np.flatnonzero(shared[pixel])
    places, owners = (np.cumsum(shared) - 1)[pixel[contested]], owner[contested]
    starts = np.searchsorted(owners, np.arange(num + 1))
    taken = [np.zeros(int(shared.sum()), dtype=np.uint64)]
    for i in _smallest_last(owners, places, num):
        place = places[starts[i] : starts[i + 1]]
        word = 0
        while not (free := int(~np.bitwise_or.reduce(taken[word][place]))):
            word += 1
            if word == len(taken):
                taken.append(np.zeros_like(taken[0]))
        lowest = free & -free
        taken[word][place] |= np.uint64(lowest)
        layer_of[i] = 64 * word + lowest.bit_length() - 1
    layers = np.zeros((int(layer_of.max(initial=0)) + 1, size), dtype=np.int32)
    layers[layer_of[owner], pixel] = owner + 1
    return layers


def _smallest_last(owners: np.ndarray, places: np.ndarray, num: int) -> list[int]:
    """The order in which greedy colouring needs few layers, of the instances that share pixels.

    On LIVECell it takes 2 to 4 layers, the file's order 2 to 5. Piles of so many instances that their graph
    would cost more than it saves keep their order.
    """
    if len(owners) == 0:
        return []
    if (np.bincount(places).astype(np.float64) ** 2).sum() > MAX_GRAPH:
        return np.unique(owners).tolist()
    ones = np.ones(len(owners), dtype=np.int32)
    covers = csr_array((ones, (owners, places)), shape=(num, int(places.max()) + 1))
    return smallest_last(covers @ covers.T)
