"""Masks from the network's grid back to the pixels of the file."""

from collections.abc import Sequence

import cv2
import numpy as np

from cellmm.structures import rle


def masks_in_original_frame(
    probs: np.ndarray | Sequence[np.ndarray],
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
    (h, w), without padding) stays background.

    Args:
        probs: float32 (N, h', w') in [0, 1], or N windows (h_i, w_i) of such maps.
        stride: input pixels a pixel of ``probs`` stands for.
        to_original: 3x3, (x, y, 1) of the input -> of the original image, pixel centres at whole numbers.
        ori_shape: (h, w) of the file.
        mask_thr: a pixel belongs to the cell above this.
        origins: (N, 2), row and column on the whole map of each window's first pixel; outside of its window a
            cell has probability 0. None: ``probs`` are whole maps.
        grid_shape: (h', w') of the whole map, with ``origins``: a window that ends there goes on as it ends.

    Returns:
        COCO RLEs of the masks that keep a pixel, and their indices, int64.
    """
    grid_to_input = np.array(
        [[stride, 0, (stride - 1) / 2], [0, stride, (stride - 1) / 2], [0, 0, 1]], dtype=np.float64
    )
    to_original = np.asarray(to_original, dtype=np.float64)
    input_box = _mapped_box(to_original, -0.5, -0.5, img_shape[1] - 0.5, img_shape[0] - 0.5)
    limits = _clip(input_box, ori_shape)
    starts, lengths, kept = [], [], []
    for i, prob in enumerate(probs):
        rows, cols = np.flatnonzero((prob > mask_thr).any(1)), np.flatnonzero((prob > mask_thr).any(0))
        if not len(rows):
            continue
        row, col = (0, 0) if origins is None else origins[i]
        grid_to_original = to_original @ grid_to_input @ np.array([[1, 0, col], [0, 1, row], [0, 0, 1]])
        box = _mapped_box(grid_to_original, cols[0] - 1, rows[0] - 1, cols[-1] + 1, rows[-1] + 1)
        if origins is not None:
            prob = _with_border(prob, (row, col), grid_shape)
            grid_to_original = grid_to_original @ np.array([[1, 0, -1], [0, 1, -1], [0, 0, 1]])
        x0, y0, x1, y1 = _clip(box, ori_shape)
        x0, y0 = max(x0, limits[0]), max(y0, limits[1])
        x1, y1 = min(x1, limits[2]), min(y1, limits[3])
        if x0 >= x1 or y0 >= y1:
            continue
        shift = np.array([[1, 0, x0], [0, 1, y0], [0, 0, 1]], dtype=np.float64)
        window_to_grid = np.linalg.inv(grid_to_original) @ shift
        window = cv2.warpAffine(
            prob,
            window_to_grid[:2],
            (x1 - x0, y1 - y0),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        inside = window > mask_thr
        if not inside.any():
            continue
        start, length = _runs(inside, x0, y0, ori_shape[0])
        starts.append(start)
        lengths.append(length)
        kept.append(i)
    if not kept:
        return [], np.zeros(0, dtype=np.int64)
    owner = np.repeat(np.arange(len(kept)), [len(one) for one in starts])
    masks = rle.from_runs(owner, np.concatenate(starts), np.concatenate(lengths), len(kept), ori_shape)
    return masks, np.asarray(kept, dtype=np.int64)


def _runs(window: np.ndarray, x0: int, y0: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Start and length of the runs down the columns of an image of ``height``: a mask (h, w) at (y0, x0)."""
    columns = np.zeros((window.shape[1], height), dtype=np.int8)  # a run may go on in the next column
    columns[:, y0 : y0 + window.shape[0]] = window.T
    edges = np.flatnonzero(np.diff(columns.ravel(), prepend=0, append=0))
    return x0 * height + edges[::2], edges[1::2] - edges[::2]


def _with_border(window: np.ndarray, origin: Sequence[int], grid_shape: tuple[int, int]) -> np.ndarray:
    """One pixel more on each side: zero, but at the border of the map the window's own last row or column."""
    ends = [
        (first <= 0, first + side >= whole)
        for first, side, whole in zip(origin, window.shape, grid_shape, strict=True)
    ]
    padded = np.pad(window, 1)
    for axis, (low, high) in enumerate(ends):
        padded = padded.swapaxes(0, axis)
        if low:
            padded[0] = padded[1]
        if high:
            padded[-1] = padded[-2]
        padded = padded.swapaxes(0, axis)
    return np.ascontiguousarray(padded)


def _mapped_box(matrix: np.ndarray, x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    corners = matrix @ np.array([[x0, x1, x0, x1], [y0, y0, y1, y1], [1, 1, 1, 1]], dtype=np.float64)
    return np.array([*corners[:2].min(1), *corners[:2].max(1)])


def _clip(box: np.ndarray, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Box of pixel centres (x0, y0, x1, y1) -> half-open whole pixels inside an image of ``shape``."""
    low = np.ceil(box[:2] - 1e-6).astype(int)
    high = np.floor(box[2:] + 1e-6).astype(int) + 1
    return max(low[0], 0), max(low[1], 0), min(high[0], shape[1]), min(high[1], shape[0])
