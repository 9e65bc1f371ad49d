"""Masks as COCO compressed RLE, ``{'size': [h, w], 'counts': str}``: what predictions and files hold.

The runs alternate background and cell down the columns of the image (column-major), background first. Beyond
what pycocotools offers, whole lists of RLEs are turned into run positions and back at once, so that no mask
has to be painted in full; what is not an RLE is an error before it reaches C code.
"""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from cellmm.errors import CellMMError

RLE = dict[str, Any]
_MAX_CHARS = 8  # of one number: 5 bits each, 40 bits


def encode(masks: np.ndarray) -> list[RLE]:
    """(N, H, W) bool or integer masks, nonzero = cell -> N RLEs."""
    masks = np.asarray(masks)
    if masks.ndim != 3 or 0 in masks.shape[1:]:
        raise ValueError(f"masks have shape {masks.shape}: (N, H, W) with at least one pixel is needed")
    if masks.dtype != bool:
        masks = _integers(masks, "masks") != 0
    if len(masks) == 0:
        return []
    columns = np.ascontiguousarray(masks.transpose(0, 2, 1)).view(np.uint8)
    return [_with_str(encoded) for encoded in coco_mask.encode(columns.transpose(2, 1, 0))]


def encode_one(mask: np.ndarray) -> RLE:
    """(H, W) bool or integer mask, nonzero = cell -> RLE.

    Examples:
        >>> encode_one(np.array([[0, 1], [1, 1]]))
        {'size': [2, 2], 'counts': '13'}
    """
    mask = np.asarray(mask)
    if mask.ndim != 2:
        raise ValueError(f"the mask has shape {mask.shape}: (H, W) is needed")
    return encode(mask[None])[0]


def decode(rles: Sequence[Mapping], shape: tuple[int, int] | None = None) -> np.ndarray:
    """N RLEs -> bool (N, H, W). ``shape`` (h, w) is needed for an empty list, and checked otherwise.

    Examples:
        >>> decode([{"size": [2, 2], "counts": "13"}]).astype(int).tolist()
        [[[0, 1], [1, 1]]]
    """
    h, w = shape = _common_shape(rles, shape)
    owner, start, length = to_runs(rles, shape)
    columns = np.zeros((len(rles), w, h), dtype=bool)
    columns.reshape(-1)[run_pixels(owner * (h * w) + start, length)] = True
    return np.ascontiguousarray(columns.transpose(0, 2, 1))


def area(rles: Sequence[Mapping]) -> np.ndarray:
    """Pixels of each mask, int64 (N,)."""
    # In parts: pycocotools.mask.area fails on 256 RLEs and more under NumPy 2.
    parts = [coco_mask.area(list(rles[i : i + 255])) for i in range(0, len(rles), 255)]
    return np.concatenate([np.zeros(0), *parts]).astype(np.int64)


def bbox(rles: Sequence[Mapping]) -> np.ndarray:
    """Tight boxes (x, y, w, h) in pixels, float64 (N, 4); zeros for an empty mask."""
    if len(rles) == 0:
        return np.zeros((0, 4))
    return np.asarray(coco_mask.toBbox(list(rles)), dtype=np.float64)


def iou(dt_rles: Sequence[Mapping], gt_rles: Sequence[Mapping]) -> np.ndarray:
    """Intersection over union of every pair, float64 (D, G) in [0, 1]; 0 where both masks are empty.

    Examples:
        >>> first, second = encode(np.array([[[1, 1, 0]], [[0, 1, 1]]]))
        >>> iou([first], [first, second]).round(3).tolist()
        [[1.0, 0.333]]
    """
    sizes = {tuple(mask["size"]) for mask in (*dt_rles, *gt_rles)}
    if len(sizes) > 1:
        raise CellMMError(f"masks of different image sizes {sorted(sizes)} cannot be compared")
    if len(dt_rles) == 0 or len(gt_rles) == 0:
        return np.zeros((len(dt_rles), len(gt_rles)))
    pairs = coco_mask.iou(list(dt_rles), list(gt_rles), [0] * len(gt_rles))
    return np.where(np.isfinite(pairs), pairs, 0.0)


def validate(rles: Sequence[Mapping], shape: tuple[int, int] | None = None) -> tuple[int, int]:
    """Check that each is a compressed RLE whose runs fill its image, all of one size; returns (h, w).

    Raises:
        CellMMError: names the number of the first wrong one in the list and what is wrong.
    """
    shape = _common_shape(rles, shape)
    _counts(rles, shape)
    return shape


