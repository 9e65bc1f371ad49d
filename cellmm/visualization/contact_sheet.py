"""What a model sees in training: samples after augmentation, beside their targets."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from cellmm.structures import CellSample, LabelLayers
from cellmm.visualization.colors import class_colors, instance_colors
from cellmm.visualization.display import to_display
from cellmm.visualization.montage import caption, fit, grid, legend
from cellmm.visualization.overlay import draw_instances

PANEL = 320  # pixels of a panel's longer side, at most
CROSS = (255, 255, 255)


def draw_contact_sheet(items: Sequence[dict], classes: Sequence[str] = ()) -> np.ndarray:
    """Packed samples, one per row: the image, its cells, and each target that the sample has.

    Args:
        items: what a dataset of training gives: ``inputs``, tensor (C, H, W), and ``data_samples``, a
            CellSample.
        classes: names; if several, cells have the colour of their class, and a legend below names them.

    Returns:
        RGB uint8 (H', W', 3).

    Raises:
        ValueError: no samples, or an image that holds NaN or infinite values.
    """
    rows = [_panels(item["inputs"], item["data_samples"], len(classes)) for item in items]
    columns = max(map(len, rows), default=0)
    blank = np.full((1, 1, 3), 30, np.uint8)
    cells = [panel for row in rows for panel in [*row, *[blank] * (columns - len(row))]]
    text = (
        f"{len(items)} training samples as the model will see them, after augmentation. Outlines must lie on "
        "the cells."
    )
    page = caption(grid(cells, columns), text)
    return legend(page, classes, class_colors(len(classes))) if len(classes) > 1 else page


def _panels(inputs: torch.Tensor, sample: CellSample, num_classes: int) -> list[np.ndarray]:
    """An image (C, H, W) and its targets, each with a caption."""
    image = inputs.numpy().transpose(1, 2, 0)
    height, width = image.shape[:2]
    path = sample.get("img_path", "?")
    name = Path(path if isinstance(path, str) else path[0]).name
    return [
        caption(_enlarged(picture), text)
        for text, picture in (
            (f"{name} {height} x {width}, {image.shape[2]} channels", to_display(image)),
            *_targets(image, sample, num_classes),
        )
    ]


def _targets(image: np.ndarray, sample: CellSample, num_classes: int) -> Iterator[tuple[str, np.ndarray]]:
    """(what it is, RGB uint8 (h, w, 3)) of the targets that there are."""
    colors = np.zeros((0, 3), np.uint8)
    if "gt_layers" in sample:
        cells = LabelLayers(sample.gt_layers.numpy(), num=len(sample.gt_instances))
        colors = instance_colors(cells.bboxes(), sample.gt_instances.get("labels"), num_classes)
        yield (
            f"{len(cells)} cells, {int(cells.overlap().sum())} px of several (hatched)",
            _cells(image, cells, colors),
        )
    if "gt_points" in sample:
        points = sample.gt_points.numpy()
        known = np.isfinite(points).all(1)
        yield f"reference points of {int(known.sum())} cells", _points(image, points[known])
    if "gt_disks" in sample:
        disks = sample.gt_disks.numpy()
        number = len(np.unique(disks[disks > 0]))
        colored = np.concatenate([np.zeros((1, 3), np.uint8), colors])[disks]
        yield f"disks of {number} cells, {disks.shape[0]} x {disks.shape[1]}", colored
    if "gt_disk_weight" in sample:
        yield _heat("weight of the disk loss", sample.gt_disk_weight.numpy())
    for target in sorted(sample.gt_semantic.keys()) if "gt_semantic" in sample else ():
        yield _heat(target, getattr(sample.gt_semantic, target).numpy().astype(np.float32))
    if "gt_proximity" in sample:
        yield _heat("proximity: overlap is likely", sample.gt_proximity.numpy())
    if "gt_weight" in sample:
        yield _heat("weight of pixels in the loss of a map", sample.gt_weight.numpy())
    for name in ("center", "boundary", "distance"):
        if f"gt_{name}" in sample:
            yield _heat(f"map of the {name}", sample.get(f"gt_{name}").numpy())
    if "ignore" in sample and bool(sample.ignore.any()):
        yield _heat("ignored in the loss", sample.ignore.numpy().astype(np.float32))


def _cells(image: np.ndarray, cells: LabelLayers, colors: np.ndarray) -> np.ndarray:
    return draw_instances(image, cells, scale=_scale(*image.shape[:2]), colors=colors)


def _points(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    scale = _scale(*image.shape[:2])
    picture = draw_instances(
        image, LabelLayers.from_masks(np.zeros((0, *image.shape[:2]), bool)), scale=scale
    )
    picture = picture // 2  # so that the points stand out
    for y, x in points:
        place = round((float(x) + 0.5) * scale), round((float(y) + 0.5) * scale)
        cv2.drawMarker(picture, place, CROSS, cv2.MARKER_CROSS, 9, 1, cv2.LINE_AA)
    return picture


def _heat(text: str, values: np.ndarray) -> tuple[str, np.ndarray]:
    """A map (h, w) from black to white, with its range."""
    low, high = float(values.min()), float(values.max())
    grey = (255 * (values - low) / (high - low if high > low else 1)).round().astype(np.uint8)
    return f"{text}: {low:.2g} to {high:.2g}", cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)


def _scale(height: int, width: int) -> int:
    return max(PANEL // max(height, width), 1)


def _enlarged(picture: np.ndarray) -> np.ndarray:
    """At least half of PANEL and at most PANEL pixels on the longer side."""
    scale = _scale(*picture.shape[:2])
    if scale > 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    return fit(picture, PANEL)
