"""ROIs of ImageJ and Fiji."""

import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi

from cellmm.io.files import atomic_path
from cellmm.io.sources import ImageSource
from cellmm.registry import WRITERS
from cellmm.results.instances import Instances
from cellmm.results.writers.base import readable
from cellmm.structures import outlines_of

EMPTY = "cells without a pixel"
MAX_INTEGER = 2**15 - 1  # larger coordinates are stored as floats, which hold whole numbers up to 2^24
MAX_GROUP = 255
MOVE_TO, LINE_TO, CLOSE = 0.0, 1.0, 4.0
FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # of every entry, so that the same cells give the same bytes


@WRITERS.register_module()
class RoiWriter:
    """A zip of ROIs that Fiji's ROI manager opens; overlap, holes and parts are kept to the pixel.

    A cell in one piece without holes is a traced polygon along the edges of its pixels, others are composite.
    """

    option = "rois"
    folder = "rois"
    suffix = ".zip"

    def write(self, path: Path, instances: Instances, source: ImageSource | None) -> Counter[str]:
        time = None if source is None else source.time
        written = 0
        with atomic_path(path) as tmp, zipfile.ZipFile(tmp, "w", zipfile.ZIP_DEFLATED) as file:
            for roi in to_rois(instances, time):
                entry = zipfile.ZipInfo(f"{roi.name}.roi", FIRST_DATE)
                entry.compress_type = zipfile.ZIP_DEFLATED
                file.writestr(entry, roi.tobytes())
                written += 1
        return Counter({EMPTY: len(instances) - written})


def to_rois(instances: Instances, time: int | None = None) -> Iterator[ImagejRoi]:
    """An ROI for each cell that has pixels, named by its number and class, as '00012_cell'.

    The score and the class are among its properties; its group, which gives the colour, is the number of the
    class from 1.

    Args:
        time: number of the time point from 0 that the ROIs are shown on; None: on all.
    """
    labels, scores = instances.labels.tolist(), instances.scores.tolist()
    boxes = instances.masks.boxes().tolist()
    for i, name in enumerate(instances.class_names()):
        rings = [ring for part in outlines_of(instances.masks, i) for ring in part]
        if not rings:
            continue
        roi = _polygon(rings[0]) if len(rings) == 1 else _composite(rings)
        roi.top, roi.left, roi.bottom, roi.right = boxes[i]
        roi.name = f"{i + 1:05d}_" + re.sub(r"[^\w .+-]", "_", name)
        roi.properties = {"score": round(scores[i], 6), "class": readable(name)}
        roi.group = min(labels[i] + 1, MAX_GROUP)
        roi.t_position = 0 if time is None else time + 1
        yield roi


def _polygon(ring: np.ndarray) -> ImagejRoi:
    roi = ImagejRoi(roitype=ROI_TYPE.TRACED, n_coordinates=len(ring))
    roi.integer_coordinates = (ring - ring.min(0)).astype(np.int32)
    if ring.max() > MAX_INTEGER:
        roi.roitype = ROI_TYPE.FREEHAND
        roi.options |= ROI_OPTIONS.SUB_PIXEL_RESOLUTION
        roi.subpixel_coordinates = ring.astype(np.float32)
    return roi


def _composite(rings: list[np.ndarray]) -> ImagejRoi:
    """All outlines as one path, whose inside is what an odd number of them encloses."""
    path = []
    for ring in rings:
        steps = np.column_stack([np.full(len(ring), LINE_TO), ring])
        steps[0, 0] = MOVE_TO
        path += [steps.ravel(), [CLOSE]]
    coordinates = np.concatenate(path).astype(np.float32)
    return ImagejRoi(roitype=ROI_TYPE.RECT, shape_roi_size=len(coordinates), multi_coordinates=coordinates)
