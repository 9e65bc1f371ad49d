"""Pictures of cells on their image: every cell whole, overlaps in sight."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from cellmm.structures import LabelLayers
from cellmm.visualization.colors import cell_colors
from cellmm.visualization.display import to_display

VIEW_SIZE = 1000  # pixels of the longer side that a picture gets at least, if enlarging 4 times is enough
FONT = cv2.FONT_HERSHEY_SIMPLEX
FONT_SIZE = 0.4


def draw_instances(
    image: np.ndarray,
    cells: LabelLayers | Sequence[Mapping],
    scores: Sequence[float] | None = None,
    *,
    scale: int | None = None,
    colors: np.ndarray | None = None,
    fill: float = 0.2,
) -> np.ndarray:
    """Draw cells on an image, each in its own colour, outlined and lightly filled; overlaps are hatched.

    Outlines run inside the cells, so that those of touching cells lie side by side; empty cells are
    not drawn.

    Args:
        image: (H, W) or (H, W, C) of any type and range; see ``to_display``. Of two channels (two focal
            planes, say) only the first is shown, in grey: colours under those of the cells would hide them.
        cells: N cells, as LabelLayers or COCO RLEs of the size of the image.
        scores: (N,), 0 to 1, written into the cells in per cent where they fit in the cell's box.
        scale: enlarge the picture by this whole number; None: so that small images can be looked at.
        colors: RGB uint8 (N, 3); None: ``cell_colors``.
        fill: how much of the colour covers the cell, 0 to 1.

    Returns:
        RGB uint8 (scale H, scale W, 3).

    Raises:
        ValueError: cells of another size than the image, or another number of scores or colours than cells.

    Examples:
        >>> masks = np.zeros((2, 4, 6), bool)
        >>> masks[0, 1:3, :4] = masks[1, 1:3, 3:] = True
        >>> draw_instances(np.zeros((4, 6)), LabelLayers.from_masks(masks), scale=10).shape
        (40, 60, 3)
    """
    picture = to_display(image[..., 0] if image.ndim == 3 and image.shape[2] == 2 else image)
    height, width = picture.shape[:2]
    if not isinstance(cells, LabelLayers):
        cells = LabelLayers.from_rles(cells, (height, width))
    if cells.shape != (height, width):
        raise ValueError(f"cells of an image of {cells.shape} pixels on one of {(height, width)}")
    for name, given in (("scores", scores), ("colors", colors)):
        if given is not None and len(given) != len(cells):
            raise ValueError(f"{len(given)} {name} for {len(cells)} cells")
    boxes = cells.bboxes().astype(int)
    colors = cell_colors(boxes) if colors is None else np.asarray(colors)
    scale = scale or view_scale(height, width)

    # A margin of one pixel of the image lets every outline close.
    picture = cv2.resize(picture, (width * scale, height * scale), interpolation=cv2.INTER_CUBIC)
    picture = cv2.copyMakeBorder(picture, *[scale] * 4, cv2.BORDER_REPLICATE)
    filled = picture.astype(np.float32)
    count = np.zeros(picture.shape[:2], np.uint16)
    drawn = []
    for i in range(len(cells)):
        x0, y0, x1, y1 = boxes[i]
        if x1 == x0:
            continue
        mask = _enlarged((cells.layers[:, y0:y1, x0:x1] == i + 1).any(0), scale)
        window = np.s_[y0 * scale : (y1 + 2) * scale, x0 * scale : (x1 + 2) * scale]
        filled[window][mask] += fill * (colors[i] - filled[window][mask])
        count[window] += mask
        drawn.append((i, mask, (int(x0) * scale, int(y0) * scale)))
    filled[_hatching(count > 1, scale)] = 255
    picture = filled.round().astype(np.uint8)
    for i, mask, (x, y) in drawn:
        window = picture[y : y + mask.shape[0], x : x + mask.shape[1]]
        window[_outline(mask, 1 + (scale > 2))] = colors[i]
    if scores is not None:
        for i, mask, corner in drawn:
            _write_inside(picture, f"{100 * scores[i]:.0f}", mask, corner)
    return picture[scale:-scale, scale:-scale].copy()


def view_scale(height: int, width: int) -> int:
    """The whole number, 1 to 4, by which a small image is enlarged."""
    return int(np.clip(-(-VIEW_SIZE // max(height, width)), 1, 4))


def _enlarged(mask: np.ndarray, scale: int) -> np.ndarray:
    """bool (h, w) -> bool (scale (h + 2), scale (w + 2)), with a margin of a pixel and without stairs."""
    mask = np.pad(mask, 1).astype(np.float32)
    return cv2.resize(mask, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR) >= 0.5


def _outline(mask: np.ndarray, width: int) -> np.ndarray:
    """bool (h, w): the pixels of the mask that are less than ``width`` from its edge, holes included."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return mask & (cv2.erode(mask.astype(np.uint8), cross, iterations=width) == 0)


def _hatching(area: np.ndarray, scale: int) -> np.ndarray:
    """bool (H, W): diagonal lines in ``area``."""
    y, x = np.nonzero(area)
    lines = np.zeros_like(area)
    lines[y, x] = (x + y) % (4 + 2 * scale) < 1 + (scale > 2)
    return lines


def _write_inside(picture: np.ndarray, text: str, mask: np.ndarray, corner: tuple[int, int]) -> None:
    """Write where the cell is widest, if its box has room for it."""
    (width, height), _ = cv2.getTextSize(text, FONT, FONT_SIZE, 1)
    if min(mask.shape) < height or max(mask.shape) < width:
        return
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
    y, x = np.unravel_index(np.argmax(depth), depth.shape)
    x = int(np.clip(x + corner[0] - width // 2, 0, max(picture.shape[1] - width, 0)))
    y = int(np.clip(y + corner[1] + height // 2, height, picture.shape[0]))
    cv2.putText(picture, text, (x, y), FONT, FONT_SIZE, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(picture, text, (x, y), FONT, FONT_SIZE, (255, 255, 255), 1, cv2.LINE_AA)
