"""GeoJSON as QuPath 0.5 and 0.6 read it."""

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cellmm.io.files import atomic_path
from cellmm.io.sources import ImageSource
from cellmm.registry import WRITERS
from cellmm.results.instances import Instances
from cellmm.results.writers.rois import EMPTY
from cellmm.structures import outlines_of
from cellmm.visualization import cell_colors

OBJECT_TYPES = ("detection", "cell", "annotation")


@WRITERS.register_module()
class GeoJSONWriter:
    """A FeatureCollection per image, in pixels; overlap, holes and parts are kept to the pixel.

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
        written = 0
        with atomic_path(path) as tmp, open(tmp, "w", encoding="utf-8") as file:
            file.write('{"type": "FeatureCollection", "features": [')
            for feature in features(instances, self.object_type):
                text = json.dumps(feature, ensure_ascii=False, allow_nan=False)
                file.write(f"{',' if written else ''}\n{text}")
                written += 1
            file.write("\n]}\n")
        return Counter({EMPTY: len(instances) - written})


def features(instances: Instances, object_type: str = "detection") -> Iterator[dict]:
    """A GeoJSON feature for each cell that has pixels.

    The geometry follows the edges of the pixels; pixel (y, x) is the square from (x, y) to (x + 1, y + 1).
    ``measurements`` is an object of numbers, as QuPath writes it since 0.4 (before, it was a list).
    """
    colors = cell_colors(np.zeros((len(instances.classes), 4))).tolist()
    areas, scores, labels = (
        instances.masks.areas().tolist(),
        instances.scores.tolist(),
        instances.labels.tolist(),
    )
    for i, label in enumerate(labels):
        polygons = [[_closed(ring) for ring in part] for part in outlines_of(instances.masks, i)]
        if not polygons:
            continue
        measurements = {"Score": round(scores[i], 6), "Area px^2": areas[i]}
        if instances.pixel_size is not None:
            measurements["Area µm^2"] = areas[i] * float(np.prod(instances.pixel_size))
        yield {
            "type": "Feature",
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"cellmm cell {i + 1} of {instances.name}")),
            "geometry": {
                "type": "Polygon" if len(polygons) == 1 else "MultiPolygon",
                "coordinates": polygons[0] if len(polygons) == 1 else polygons,
            },
            "properties": {
                "objectType": object_type,
                "name": f"{instances.classes[label]} {i + 1}",
                "classification": {"name": instances.classes[label], "color": colors[label]},
                "measurements": measurements,
            },
        }


def _closed(ring: np.ndarray) -> list[list[int]]:
    return [*ring.tolist(), ring[0].tolist()]
