"""Each format, read by its own reader, gives back the same masks."""

import json
import re
import time
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import roifile
import tifffile
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from pycocotools.coco import COCO

from cellmm.io.layered_tiff import read_label_layers
from cellmm.results import Instances
from cellmm.results.writers import build_writers, options
from cellmm.structures import MaskRuns

EXACT = ["coco", "geojson", "layers", "ome-zarr", "ome-zarr:version=0.4", "rois", "svg"]


def coco(path, shape, raster):
    content = COCO(str(path))
    return {number: content.annToMask(cell).astype(bool) for number, cell in content.anns.items()}


def geojson(path, shape, raster):
    masks = {}
    for feature in json.loads(path.read_text(encoding="utf-8"))["features"]:
        geometry = feature["geometry"]
        parts = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
        number = int(feature["properties"]["name"].split()[-1])
        masks[number] = raster([ring[:-1] for part in parts for ring in part], shape)
    return masks


def layers(path, shape, raster):
    return dict(enumerate(read_label_layers(path).to_masks(), start=1))


def rois(path, shape, raster):
    masks = {}
    for roi in roifile.roiread(path):
        found = roi.coordinates(multi=True)
        masks[int(roi.name[:5])] = raster(found, shape)
        mask = np.argwhere(masks[int(roi.name[:5])])
        if shape[1] < 2**15:
            assert [roi.top, roi.left] == mask.min(0).tolist()
            assert [roi.bottom, roi.right] == (mask.max(0) + 1).tolist()
    return masks


def ome_zarr(path, shape, raster):
    masks = {}
    for node in Reader(parse_url(path / "labels"))():
        if node.data:
            label = np.asarray(node.data[0])
            assert label.shape == shape
            masks |= {int(i): label == i for i in np.unique(label[label > 0])}
    return masks


def svg(path, shape, raster):
    masks = {}
    for element in ET.parse(path).iter("{http://www.w3.org/2000/svg}path"):
        rings = [
            np.array(re.findall(r"(\d+),(\d+)", ring), int) for ring in element.get("d").split("Z") if ring
        ]
        masks[int(element.get("id")[4:])] = raster(rings, shape)
    return masks


READ = {"ome-zarr": ome_zarr} | {read.__name__: read for read in (coco, geojson, layers, rois, svg)}


@pytest.mark.parametrize("name", EXACT)
def test_masks_come_back(name, cells, tmp_path, masks_of, raster):
    (writer,) = build_writers(name)
    path = tmp_path / f"cells{writer.suffix}"
    losses = writer.write(path, cells, None)
    assert not any(number and "cells" in kind for kind, number in losses.items())
    found = READ[writer.option](path, cells.shape, raster)
    assert sorted(found) == list(range(1, len(cells) + 1))
    for number, mask in enumerate(masks_of(cells), start=1):
        np.testing.assert_array_equal(found[number], mask)


@pytest.mark.parametrize("name", EXACT)
def test_a_cell_without_pixels_keeps_the_numbers_of_the_others(name, odd, tmp_path, masks_of, raster):
    none = MaskRuns.empty(odd.shape)
    masks = MaskRuns.concatenate(
        [MaskRuns(odd.shape, np.zeros(2, np.int64), none.x, none.y, none.length), odd.masks]
    )
    cells = Instances(
        masks,
        np.append(0.95, odd.scores).astype(np.float32),
        np.append(0, odd.labels),
        odd.classes,
        odd.category_ids,
    )
    (writer,) = build_writers(name)
    path = tmp_path / f"cells{writer.suffix}"
    losses = writer.write(path, cells, None)
    found = READ[writer.option](path, cells.shape, raster)
    assert (losses["cells without a pixel"] == 1) == (name in ("geojson", "rois", "svg"))
    assert sorted({1, *found}) == list(range(1, 8))
    for number, mask in enumerate(masks_of(odd), start=2):
        np.testing.assert_array_equal(found[number], mask)


def test_the_flat_label_image_says_what_it_lost(cells, tmp_path, masks_of):
    (writer,) = build_writers("labels")
    path = tmp_path / "cells.ome.tif"
    (lost,) = writer.write(path, cells, None).values()
    label = tifffile.imread(path)
    expected = np.zeros(cells.shape, int)
    masks = masks_of(cells)
    for i in sorted(range(len(cells)), key=lambda i: (cells.scores[i], -i)):
        expected[masks[i]] = i + 1
    np.testing.assert_array_equal(label, expected)
    np.testing.assert_array_equal(cells.to_labels()[0], expected)
    assert lost == masks.sum() - (expected > 0).sum() == cells.to_labels()[1]


def test_the_same_bytes_seconds_later(odd, source, tmp_path):
    """Archives hold times in steps of two seconds."""

    def content(folder):
        for writer in build_writers([*options(), "ome-zarr:version=0.4"][:-1]):
            writer.write(folder / f"{writer.option}{writer.suffix}", odd, source)
        odd.save(folder / "cells.npz")
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        return {str(file.relative_to(folder)): file.read_bytes() for file in files}

    first = content(tmp_path / "1")
    time.sleep(2.1)
    second = content(tmp_path / "2")
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def test_many_cells(tmp_path):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-9:10, -9:10]
    disks = [(y / a) ** 2 + (x / b) ** 2 <= 1 for a, b in rng.uniform(3, 9, (5000, 2))]
    masks = MaskRuns.from_crops(disks, rng.integers(0, 1980, (5000, 2)), (2000, 2000))
    cells = Instances(masks, rng.random(5000, dtype=np.float32), np.zeros(5000, np.int64))
    areas = masks.areas()
    for writer in build_writers("coco,geojson,layers,labels,rois,ome-zarr"):
        writer.write(tmp_path / f"{writer.option}{writer.suffix}", cells, None)
    assert [cell["area"] for cell in COCO(str(tmp_path / "coco.json")).anns.values()] == areas.tolist()
    np.testing.assert_array_equal(read_label_layers(tmp_path / "layers.ome.tif").areas(), areas)
    features = json.loads((tmp_path / "geojson.geojson").read_text())["features"]
    rings = roifile.roiread(tmp_path / "rois.zip")
    assert len(features) == len(rings) == 5000
    for i in range(0, 5000, 97):
        ring = np.array(features[i]["geometry"]["coordinates"][0])
        assert (ring[:-1, 0] * ring[1:, 1] - ring[1:, 0] * ring[:-1, 1]).sum() / 2 == areas[i]
        np.testing.assert_array_equal(rings[i].coordinates(), ring[:-1])
