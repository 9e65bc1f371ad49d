"""Masks and maps on the network's grid are brought back to the pixels of the file."""

from collections.abc import Sequence

import cv2
import numpy as np

from cellmm.structures import rle


def masks_in_original_frame(
    probs: Sequence[np.ndarray],
    stride: float,
    img_shape: tuple[int, int],
    to_original: np.ndarray,
    ori_shape: tuple[int, int],
    mask_thr: float = 0.5,
    origins: np.ndarray | None = None,
    grid_shape: tuple[int, int] | None = None,
) -> tuple[list[dict], np.ndarray]:
    """Resample probabilities bilinearly at the original pixels, threshold, encode.

    Each mask is resampled within its own box only. What lies outside the network's image (``img_shape``
    (h, w), without padding) stays background. Beyond the border of the map its outermost pixels are repeated;
    outside a window but inside the map the probability is 0.

    Args:
        probs: N maps, float32 (h', w') in [0, 1], of the whole map or, with ``origins``, of windows of it.
        stride: input pixels per pixel of ``probs``.
        to_original: 3x3, (x, y, 1) of the input -> of the original image, pixel centres at whole numbers.
        ori_shape: (h, w) of the file.
        mask_thr: a pixel belongs to the cell above this.
        origins: int (N, 2), row and column of the windows' first pixels; they may lie outside the map.
        grid_shape: (h, w) of the map that the windows are cut from, needed with ``origins``.

    Returns:
        COCO RLEs of the masks that keep a pixel, and their indices, int64.
    """
    if origins is not None and grid_shape is None:
        raise ValueError("windows (origins) need the grid_shape that they are cut from")
    grid_to_original = _grid_to_original(stride, to_original)
    original_to_grid = np.linalg.inv(grid_to_original)
    limits = _image_box(img_shape, to_original, ori_shape)
    starts, lengths, kept = [], [], []
    for i, prob in enumerate(probs):
        origin = (0, 0) if origins is None else origins[i]
        part = _around_mask(prob, origin, prob.shape if grid_shape is None else grid_shape, mask_thr)
        if part is None:
            continue
        patch, row, col = part
        box = _mapped_box(grid_to_original, col, row, col + patch.shape[1] - 1, row + patch.shape[0] - 1)
        x0, y0, x1, y1 = _clip(box, ori_shape)
        x0, y0 = max(x0, limits[0]), max(y0, limits[1])
        x1, y1 = min(x1, limits[2]), min(y1, limits[3])
        if x0 >= x1 or y0 >= y1:
            continue
        window = _resample(patch, (row, col), original_to_grid, (x0, y0, x1, y1))
        inside = window > mask_thr
        if not inside.any():
            continue
        start, length = _runs(inside, x0, y0, ori_shape[0])
        starts.append(start)
        lengths.append(length)
        kept.append(i)
    if not kept:
        return [], np.zeros(0, dtype=np.int64)
    owner = np.repeat(np.arange(len(kept)), [len(start) for start in starts])
    masks = rle.from_runs(owner, np.concatenate(starts), np.concatenate(lengths), len(kept), ori_shape)
    return masks, np.asarray(kept, dtype=np.int64)


def map_in_original_frame(
    probs: np.ndarray,
    stride: float,
    img_shape: tuple[int, int],
    to_original: np.ndarray,
    ori_shape: tuple[int, int],
) -> np.ndarray:
    """A map (h', w') of the network's image, without padding, resampled bilinearly at the original pixels.

    Beyond its border its outermost pixels are repeated; outside of the network's image it is 0. The arguments
    are those of ``masks_in_original_frame``. -> float32 ``ori_shape``.
    """
    x0, y0, x1, y1 = box = _image_box(img_shape, to_original, ori_shape)
    whole = np.zeros(ori_shape, dtype=np.float32)
    if x0 < x1 and y0 < y1:
        original_to_grid = np.linalg.inv(_grid_to_original(stride, to_original))
        whole[y0:y1, x0:x1] = _resample(
            np.ascontiguousarray(probs, dtype=np.float32), (0, 0), original_to_grid, box
        )
    return whole


def _grid_to_original(stride: float, to_original: np.ndarray) -> np.ndarray:
    """3x3: (x, y, 1) of a map at ``stride`` -> of the original image."""
    centre = (stride - 1) / 2
    grid_to_input = np.array([[stride, 0, centre], [0, stride, centre], [0, 0, 1]], dtype=np.float64)
    return np.asarray(to_original, dtype=np.float64) @ grid_to_input


