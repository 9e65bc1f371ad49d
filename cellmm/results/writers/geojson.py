"""GeoJSON as QuPath 0.5 and 0.6 read it."""

import json
import math
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np

from cellmm.io.files import atomic_path
from cellmm.io.sources import ImageSource
from cellmm.registry import WRITERS
from cellmm.results.instances import Instances
from cellmm.results.writers.base import readable
from cellmm.results.writers.measured import measured
from cellmm.results.writers.rois import EMPTY
from cellmm.structures import outlines_of
from cellmm.visualization import class_colors

OBJECT_TYPES = ("detection", "cell", "annotation")


@WRITERS.register_module()
class GeoJSONWriter:
    """A FeatureCollection per image, in pixels; overlap, holes and parts are kept to the pixel.

    The measurements of a cell are its score, area, length, mean width, and mean of each channel.

    Args:
        object_type: what QuPath makes of a cell: 'detection', 'cell' or 'annotation', which can be edited.
    """

    option = "geojson"
    folder = "geojson"
    suffix = ".geojson"

    def __init__(self, object_type: str = "detection") -> None:
        if object_type not in OBJECT_TYPES:
            raise ValueError(f"object_type must be one of {', '.join(OBJECT_TYPES)}, got {object_type!r}")
        self.object_type = object_type

    def write(self, path: Path, instances: Instances, source: ImageSource | None) -> Counter[str]:
        columns = measured(instances, source)
        channels = () if source is None else source.channel_names
        written = 0
        with atomic_path(path) as tmp, open(tmp, "w", encoding="utf-8") as file:
            file.write('{"type": "FeatureCollection", "features": [')
            for feature in features(instances, columns, channels, self.object_type):
                text = json.dumps(feature, allow_nan=False)
                file.write(f"{',' if written else ''}\n{text}")
                written += 1
            file.write("\n]}\n")
        return Counter({EMPTY: len(instances) - written})


def features(
    instances: Instances,
    columns: Mapping[str, np.ndarray],
    channels: Sequence[str] = (),
    object_type: str = "detection",
) -> Iterator[dict]:
    """A GeoJSON feature for each cell that has pixels.

    The geometry follows the edges of the pixels; pixel (y, x) is the square from (x, y) to (x + 1, y + 1).
    ``measurements`` is an object of numbers, as QuPath writes it since 0.4 (before, it was a list).

    Args:
        columns: of ``cellmm.results.measurements.measure``.
        channels: their names; one without a name is 'Channel 1', and so on.
    """
    colors = class_colors(len(instances.classes)).tolist()
    shown = _measurements(columns, channels)
    for i, label in enumerate(instances.labels.tolist()):
        polygons = [[_closed(ring) for ring in part] for part in outlines_of(instances.masks, i)]
        if not polygons:
            continue
        geometry = {
            "type": "Polygon" if len(polygons) == 1 else "MultiPolygon",
            "coordinates": polygons[0] if len(polygons) == 1 else polygons,
        }
        cell = f"cellmm cell {i + 1} of {readable(instances.name)} {geometry['coordinates']}"
        yield {
            "type": "Feature",
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, cell)),
            "geometry": geometry,
            "properties": {
                "objectType": object_type,
                "name": f"{instances.classes[label]} {i + 1}",
                "classification": {"name": instances.classes[label], "color": colors[label]},
                "measurements": {
                    name: values[i] for name, values in shown.items() if math.isfinite(values[i])
                },
            },
        }


def _measurements(columns: Mapping[str, np.ndarray], channels: Sequence[str]) -> dict[str, list[float]]:
    """The main columns by names with units, as QuPath has them, to seven digits."""
    names = {"score": "Score"}
    if "area_um2" in columns:
        names |= {"area_um2": "Area µm^2", "length_um": "Length µm", "width_mean_um": "Mean width µm"}
    else:
        names |= {"area": "Area px^2", "length": "Length px", "width_mean": "Mean width px"}
    means = [name for name in columns if name.startswith("intensity_mean-")]
    for i, (name, channel) in enumerate(zip_longest(means, channels[: len(means)], fillvalue="")):
        names[name] = f"{channel or f'Channel {i + 1}'}: Mean"
    return {names[name]: [float(f"{value:.7g}") for value in columns[name].tolist()] for name in names}


def _closed(ring: np.ndarray) -> list[list[int]]:
    return [*ring.tolist(), ring[0].tolist()]
