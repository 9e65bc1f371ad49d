"""A picture of some images of a synthetic set."""

from pathlib import Path

import numpy as np

from cellmm.io.images import read_image
from cellmm.io.layered_tiff import read_label_layers
from cellmm.synthesis.fields import Field, FieldOptions, paste_field
from cellmm.synthesis.sources import Sources
from cellmm.visualization import caption, draw_instances, fit, grid, to_display

PANEL = 480  # px of a panel's longer side, at most
SHOWN = 6


def draw_sheet(folder: Path, sources: Sources, options: FieldOptions, number: int) -> np.ndarray:
    """Pasted fields, each beside what the generator made of it with the outlines of the cells.

    Args:
        folder: of the set.
        number: of its images; up to six are shown, spread over all of them.

    Returns:
        RGB uint8 (H, W, 3), two images per row.
    """
    shown = np.unique(np.linspace(1, number, min(SHOWN, number)).round().astype(int)).tolist()
    panels = [panel for i in shown for panel in _panels(folder, i, paste_field(sources, i, options))]
    text = f"{len(shown)} of {number} images: pasted cells, and what was made of them"
    return caption(grid(panels, min(len(panels), 4)), text)


def _panels(folder: Path, number: int, field: Field) -> list[np.ndarray]:
    name = f"{number:04d}.tif"
    image = read_image(folder / "images" / name, z="channels")
    cells = read_label_layers(folder / "layers" / name)
    text = f"{name}: {len(cells)} cells, overlap hatched"
    return [
        caption(fit(to_display(field.image), PANEL), f"{name}: pasted"),
        caption(fit(draw_instances(image, cells, scale=1), PANEL), text),
    ]
