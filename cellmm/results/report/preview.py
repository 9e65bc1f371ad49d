"""Small pictures of images of any size with the outlines of their cells."""

import cv2
import numpy as np

from cellmm.io.sources import ImageSource
from cellmm.results.instances import Instances
from cellmm.structures import MaskRuns
from cellmm.visualization import class_colors, draw_instances, fit, instance_colors, legend

LARGE = 1200  # pixels of the longer side of the picture that opens
SMALL = 200
QUALITY = 82  # of JPEG, 0 to 100
STRIP = 4_000_000  # values of an image that are read at once


def draw_preview(source: ImageSource, instances: Instances, size: int = LARGE) -> np.ndarray:
    """Draw the cells on their image, shrunk to ``size`` pixels at most; an image is read strip by strip.

    With several classes cells have the colour of their class, and a legend below names them.

    Returns:
        RGB uint8 (h, w, 3).

    Raises:
        ValueError: the image holds NaN or infinite values.
    """
    height, width = source.shape
    factor = -(-max(height, width) // size)
    image = np.concatenate(
        [
            _shrunk(source.read(top, 0, min(top + rows, height), width), factor)
            for rows in [max(STRIP // (width * source.num_channels * factor), 1) * factor]
            for top in range(0, height, rows)
        ]
    )
    masks = _shrunk_masks(instances.masks, factor, image.shape[:2]) if factor > 1 else instances.masks
    num_classes = len(instances.classes)
    colors = instance_colors(masks.boxes()[:, [1, 0, 3, 2]], instances.labels, num_classes)
    picture = fit(draw_instances(image, masks.to_rles(), colors=colors), size)
    return legend(picture, instances.classes, class_colors(num_classes)) if num_classes > 1 else picture


def to_jpeg(picture: np.ndarray) -> bytes:
    """An RGB picture as JPEG."""
    return cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def _shrunk(strip: np.ndarray, factor: int) -> np.ndarray:
    """(h, w, C) -> float32 (ceil(h / factor), ceil(w / factor), C): the means of squares of the image."""
    if factor == 1:
        return strip
    rows, columns = (np.arange(0, side, factor) for side in strip.shape[:2])
    total = np.add.reduceat(np.add.reduceat(strip, rows, axis=0, dtype=np.float64), columns, axis=1)
    num = np.diff(rows, append=strip.shape[0])[:, None] * np.diff(columns, append=strip.shape[1])
    return (total / num[..., None]).astype(np.float32)


def _shrunk_masks(masks: MaskRuns, factor: int, shape: tuple[int, int]) -> MaskRuns:
    """The masks in large pixels, each of those cells that cover any of its ``factor`` x ``factor`` pixels."""
    crops, corners = [], []
    for i in range(len(masks)):
        crop, corner = masks.crop(i)
        if not crop.size:
            crops.append(crop)
            corners.append((0, 0))
            continue
        crop = np.pad(crop, [(start % factor, 0) for start in corner])
        rows, columns = (np.arange(0, side, factor) for side in crop.shape)
        crops.append(np.logical_or.reduceat(np.logical_or.reduceat(crop, rows, axis=0), columns, axis=1))
        corners.append((corner[0] // factor, corner[1] // factor))
    return MaskRuns.from_crops(crops, corners, shape)
