"""The masks of one image as flat arrays of runs: a mask costs what its own box costs, whatever the image."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cellmm.structures import rle as rle_ops

LONGEST = 256  # pixels of a run while intersections are sought; longer runs are split for it
MANY = 1_000_000  # runs or candidates that are looked at together


@dataclass(frozen=True)
class MaskRuns:
    """N masks of an image of ``shape`` (H, W), which may overlap; a run goes down a column of the image.

    The runs of mask i are those from ``first[i]`` to ``first[i + 1]``, sorted by column and row. Runs of one
    mask neither touch nor overlap within a column.

    Args:
        shape: (H, W) of the image, in pixels.
        first: int64 (N + 1,).
        x, y, length: int32 (R,), column, first row and number of pixels of each run.

    Examples:
        >>> crops = [np.ones((2, 3), bool), np.ones((1, 1), bool)]
        >>> masks = MaskRuns.from_crops(crops, [(0, 1), (1, 3)], (4, 6))
        >>> masks.areas().tolist(), masks.boxes().tolist()
        ([6, 1], [[0, 1, 2, 4], [1, 3, 2, 4]])
        >>> [found.tolist() for found in masks.intersections(masks.select([1]))]
        [[0, 1], [0, 0], [1, 1]]
    """

    shape: tuple[int, int]
    first: np.ndarray
    x: np.ndarray
    y: np.ndarray
    length: np.ndarray

    @classmethod
    def empty(cls, shape: Sequence[int]) -> "MaskRuns":
        """No mask, of an image of ``shape`` (H, W)."""
        none = np.zeros(0, np.int32)
        return cls((int(shape[0]), int(shape[1])), np.zeros(1, np.int64), none, none, none)

    @classmethod
    def from_rles(cls, rles: Sequence[Mapping], shape: Sequence[int]) -> "MaskRuns":
        """COCO RLEs of an image of ``shape`` (H, W).

        Raises:
            CellMMError: what is not an RLE, or is one of another image.
        """
        height = int(shape[0])
        owner, start, length = rle_ops.to_runs(rles, (height, int(shape[1])))
        column = start // height
        columns = (start + length - 1) // height - column + 1  # a run goes on at the top of the next column
        if (columns > 1).any():
            place = np.arange(columns.sum()) - np.repeat(np.cumsum(columns) - columns, columns)
            end = np.repeat(start + length, columns)
            owner, column = np.repeat(owner, columns), np.repeat(column, columns) + place
            start = np.maximum(np.repeat(start, columns), column * height)
            length = np.minimum(end, (column + 1) * height) - start
        return cls._of_owners(owner, column, start - column * height, length, len(rles), shape)

    @classmethod
    def from_crops(
        cls, crops: Sequence[np.ndarray], origins: Sequence[Sequence[int]], shape: Sequence[int]
    ) -> "MaskRuns":
        """Masks of parts of the image: bool (h, w) each, with the (row, column) of their first pixel.

        Raises:
            ValueError: a part that is not inside the image.
        """
        parts = []
        for i, (crop, (top, left)) in enumerate(zip(crops, origins, strict=True)):
            height, width = crop.shape
            if not (0 <= top <= shape[0] - height and 0 <= left <= shape[1] - width):
                raise ValueError(f"mask {i}, {crop.shape} at {(top, left)}, is not inside {tuple(shape)}")
            columns = np.zeros((width, height + 1), dtype=np.int8)
            columns[:, :height] = crop.T
            edges = np.flatnonzero(np.diff(columns.ravel(), prepend=0))
            x, y = np.divmod(edges[::2], height + 1)
            parts.append((x + left, y + top, edges[1::2] - edges[::2]))
        x, y, length = (
            (np.concatenate([np.zeros(0, np.int64), *some]) for some in zip(*parts, strict=True))
            if parts
            else (np.zeros(0),) * 3
        )
        owner = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
        return cls._of_owners(owner, x, y, length, len(parts), shape)

    @classmethod
    def concatenate(cls, parts: Sequence["MaskRuns"]) -> "MaskRuns":
        """The masks of several parts, one after another, which must be of one image."""
        shapes = {part.shape for part in parts}
        if len(shapes) != 1:
            raise ValueError(f"masks of one image are needed, these are of {sorted(shapes)}")
        before = np.cumsum([0, *(part.first[-1] for part in parts)])
        first = [part.first[:-1] + start for part, start in zip(parts, before, strict=False)]
        runs = (np.concatenate([getattr(part, name) for part in parts]) for name in ("x", "y", "length"))
        return cls(parts[0].shape, np.concatenate([*first, before[-1:]]).astype(np.int64), *runs)

    @classmethod
    def _of_owners(
        cls,
        owner: np.ndarray,
        x: np.ndarray,
        y: np.ndarray,
        length: np.ndarray,
        num: int,
        shape: Sequence[int],
    ) -> "MaskRuns":
        first = np.zeros(num + 1, dtype=np.int64)
        np.cumsum(np.bincount(owner, minlength=num), out=first[1:])
        runs = (values.astype(np.int32) for values in (x, y, length))
        return cls((int(shape[0]), int(shape[1])), first, *runs)

    def __len__(self) -> int:
        return len(self.first) - 1

    def owners(self) -> np.ndarray:
        """The mask that each run belongs to, int64 (R,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.first))

    def areas(self) -> np.ndarray:
        """Pixels of each mask, int64 (N,)."""
        total = np.concatenate([[0], np.cumsum(self.length, dtype=np.int64)])
        return total[self.first[1:]] - total[self.first[:-1]]

    def boxes(self) -> np.ndarray:
        """(top, left, bottom, right) of each mask, ends excluded, int64 (N, 4); zeros for an empty mask."""
        boxes = np.zeros((len(self), 4), dtype=np.int64)
        filled = np.flatnonzero(np.diff(self.first))
        if len(filled):
            starts = self.first[filled]
            boxes[filled, 0] = np.minimum.reduceat(self.y, starts)
            boxes[filled, 1] = np.minimum.reduceat(self.x, starts)
            boxes[filled, 2] = np.maximum.reduceat(self.y + self.length, starts)
            boxes[filled, 3] = np.maximum.reduceat(self.x, starts) + 1
        return boxes

    def crop(self, index: int) -> tuple[np.ndarray, tuple[int, int]]:
        """Mask ``index`` in its own box, bool (h, w), and the (row, column) of the box's first pixel."""
        index = range(len(self))[index]
        runs = slice(self.first[index], self.first[index + 1])
        x, y, length = (values[runs].astype(np.int64) for values in (self.x, self.y, self.length))
        if not len(x):
            return np.zeros((0, 0), dtype=bool), (0, 0)
        top, left, bottom = int(y.min()), int(x.min()), int((y + length).max())
        columns = np.zeros((int(x.max()) - left + 1, bottom - top), dtype=bool)
        columns.reshape(-1)[rle_ops.run_pixels((x - left) * (bottom - top) + y - top, length)] = True
        return np.ascontiguousarray(columns.T), (top, left)

    def window(self, index: int, box: Sequence[int]) -> np.ndarray:
        """Mask ``index`` on ``box`` (top, left, bottom, right), ends excluded: bool (h, w).

        >>> MaskRuns.from_crops([np.ones((1, 2), bool)], [(0, 1)], (2, 3)).window(0, (0, 0, 1, 3)).tolist()
        [[False, True, True]]
        """
        crop, corner = self.crop(index)
        size = np.subtract(box[2:], box[:2])
        first = np.subtract(corner, box[:2])
        low, high = np.maximum(first, 0), np.minimum(first + crop.shape, size)
        window = np.zeros(size, dtype=bool)
        if (low < high).all():
            (y, x), (v, u), (rows, cols) = low, low - first, high - low
            window[y : y + rows, x : x + cols] = crop[v : v + rows, u : u + cols]
        return window

    def select(self, index: Sequence[int] | np.ndarray) -> "MaskRuns":
        """The masks of ``index``, in its order: whole numbers, from the end if negative, or bool (N,)."""
        index = np.asarray(index)
        if index.dtype == bool:
            index = np.arange(len(self))[index]
        elif len(index) and not -len(self) <= index.min() <= index.max() < len(self):
            raise IndexError(f"masks {index.min()} to {index.max()} of {len(self)}")
        index = index.astype(np.int64)
        index = np.where(index < 0, index + len(self), index)
        num = self.first[index + 1] - self.first[index]
        first = np.concatenate([[0], np.cumsum(num)]).astype(np.int64)
        x, y, length = (np.empty(first[-1], np.int32) for _ in range(3))
        for begin, end in _shares(first):
            runs = rle_ops.run_pixels(self.first[index[begin:end]], num[begin:end])
            place = slice(first[begin], first[end])
            x[place], y[place], length[place] = self.x[runs], self.y[runs], self.length[runs]
        return MaskRuns(self.shape, first, x, y, length)

    def moved(self, top: int, left: int, shape: Sequence[int]) -> "MaskRuns":
        """The same masks where their image is the part from (``top``, ``left``) on of one of ``shape``.

        Raises:
            ValueError: a mask would leave that image.
        """
        x, y = self.x + np.int32(left), self.y + np.int32(top)
        if len(x) and (
            min(x.min(), y.min()) < 0 or x.max() >= shape[1] or (y + self.length).max() > shape[0]
        ):
            raise ValueError(f"masks of {self.shape} moved by {(top, left)} leave an image of {tuple(shape)}")
        return MaskRuns((int(shape[0]), int(shape[1])), self.first, x, y, self.length)

    def thinned(self, step: int) -> "MaskRuns":
        """The same masks where just every ``step``-th row and column of the image is kept, from the first."""
        y, end = -(-self.y // step), -(-(self.y + self.length) // step)
        kept = (self.x % step == 0) & (end > y)
        owner, x, y, end = self.owners()[kept], self.x[kept] // step, y[kept], end[kept]
        begins = np.ones(len(y), dtype=bool)  # what was between two runs may be gone
        begins[1:] = (owner[1:] != owner[:-1]) | (x[1:] != x[:-1]) | (y[1:] != end[:-1])
        length = end[np.append(begins, True)[1:]] - y[begins]
        shape = (-(-self.shape[0] // step), -(-self.shape[1] // step))
        return MaskRuns._of_owners(owner[begins], x[begins], y[begins], length, len(self), shape)

    def to_rles(self) -> list[rle_ops.RLE]:
        """COCO RLEs of the whole image, which must have less than 2^31 pixels.

        Raises:
            CellMMError: the image is too large for COCO RLE.
        """
        rle_ops.check_size(self.shape)
        rles: list[rle_ops.RLE] = []
        for begin, end in _shares(self.first):
            part = self.select(np.arange(begin, end))
            owner = part.owners()
            start = part.x.astype(np.int64) * self.shape[0] + part.y
            stop = start + part.length
            begins = np.ones(len(start), dtype=bool)  # a run that goes on at the top of the next column
            begins[1:] = (start[1:] != stop[:-1]) | (owner[1:] != owner[:-1])
            ends = np.append(begins[1:], True) if len(begins) else begins
            start, length = start[begins], stop[ends] - start[begins]
            rles += rle_ops.from_runs(owner[begins], start, length, end - begin, self.shape)
        return rles

    def intersections(self, other: "MaskRuns") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The pairs of masks that share pixels: index here, index in ``other``, number of pixels; sorted.

        Sorted runs are compared, so the cost grows with the runs and their meetings, not with the pairs.
        """
        theirs = other._split()
        order = np.lexsort((theirs.y, theirs.x))
        key = ((theirs.x.astype(np.int64) << 32) + theirs.y)[order]
        their_owner = theirs.owners()[order]
        their_y, their_end = theirs.y[order], (theirs.y + theirs.length)[order]
        most, width = int(theirs.length.max(initial=1)), max(len(other), 1)
        my_owner = self.owners()
        found = [np.zeros((2, 0), dtype=np.int64)]
        for start in range(0, len(self.x), MANY):
            x, y, length, owner = (a[start : start + MANY] for a in (self.x, self.y, self.length, my_owner))
            column = x.astype(np.int64) << 32
            low = np.searchsorted(key, column + np.maximum(y - (most - 1), 0))
            num = np.maximum(np.searchsorted(key, column + y + length) - low, 0)
            total = np.cumsum(num)
            begin = 0
            while begin < len(num):
                done = total[begin - 1] if begin else 0
                end = max(int(np.searchsorted(total, done + MANY, side="right")), begin + 1)
                mine = np.repeat(np.arange(begin, end), num[begin:end])
                their = rle_ops.run_pixels(low[begin:end], num[begin:end])
                shared = np.minimum(y[mine] + length[mine], their_end[their])
                shared = shared - np.maximum(y[mine], their_y[their])
                hit = shared > 0
                found.append(_summed(owner[mine[hit]] * width + their_owner[their[hit]], shared[hit]))
                begin = end
        pairs, pixels = _summed(*np.concatenate(found, axis=1))  # a pair may be in two parts
        return pairs // width, pairs % width, pixels

    def _split(self) -> "MaskRuns":
        """The same masks in runs of at most LONGEST pixels."""
        parts = -(-self.length // LONGEST)
        if (parts <= 1).all():
            return self
        place = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
        y = np.repeat(self.y, parts) + place * LONGEST
        length = np.minimum(LONGEST, np.repeat(self.y + self.length, parts) - y)
        return MaskRuns._of_owners(
            np.repeat(self.owners(), parts), np.repeat(self.x, parts), y, length, len(self), self.shape
        )


def _shares(first: np.ndarray) -> Iterator[tuple[int, int]]:
    """(begin, end) of masks in a row that have about MANY runs, or of one that has more."""
    begin = 0
    while begin < len(first) - 1:
        end = int(np.searchsorted(first, first[begin] + MANY, side="right")) - 1
        yield begin, max(end, begin + 1)
        begin = max(end, begin + 1)


def _summed(pairs: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """The pairs, sorted, each once, and the sum of its pixels: int64 (2, n)."""
    once, index = np.unique(pairs, return_inverse=True)
    return np.stack([once, np.bincount(index, pixels, len(once)).astype(np.int64)])
