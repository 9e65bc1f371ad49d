"""Pictures of an image with the cells of the truth and of each result, side by side."""

import numpy as np

from cellmm.comparison.comparison import Comparison
from cellmm.errors import CellMMError
from cellmm.io.images import read_image
from cellmm.visualization.error_page import cell_kinds, draw_kinds, prediction_kinds
from cellmm.visualization.montage import caption, fit, grid

PANEL = 640  # pixels of a panel's longer side
COLUMNS = 3


def draw_side_by_side(comparison: Comparison, place: int) -> tuple[np.ndarray, str | None]:
    """The truth, then each result with its right and wrong cells and the cells that it misses, RGB uint8.

    Returns:
        the picture, and why the image itself is not in it; None: it is.
    """
    sample = comparison.entries[0].samples[place]
    shape = comparison.truth.shape(place)
    absent = None
    try:
        image = read_image(sample["img_path"], sample.get("read_options"))
        if image.shape[:2] != shape:
            raise CellMMError(f"{sample['img_path']} has {image.shape[:2]} pixels, its annotation {shape}")
    except CellMMError as error:
        image, absent = np.zeros(shape, np.uint8), str(error)
    parts = []
    for i, entry in enumerate(comparison.entries):
        classes, errors = entry.errors(place)
        cells = cell_kinds(classes, errors)
        if i == 0:
            plain = [(mask, kind if kind == "ignored" else "right") for mask, kind in cells]
            parts.append(_panel(image, plain, f"truth: {len(plain)} cells"))
        lost = [(mask, kind) for mask, kind in cells if kind == "missed"]
        found = prediction_kinds(classes, errors)
        text = f"{entry.name}: {len(found)} cells, S {_number(entry.images[place]['S'])}"
        parts.append(_panel(image, [*lost, *found], text))
    return grid(parts, COLUMNS), absent


def _panel(image: np.ndarray, instances: list[tuple[dict, str]], text: str) -> np.ndarray:
    return caption(fit(draw_kinds(image, instances, PANEL), PANEL), text)


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"
