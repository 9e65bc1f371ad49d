"""Pictures of the cells on their image."""

import base64
from collections import Counter
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.files import atomic_path
from cellmm.io.sources import ImageSource
from cellmm.registry import WRITERS
from cellmm.results.instances import Instances
from cellmm.results.writers.base import readable
from cellmm.results.writers.rois import EMPTY
from cellmm.structures import outlines_of
from cellmm.visualization import (
    class_colors,
    draw_instances,
    encode_picture,
    instance_colors,
    legend,
    save_picture,
    to_display,
)

MAX_SIDE = 4000  # pixels of a picture, which takes up to 60 bytes per pixel while it is drawn
BAND = 1024  # rows that are read at once
SMALLER = f"pictures in full size (sides above {MAX_SIDE} pixels are drawn smaller)"


@WRITERS.register_module()
class PngWriter:
    """The image with its cells outlined and overlaps hatched, for the eye.

    A cell has a colour of its own; with several classes that of its class, and a legend below names them.
    """

    option = "png"
    folder = "overlays"
    suffix = ".png"

    def write(self, path: Path, instances: Instances, source: ImageSource | None) -> Counter[str]:
        step, image = _pixels(instances, source)
        masks = instances.masks.thinned(step) if step > 1 else instances.masks
        try:
            colors = instance_colors(masks.boxes()[:, [1, 0, 3, 2]], instances.labels, len(instances.classes))
            drawn = draw_instances(image, masks.to_rles(), instances.scores.tolist(), colors=colors)
        except ValueError as error:
            raise CellMMError(f"{instances.name}: it cannot be drawn ({error}): leave out png") from error
        if len(instances.classes) > 1:
            drawn = legend(drawn, instances.classes, class_colors(len(instances.classes)))
        save_picture(path, drawn)
        return Counter({SMALLER: int(step > 1)})


@WRITERS.register_module()
class SvgWriter:
    """The image with a path per cell, for browsers and Inkscape; overlap, holes and parts are kept.

    The image is embedded as PNG. A path's title, which browsers show under the pointer, is the number, the
    class and the score of the cell. With several classes a cell has the colour of its class.
    """

    option = "svg"
    folder = "svg"
    suffix = ".svg"

    def write(self, path: Path, instances: Instances, source: ImageSource | None) -> Counter[str]:
        step, image = _pixels(instances, source)
        try:
            png = base64.b64encode(encode_picture(to_display(image))).decode("ascii")
        except ValueError as error:
            raise CellMMError(f"{instances.name}: it cannot be drawn ({error}): leave out svg") from error
        height, width = instances.shape
        boxes = instances.masks.boxes()[:, [1, 0, 3, 2]]
        colors = instance_colors(boxes, instances.labels, len(instances.classes)).tolist()
        scores, written = instances.scores.tolist(), 0
        with atomic_path(path) as tmp, open(tmp, "w", encoding="utf-8") as file:
            file.write(
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">\n'
                f"<title>{escape(readable(instances.name))}</title>\n"
                f'<image width="{width}" height="{height}" href="data:image/png;base64,{png}"/>\n'
                '<g fill-opacity="0.2" fill-rule="evenodd">\n'
            )
            for i, name in enumerate(instances.class_names()):
                rings = [ring for part in outlines_of(instances.masks, i) for ring in part]
                if not rings:
                    continue
                written += 1
                red, green, blue = colors[i]
                lines = " ".join(f"M{' '.join(f'{x},{y}' for x, y in ring.tolist())}Z" for ring in rings)
                file.write(
                    f'<path id="cell{i + 1}" fill="#{red:02x}{green:02x}{blue:02x}" '
                    f'stroke="#{red:02x}{green:02x}{blue:02x}" vector-effect="non-scaling-stroke" '
                    f'd="{lines}"><title>{i + 1} {escape(readable(name))} {scores[i]:.3f}</title></path>\n'
                )
            file.write("</g>\n</svg>\n")
        return Counter({EMPTY: len(instances) - written, SMALLER: int(step > 1)})


def _pixels(instances: Instances, source: ImageSource | None) -> tuple[int, np.ndarray]:
    """Every step-th row and column of the image: step, and (h, w, C); black without a source."""
    height, width = instances.shape
    step = max(-(-max(height, width) // MAX_SIDE), 1)
    if source is None:
        return step, np.zeros((-(-height // step), -(-width // step)), dtype=np.uint8)
    if step == 1:
        return step, source.read(0, 0, height, width)
    rows = BAND // step * step or step
    bands = (source.read(top, 0, min(top + rows, height), width) for top in range(0, height, rows))
    return step, np.concatenate([band[::step, ::step] for band in bands])
