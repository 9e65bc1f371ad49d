"""Real images beside those that a model translated others to."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cellmm.structures import CellSample
from cellmm.visualization.display import to_display
from cellmm.visualization.montage import caption, fit, grid

PANEL = 800  # px of a column, at most


def draw_translations(samples: Sequence[CellSample]) -> np.ndarray:
    """A column per sample: its real image ``gt_image`` above, ``pred_image`` below, RGB uint8 (H, W, 3).

    Of several planes the first is shown. Both images of a column have the same contrast, that of the real
    one. Source: sparseseunet, figure 5.7.

    Raises:
        ValueError: no samples.
    """
    columns = []
    for sample in samples:
        both = [sample.get(key)[0].cpu().numpy() for key in ("gt_image", "pred_image")]
        name = Path(np.atleast_1d(sample.get("img_path", "?"))[0]).name
        columns.append(caption(fit(np.concatenate(in_contrast_of_first(both)), PANEL), name))
    return caption(grid(columns, max(len(columns), 1)), "real images above, translated ones below")


def in_contrast_of_first(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Images (H, W) of one size as RGB uint8 (H, W, 3), black and white where the first one has them.

    Examples:
        >>> real, made = in_contrast_of_first([np.array([[0.0, 1.0]]), np.array([[0.5, 9.0]])])
        >>> real[..., 0].tolist(), made[..., 0].tolist()
        ([[0, 255]], [[127, 255]])
    """
    limits = np.percentile(images[0], (0.5, 99.8))
    return np.split(to_display(np.concatenate(images).clip(*limits), (0, 100)), len(images))