def _image_box(
    img_shape: tuple[int, int], to_original: np.ndarray, ori_shape: tuple[int, int]
) -> tuple[int, int, int, int]:
    """(x0, y0, x1, y1), ends excluded: the original pixels that the network's image covers."""
    matrix = np.asarray(to_original, dtype=np.float64)
    return _clip(_mapped_box(matrix, -0.5, -0.5, img_shape[1] - 0.5, img_shape[0] - 0.5), ori_shape)


def _resample(
    patch: np.ndarray, first: Sequence[int], original_to_grid: np.ndarray, box: Sequence[int]
) -> np.ndarray:
    """The original pixels of ``box`` from a patch of the map whose first row and column are ``first``."""
    x0, y0, x1, y1 = box
    box_to_patch = original_to_grid @ np.array([[1, 0, x0], [0, 1, y0], [0, 0, 1]], dtype=np.float64)
    box_to_patch[:2, 2] -= first[::-1]
    left, top = np.rint(box_to_patch[:2, 2]).astype(int)
    if np.array_equal(box_to_patch, [[1, 0, left], [0, 1, top], [0, 0, 1]]):
        part = patch[max(top, 0) : top + y1 - y0, max(left, 0) : left + x1 - x0]
        if part.shape == (y1 - y0, x1 - x0):  # pixel for pixel
            return part
    return cv2.warpAffine(
        patch,
        box_to_patch[:2],
        (x1 - x0, y1 - y0),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _around_mask(
    prob: np.ndarray, origin: Sequence[int], shape: Sequence[int], mask_thr: float
) -> tuple[np.ndarray, int, int] | None:
    """The pixels above ``mask_thr`` and one more on each side, and the patch's first row and column on the
    map of ``shape``; None: no pixel is above."""
    first = [max(0, -int(o)) for o in origin]
    end = [min(side, whole - int(o)) for side, whole, o in zip(prob.shape, shape, origin, strict=True)]
    inside = prob[first[0] : max(end[0], 0), first[1] : max(end[1], 0)] > mask_thr
    spans, begins = [], []
    for axis in (0, 1):
        hit = np.flatnonzero(inside.any(1 - axis))
        if not len(hit):
            return None
        spans.append((first[axis] + int(hit[0]) - 1, first[axis] + int(hit[-1]) + 2))
        begins.append(int(origin[axis]) + spans[axis][0])
    if all(low >= 0 and high <= last for (low, high), last in zip(spans, end, strict=True)):
        rows, cols = (slice(low, high) for low, high in spans)
        return np.ascontiguousarray(prob[rows, cols], dtype=np.float32), begins[0], begins[1]
    index = [
        (np.arange(low, high) + int(o)).clip(0, whole - 1) - int(o)
        for (low, high), o, whole in zip(spans, origin, shape, strict=True)
    ]
    known = [(line >= 0) & (line < side) for line, side in zip(index, prob.shape, strict=True)]
    rows, cols = (line.clip(0, side - 1) for line, side in zip(index, prob.shape, strict=True))
    patch = prob[np.ix_(rows, cols)] * (known[0][:, None] & known[1])
    return np.ascontiguousarray(patch, dtype=np.float32), begins[0], begins[1]


def _runs(inside: np.ndarray, x0: int, y0: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Start and length of the runs of a mask (h, w) at (y0, x0) down the columns of the whole image."""
    rows = inside.shape[0]
    side = rows if rows == height else rows + 1  # a run ends with its column, unless that goes on in the next
    columns = np.zeros((inside.shape[1], side), dtype=np.int8)
    columns[:, :rows] = inside.T
    edges = np.flatnonzero(np.diff(columns.ravel(), prepend=np.int8(0), append=np.int8(0)))
    col, row = np.divmod(edges[::2].astype(np.int64), side)
    return (x0 + col) * height + y0 + row, (edges[1::2] - edges[::2]).astype(np.int64)


def _mapped_box(matrix: np.ndarray, x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    corners = matrix @ np.array([[x0, x1, x0, x1], [y0, y0, y1, y1], [1, 1, 1, 1]], dtype=np.float64)
    return np.array([*corners[:2].min(1), *corners[:2].max(1)])


def _clip(box: np.ndarray, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Box of pixel centres (x0, y0, x1, y1) -> half-open whole pixels inside an image of ``shape``."""
    low = np.ceil(box[:2] - 1e-6).astype(int)
    high = np.floor(box[2:] + 1e-6).astype(int) + 1
    return max(low[0], 0), max(low[1], 0), min(high[0], shape[1]), min(high[1], shape[0])