def check_size(shape: Sequence[int]) -> None:
    """Raise CellMMError where masks of an image of ``shape`` (h, w) cannot be written as RLE."""
    if shape[0] < 1 or shape[1] < 1:
        raise CellMMError(f"an image of {list(shape)} pixels (h, w) cannot hold masks")
    if shape[0] * shape[1] >= 2**31:
        raise CellMMError(
            f"an image of {list(shape)} pixels (h, w) has 2^31 or more, too many for COCO RLE: write another "
            "format, or crop it"
        )


def to_runs(
    rles: Sequence[Mapping], shape: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The runs of cell pixels of all masks: (mask index, start, length), int64, by mask and then by start.

    ``start`` counts pixels column-major: pixel (y, x) is number x * h + y. The RLEs are validated.
    """
    shape = _common_shape(rles, shape)
    counts, owner, place = _counts(rles, shape)
    start = _restarting_cumsum(counts, owner) - counts
    of_cell = (place % 2 == 1) & (counts > 0)
    return owner[of_cell], start[of_cell], counts[of_cell]


def union(rles: Sequence[Mapping], shape: tuple[int, int]) -> np.ndarray:
    """The pixels of any of the masks of an image of ``shape`` (H, W): bool (H, W)."""
    _, start, length = to_runs(rles, shape)
    painted = np.zeros((shape[1], shape[0]), bool)
    columns = painted.reshape(-1)
    for first, end in zip(start.tolist(), (start + length).tolist(), strict=True):
        columns[first:end] = True
    return np.ascontiguousarray(painted.T)


def run_pixels(start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The numbers of all pixels of the runs, one run after another, int64 (sum of ``length``,)."""
    before = np.cumsum(length) - length
    return np.arange(length.sum()) + np.repeat(start - before, length)


def from_runs(
    owner: np.ndarray, start: np.ndarray, length: np.ndarray, num: int, shape: tuple[int, int]
) -> list[RLE]:
    """The inverse of ``to_runs``: ``num`` RLEs, those without a run empty.

    Runs have to be sorted by mask and then by start, and runs of one mask must not touch.
    """
    end = start + length
    before = np.concatenate([[0], end[:-1]])
    new = np.diff(owner, prepend=-1) != 0
    before[new] = 0
    counts = np.column_stack([start - before, length]).ravel()
    stop = 2 * np.cumsum(np.bincount(owner, minlength=num))
    last_end = np.zeros(num, dtype=np.int64)
    last_end[owner] = end  # the last run of each mask is assigned last
    rest = shape[0] * shape[1] - last_end
    size = [int(shape[0]), int(shape[1])]
    # A rest of 0 is left out, as pycocotools does.
    some = rest > 0
    counts = np.insert(counts, stop[some], rest[some])
    return [{"size": list(size), "counts": text} for text in _compress(counts, stop // 2, some)]


def _common_shape(rles: Sequence[Mapping], shape: tuple[int, int] | None) -> tuple[int, int]:
    if shape is None and len(rles) == 0:
        raise ValueError("an empty list of RLEs has no size: give shape=(h, w)")
    if shape is not None:
        shape = (int(shape[0]), int(shape[1]))
    for i, mask in enumerate(rles):
        if not isinstance(mask, Mapping) or "size" not in mask or "counts" not in mask:
            raise CellMMError(
                f"RLE {i} of {len(rles)} is not a dict with 'size' and 'counts': {str(mask)[:60]}"
            )
        if not isinstance(mask["counts"], str | bytes):
            raise CellMMError(
                f"RLE {i} of {len(rles)} has 'counts' of type {type(mask['counts']).__name__}: compress it "
                "with pycocotools.mask.frPyObjects(rle, h, w)"
            )
        try:
            h, w = map(operator.index, mask["size"])
        except (TypeError, ValueError):
            size = str(mask["size"])[:60]
            raise CellMMError(f"RLE {i} of {len(rles)} has size {size}: [h, w] is needed") from None
        shape = (h, w) if shape is None else shape
        if (h, w) != shape:
            raise CellMMError(
                f"RLE {i} of {len(rles)} is for an image of {[h, w]} pixels (h, w), not {list(shape)}"
            )
    check_size(shape)
    return shape


def _counts(rles: Sequence[Mapping], shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The run lengths of all RLEs in one int64 array, with the RLE that each belongs to and its place there.

    A number is written in groups of 5 bits, low ones first, as chr(48 + bits): bit 5 says that another group
    follows, bit 4 of the last group is the sign. From the fourth number on, it is the difference to the last
    but one.
    """
    texts = [
        mask["counts"].encode("utf-8", "surrogatepass") if isinstance(mask["counts"], str) else mask["counts"]
        for mask in rles
    ]
    sizes = np.array([len(text) for text in texts], dtype=np.int64)
    if (sizes == 0).any():
        raise CellMMError(f"RLE {int(np.argmin(sizes))} of {len(rles)} has empty 'counts'")
    if len(rles) == 0:
        return (np.zeros(0, np.int64),) * 3
    stops = np.cumsum(sizes)
    codes = np.frombuffer(b"".join(texts), dtype=np.uint8).astype(np.int64) - 48
    bad = (codes < 0) | (codes > 63)
    bad[stops - 1] |= codes[stops - 1] & 32 > 0
    ends = np.flatnonzero(codes & 32 == 0)
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    chars = ends - starts + 1
    bad[starts[chars > _MAX_CHARS]] = True
    if bad.any():
        i = int(np.searchsorted(stops, np.argmax(bad), side="right"))
        raise CellMMError(f"RLE {i} of {len(rles)} has damaged 'counts' {str(rles[i]['counts'])[:40]!r}")
    shift = 5 * (np.arange(len(codes)) - np.repeat(starts, chars))
    values = np.add.reduceat((codes & 31) << shift, starts)
    values -= np.where(codes[ends] & 16 > 0, np.int64(1) << 5 * chars, 0)

    owner = np.searchsorted(stops, ends, side="right")
    first = np.searchsorted(owner, np.arange(len(rles)))
    place = np.arange(len(owner)) - first[owner]
    for chain in (place % 2 == 1, (place % 2 == 0) & (place > 0)):
        values[chain] = _restarting_cumsum(values[chain], owner[chain])
    total = np.add.reduceat(values, first)
    wrong = total != shape[0] * shape[1]
    wrong[owner[values < 0]] = True
    if wrong.any():
        i = int(np.argmax(wrong))
        raise CellMMError(
            f"RLE {i} of {len(rles)} has runs of {total[i]} pixels or negative ones, its image "
            f"{list(shape)} has {shape[0] * shape[1]}: it is damaged or of another image"
        )
    return values, owner, place


def _compress(counts: np.ndarray, runs: np.ndarray, has_rest: np.ndarray) -> list[str]:
    """The inverse of ``_counts``; ``runs``: cumulated runs of cell pixels, ``has_rest``: one more count."""
    stops = 2 * runs + np.cumsum(has_rest)
    sizes = np.diff(stops, prepend=0)
    place = np.arange(len(counts)) - np.repeat(stops - sizes, sizes)
    values = counts.copy()
    later = np.flatnonzero(place > 2)
    values[later] -= counts[later - 2]
    # Groups of 5 bits until what is left, with its sign, fits in the last one: -16 <= value < 16.
    magnitude = np.where(values < 0, ~values, values)
    chars = np.ones(len(values), dtype=np.int64)
    for bits in range(4, 5 * _MAX_CHARS, 5):
        chars += magnitude >> bits > 0
    last = np.cumsum(chars)
    shift = 5 * (np.arange(last[-1] if len(last) else 0) - np.repeat(last - chars, chars))
    codes = (np.repeat(values, chars) >> shift) & 31
    codes |= 32
    codes[last - 1] &= 31
    text = (codes + 48).astype(np.uint8).tobytes().decode("ascii")
    cuts = np.concatenate([[0], last])[np.concatenate([[0], stops])].tolist()
    return [text[a:b] for a, b in zip(cuts[:-1], cuts[1:], strict=True)]


def _restarting_cumsum(values: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Cumulated sum that starts again with each new (sorted) owner."""
    total = np.cumsum(values)
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    before = total[first] - values[first]
    return total - np.repeat(before, np.diff(first, append=len(values)))


def _integers(values: np.ndarray, name: str) -> np.ndarray:
    if not np.issubdtype(values.dtype, np.integer):
        raise CellMMError(
            f"{name} are of type {values.dtype}: threshold them first, bool or integers are needed"
        )
    return values


def _with_str(encoded: Mapping) -> RLE:
    return {"size": [int(n) for n in encoded["size"]], "counts": encoded["counts"].decode("ascii")}
