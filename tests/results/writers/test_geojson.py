"""GeoJSON as QuPath's reader takes it (qupath.lib.io.QuPathTypeAdapters of 0.4 to 0.6)."""

import json
import uuid
from numbers import Real

import numpy as np
import pytest

from cellmm.errors import CellMMError
from cellmm.results.writers import build_writers

TYPES = ("annotation", "detection", "cell", "tile", "tmaCore", "root")


def check_position(position):
    assert isinstance(position, list) and len(position) == 2
    assert all(isinstance(value, Real) and not isinstance(value, bool) for value in position)


def check_polygon(rings, shape):
    """RFC 7946 and the OGC's simple features: closed, simple, holes inside and the other way round."""
    for i, ring in enumerate(rings):
        for position in ring:
            check_position(position)
        points = np.array(ring)
        assert len(points) >= 4 and (points[0] == points[-1]).all()
        assert len(np.unique(points[:-1], axis=0)) == len(points) - 1
        assert (points >= 0).all() and (points <= shape[::-1]).all()
        twice_area = (points[:-1, 0] * points[1:, 1] - points[1:, 0] * points[:-1, 1]).sum()
        assert twice_area > 0 if i == 0 else twice_area < 0


def check_feature(feature, shape):
    assert set(feature) == {"type", "id", "geometry", "properties"} and feature["type"] == "Feature"
    assert str(uuid.UUID(feature["id"])) == feature["id"]  # other ids are dropped
    geometry = feature["geometry"]
    assert set(geometry) == {"type", "coordinates"} and geometry["type"] in ("Polygon", "MultiPolygon")
    polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    assert len(polygons) > (geometry["type"] == "MultiPolygon")  # of one part is refused
    for rings in polygons:
        check_polygon(rings, shape)
    properties = feature["properties"]
    assert set(properties) == {"objectType", "name", "classification", "measurements"}
    assert properties["objectType"] in TYPES and isinstance(properties["name"], str)
    classification = properties["classification"]
    assert set(classification) == {"name", "color"} and isinstance(classification["name"], str)
    assert len(classification["color"]) == 3 and all(0 <= value <= 255 for value in classification["color"])
    assert all(isinstance(value, Real) for value in properties["measurements"].values())


@pytest.mark.parametrize("kind", ["detection", "cell", "annotation"])
def test_files_follow_the_schema(kind, cells, tmp_path):
    (writer,) = build_writers(f"geojson:object_type={kind}")
    writer.write(tmp_path / "a.geojson", cells, None)
    content = json.loads((tmp_path / "a.geojson").read_text(encoding="utf-8"))
    assert set(content) == {"type", "features"} and content["type"] == "FeatureCollection"
    assert len(content["features"]) == len(cells)
    for feature in content["features"]:
        check_feature(feature, cells.shape)
        assert feature["properties"]["objectType"] == kind
    assert len({feature["id"] for feature in content["features"]}) == len(cells)
    if kind == "detection":
        assert cells.to_geojson() == content


def test_properties_by_hand(odd):
    features = odd.to_geojson()["features"]
    properties = features[1]["properties"]
    assert properties["name"] == "größe/2 & <b> 2"
    assert properties["classification"]["name"] == "größe/2 & <b>"
    assert properties["measurements"] == {"Score": 0.5, "Area px^2": 126, "Area µm^2": 126 * 0.125}
    colors = [feature["properties"]["classification"]["color"] for feature in features]
    assert colors[0] == colors[2] != colors[1]
    kinds = [feature["geometry"]["type"] for feature in features]
    assert kinds == ["Polygon", "Polygon", "MultiPolygon", "MultiPolygon", "Polygon", "Polygon"]
    assert features[4]["geometry"]["coordinates"] == [[[39, 29], [40, 29], [40, 30], [39, 30], [39, 29]]]


def test_another_object_type():
    with pytest.raises(CellMMError, match="object_type must be one of detection, cell, annotation"):
        build_writers("geojson:object_type=tile")
