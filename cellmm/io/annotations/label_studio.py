"""Label Studio: its exports JSON and JSON-MIN."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.annotations import outlines
from cellmm.io.annotations.base import ImageAnnotation
from cellmm.io.annotations.collected import (
    BOXES,
    CollectedCells,
    checked_cells,
    class_name,
    dicts,
    file_name,
    stated_shape,
)
from cellmm.io.annotations.label_studio_brush import decode_brush
from cellmm.io.annotations.png_masks import decode_png
from cellmm.io.coco_segmentations import short
from cellmm.io.file_index import IMAGE_SUFFIXES
from cellmm.io.json_file import json_keys, read_json
from cellmm.registry import ANNOTATION_READERS

CURE = "draw cells by PolygonLabels, BrushLabels or EllipseLabels"
PREFIX = re.compile(r"^[0-9a-f]{8}-(?=.)")  # of uploaded files
OTHERS = "annotations of the same image by others"


@ANNOTATION_READERS.register_module()
class LabelStudioReader:
    """Polygons, ellipses and brushes, one region per cell.

    Of several annotations of an image, the one marked as ground truth is read, else the first. Predictions
    of models and tasks that nobody annotated are left out. An uploaded image loses the
    prefix that Label Studio gave its name.
    """

    title = "Label Studio json"
    suffixes = (".json",)

    def recognises(self, path: Path) -> bool:
        top, keys = json_keys(path)
        full = bool(keys[1] & {"annotations", "completions"}) and ("data" in keys[1] or "result" in keys[3])
        small = bool(keys[3] & {"original_width", "rle"}) or {"annotator", "lead_time"} <= keys[1]
        return top == "[" and (full or small)

    def read(self, path: Path) -> list[ImageAnnotation]:
        tasks = dicts(path, read_json(path), "tasks")
        if not tasks:
            raise CellMMError(f"{path} holds no task: annotate, and export it again")
        found: dict[str, CollectedCells] = {}
        bare = 0
        for number, task in enumerate(tasks):
            what = f"task {task.get('id', number)}"
            data = task["data"] if isinstance(task.get("data"), dict) else task
            image = _image(data)
            if (key := what) in found:  # JSON-MIN has an entry for each annotation of a task
                found[key].leave_out(OTHERS)
                continue
            cells = CollectedCells(path, image)
            results = _chosen(task, cells, what) if data is not task else _small(task)
            if results is None:
                bare += 1
                continue
            found[key] = cells
            for region in _regions(path, results, what):
                _read_region(cells, region, what)
        if not found:
            raise CellMMError(
                f"{path}: nobody annotated its {len(tasks)} tasks; annotate, and export it again"
            )
        next(iter(found.values())).leave_out("tasks that nobody annotated", bare)
        return checked_cells(path, list(found.values()), CURE)


def _chosen(task: dict, cells: CollectedCells, what: str) -> list | None:
    """The results of the annotation that counts, None where there is none: the task is still to be done."""
    annotations = task.get("annotations", task.get("completions", []))
    annotations = dicts(cells.path, annotations, f"annotations of {what}")
    kept = [annotation for annotation in annotations if not annotation.get("was_cancelled")]
    cells.leave_out("annotations that were skipped", len(annotations) - len(kept))
    predictions = task.get("predictions")
    cells.leave_out("predictions of a model", len(predictions) if isinstance(predictions, list) else 0)
    kept.sort(key=lambda annotation: not annotation.get("ground_truth"))
    cells.leave_out(OTHERS, len(kept[1:]))
    return kept[0].get("result", []) if kept else None


def _small(task: dict) -> list[dict] | None:
    """The regions of JSON-MIN, which has a list for each tag with regions; None: the task is to be done."""
    if not {"annotation_id", "annotator"} & task.keys():
        return None
    lists = [value for value in task.values() if isinstance(value, list)]
    return [
        {"value": region, **{key: region.get(key) for key in ("original_width", "original_height")}}
        for values in lists
        for region in values
        if isinstance(region, dict) and "original_width" in region
    ]


def _regions(path: Path, results: Any, what: str) -> Iterator[dict]:
    """One dict per region: its shape may come apart from its label, in two results with one id."""
    by_id: dict[Any, dict] = {}
    for number, result in enumerate(dicts(path, results, f"results of {what}")):
        value = result.get("value")
        if not isinstance(value, dict) or result.get("original_width") is None:
            continue  # a relation, or a choice for the whole image
        if not isinstance(key := result.get("id"), str | int):
            key = (number,)
        region = by_id.setdefault(key, {**result, "value": {}})
        region["value"] = {**region["value"], **value}
    yield from by_id.values()


def _read_region(cells: CollectedCells, region: dict, what: str) -> None:
    value = region["value"]
    what = f"{what}, region {region.get('id', len(cells.cells))}"
    if region.get("image_rotation"):
        raise CellMMError(
            f"{cells.path}: {what} is on an image turned by {short(region['image_rotation'])} degrees; turn "
            "the image itself, and annotate that"
        )
    if region.get("item_index"):
        raise CellMMError(f"{cells.path}: {what} is on a later page of its task; make a task of each image")
    shape = stated_shape(region.get("original_height"), region.get("original_width"))
    if shape is None or (cells.shape is not None and shape != cells.shape):
        raise CellMMError(
            f"{cells.path}: {what} states an image of {short(region.get('original_height'))} x "
            f"{short(region.get('original_width'))} pixels, others {cells.shape}; export it again"
        )
    cells.shape = shape
    percent = np.array([shape[1], shape[0]]) / 100
    label = _label(value)
    if "imageDataURL" in value:
        text = str(value["imageDataURL"]).partition("base64,")[2]
        pixels = decode_png(text, cells.path, what)
        if pixels.shape != shape:
            raise CellMMError(
                f"{cells.path}: {what} is a bitmask of {pixels.shape}, not {shape}: export it again"
            )
        cells.add_pixels(pixels, (0, 0), what, label=label)
    elif "rle" in value:
        cells.add_pixels(
            decode_brush(value["rle"], shape, f"{cells.path}: {what}"), (0, 0), what, label=label
        )
    elif "points" in value:
        if value.get("closed") is False:
            cells.leave_out("polygons that were not closed")
        else:
            cells.add([_scaled(value["points"], percent)], what, label=label)
    elif "radiusX" in value:
        try:
            x, y, a, b = (float(value[key]) for key in ("x", "y", "radiusX", "radiusY"))
            turn = float(value.get("rotation") or 0)
        except (KeyError, TypeError, ValueError):
            raise CellMMError(
                f"{cells.path}: {what} is an ellipse without numbers: export it again"
            ) from None
        (x, a), (y, b) = ((x * percent[0], a * percent[0]), (y * percent[1], b * percent[1]))
        cells.add([outlines.ellipse(float(x), float(y), float(a), float(b), turn)], what, label=label)
    else:
        cells.leave_out(BOXES if {"width", "height"} <= value.keys() else "points and other marks")


def _scaled(points: Any, percent: np.ndarray) -> Any:
    try:
        return (np.array(points, dtype=np.float64) * percent).tolist()
    except (TypeError, ValueError):
        return points  # is refused where outlines are checked


def _label(value: dict) -> str | None:
    """The class: the first label of the list whose name ends with 'labels'."""
    lists = [names for key, names in value.items() if key.lower().endswith("labels")]
    return next((class_name(names[0]) for names in lists if isinstance(names, list) and names), None)


def _image(data: dict) -> str | None:
    """The name of the image of a task."""
    texts = [value for value in data.values() if isinstance(value, str)]
    texts = [text for text in texts if not text.startswith("data:")]
    names = [name for text in texts if (name := _name(text)) is not None]
    return names[0] if names else None


def _name(text: str) -> str | None:
    """The file that a URL or path means, None where it is not an image."""
    url = urlsplit(text)
    local = parse_qs(url.query).get("d")  # of files on the server's own disk
    name = local[0] if local else unquote(url.path)
    name = file_name(name if local or url.scheme else unquote(text.partition("?")[0]))
    if name is None or Path(name).suffix.lower() not in IMAGE_SUFFIXES:
        return None
    name = name if local else Path(name).name
    return PREFIX.sub("", name) if "/upload/" in text else name
