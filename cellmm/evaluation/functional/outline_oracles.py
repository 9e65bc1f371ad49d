"""What poor outlines cost: predictions corrected by one part of the truth, or made wider and narrower.

A mask may be wrong where its cell ends and background begins, or where its cell ends and another one begins.
Each row of ``OUTLINE_ROWS`` mends one of these alone, so that the AP of the rows tells which of them to work
on.
"""

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from cellmm.structures import MaskRuns, rle
from cellmm.structures.semantic_maps import disk

from .error_analysis import ClassInImage, Errors, repair

OUTLINE_ROWS = {
    "ranking": "ranking by true IoU",
    "background": "outline against background",
    "grown": "the same, grown by 1 px within the cells",
    "between": "outline between cells",
    "dilated": "masks dilated by 1 px",
    "eroded": "masks eroded by 1 px",
}
AROUND = disk(1)  # a pixel and its four neighbours


def _dilated(mask: np.ndarray) -> np.ndarray:
    return cv2.dilate(mask.view(np.uint8), AROUND).view(bool)


# a mask, the cells and the predictions there, bool (h, w) -> the mask as it becomes
CHANGES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "background": lambda mask, cells, found: mask & cells,
    "grown": lambda mask, cells, found: (mask | (_dilated(mask) & ~found)) & cells,
    "dilated": lambda mask, cells, found: _dilated(mask),
    "eroded": lambda mask, cells, found: cv2.erode(mask.view(np.uint8), AROUND).view(bool),
}


def outline_oracle(
    image: Mapping[int, ClassInImage], errors: Mapping[int, Errors], what: str
) -> dict[int, ClassInImage]:
    """The predictions of all classes of an image, {label: class}, as changed by one of OUTLINE_ROWS.

    - ranking: masks stay; the best order, see ``repair``.
    - background: pixels that belong to no cell of any class are taken away.
    - grown: first each mask is dilated by 1 px, into pixels that no prediction has; then the same. No mask is
      told which cell is its own.
    - between: pixels of other cells alone are taken away, and those of the mask's cell are added where
      another prediction has them; the cell is that of ``one_to_one``, and a mask without one stays as it is.
      Pixels of no cell stay, and so do gaps that no prediction fills. Crowd regions do not count as cells.
    - dilated, eroded: by 1 px in the four directions; the edge of the image is not an outline.

    Scores stay but for ``ranking``. A mask that loses all its pixels goes, as empty masks of models do: a
    false alarm that lies on no cell. Pixels of crowd regions count as pixels of cells.
    """
    if what not in OUTLINE_ROWS:
        raise ValueError(f"what is {what!r}: one of {tuple(OUTLINE_ROWS)} is allowed")
    if what == "ranking":
        return {label: repair(found, errors[label], what, top_score=0) for label, found in image.items()}
    shape = next((mask["size"] for found in image.values() for mask in (*found.masks, *found.gt_masks)), None)
    if shape is None:
        return dict(image)
    cells = [
        mask
        for found in image.values()
        for mask, crowd in zip(found.gt_masks, found.gt_crowd, strict=True)
        if not (crowd and what == "between")
    ]
    cells = rle.union(cells, shape)
    predictions = rle.union([mask for found in image.values() for mask in found.masks], shape)
    changed = {}
    for label, found in image.items():
        masks = MaskRuns.from_rles(found.masks, shape)
        own = MaskRuns.from_rles(found.gt_masks, shape)
        boxes, cell_boxes = masks.boxes(), own.boxes()
        crops, corners = [], []
        for i, j in enumerate(errors[label].own_cell.tolist()):
            if what == "between":
                both = boxes[[i]] if j < 0 else np.stack([boxes[i], cell_boxes[j]])
                box = [*both[:, :2].min(0), *both[:, 2:].max(0)]
            else:
                box = np.clip(boxes[i] + (-1, -1, 1, 1), 0, (*shape, *shape))
            place = np.s_[box[0] : box[2], box[1] : box[3]]
            pixels = masks.window(i, box)
            if what in CHANGES:
                pixels = CHANGES[what](pixels, cells[place], predictions[place])
            elif j >= 0:
                cell = own.window(j, box)
                pixels = (pixels & (cell | ~cells[place])) | (cell & predictions[place])
            crops.append(pixels)
            corners.append(box[:2])
        filled = np.array([crop.any() for crop in crops], bool)
        masks = MaskRuns.from_crops(crops, corners, shape).select(filled)
        changed[label] = found.changed(masks.to_rles(), found.scores[filled])
    return changed
