"""GeoJSON as QuPath's reader takes it (qupath.lib.io.QuPathTypeAdapters of 0.4 to 0.6)."""

import json
import uuid
from dataclasses import replace
from numbers import Real

import numpy as np
import pytest

from cellmm.errors import CellMMError
from cellmm.results.measurements import measure
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


def test_measurements_are_those_of_the_tables(odd, source, tmp_path):
    (writer,) = build_writers("geojson")
    source.channel_names = ("DAPI", "")
    for cells in (odd, replace(odd, pixel_size=None)):
        table = measure(cells, source)
        writer.write(tmp_path / "a.geojson", cells, source)
        content = json.loads((tmp_path / "a.geojson").read_text(encoding="utf-8"))
        suffix, unit = ("", "px") if cells.pixel_size is None else ("_um", "µm")
        for i, feature in enumerate(content["features"]):
            assert feature["properties"]["measurements"] == pytest.approx(
                {
                    "Score": table["score"][i],
                    f"Area {unit}^2": table["area" + (suffix and "_um2")][i],
                    f"Length {unit}": table[f"length{suffix}"][i],
                    f"Mean width {unit}": table[f"width_mean{suffix}"][i],
                    "DAPI: Mean": table["intensity_mean-0"][i],
                    "Channel 2: Mean": table["intensity_mean-1"][i],
                },
                rel=1e-6,
            )


def test_what_is_not_a_number_is_left_out(odd):
    image = np.full(odd.shape, np.nan)
    for feature in odd.to_geojson(image)["features"]:
        assert list(feature["properties"]["measurements"]) == [
            "Score",
            "Area µm^2",
            "Length µm",
            "Mean width µm",
        ]


def test_ids_of_other_cells_differ(odd):
    """Also without names of the images, as of arrays, and after another model."""
    first = {feature["id"] for feature in replace(odd, name="").to_geojson()["features"]}
    moved = replace(odd, name="", masks=odd.masks.moved(0, 1, (30, 41)))
    second = {feature["id"] for feature in moved.to_geojson()["features"]}
    assert len(first | second) == 2 * len(odd)


def test_properties_by_hand(odd):
    features = odd.to_geojson()["features"]
    properties = features[1]["properties"]
    assert properties["name"] == "größe/2 & <b> 2"
    assert properties["classification"]["name"] == "größe/2 & <b>"
    measurements = properties["measurements"]
    assert measurements["Score"] == 0.5 and measurements["Area µm^2"] == 126 * 0.125
    colors = [feature["properties"]["classification"]["color"] for feature in features]
    assert colors[0] == colors[2] != colors[1]
    kinds = [feature["geometry"]["type"] for feature in features]
    assert kinds == ["Polygon", "Polygon", "MultiPolygon", "MultiPolygon", "Polygon", "Polygon"]
    assert features[4]["geometry"]["coordinates"] == [[[39, 29], [40, 29], [40, 30], [39, 30], [39, 29]]]


def test_another_object_type():
    with pytest.raises(CellMMError, match="object_type must be one of detection, cell, annotation"):
        build_writers("geojson:object_type=tile")
