"""OME-TIFFs of labels: axes, pixel size, types, tiles."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import cv2
import numpy as np
import pytest
import tifffile

from cellmm.io.label_tiff import write_label_tiff
from cellmm.io.layered_tiff import read_label_layers
from cellmm.results import Instances
from cellmm.results.writers import build_writers
from cellmm.structures import MaskRuns

OME = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"


@pytest.mark.parametrize(("name", "axes", "count"), [("layers", "CYX", 3), ("labels", "YX", 1)])
def test_metadata(name, axes, count, odd, tmp_path):
    (writer,) = build_writers(name)
    writer.write(tmp_path / "a.ome.tif", odd, None)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tiff:
        assert tiff.is_ome and not tiff.is_bigtiff
        (series,) = tiff.series
        assert series.axes == axes and series.dtype == np.uint16
        root = ET.fromstring(tiff.ome_metadata)
        page = tiff.pages.first
        assert page.resolution == pytest.approx((40_000, 20_000)) and page.resolutionunit == 3  # per cm
        assert "DateTime" not in page.tags
    (image,) = root.iter(f"{OME}Image")
    assert image.get("Name") == odd.name
    pixels = image.find(f"{OME}Pixels")
    assert [float(pixels.get(f"PhysicalSize{axis}")) for axis in "YX"] == [0.5, 0.25]
    assert {pixels.get(f"PhysicalSize{axis}Unit") for axis in "YX"} == {"µm"}
    channels = [channel.get("Name") for channel in pixels.iter(f"{OME}Channel")]
    assert channels == (["layer 1", "layer 2", "layer 3"] if count == 3 else [None])
    assert root.get("UUID").startswith("urn:uuid:")


def test_opened_by_opencv_too(odd, tmp_path):
    (writer,) = build_writers("layers")
    writer.write(tmp_path / "a.ome.tif", odd, None)
    _, pages = cv2.imreadmulti(str(tmp_path / "a.ome.tif"), flags=cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(np.stack(pages), odd.to_layers().layers)


@pytest.mark.parametrize("large", [1, 10**9])
def test_tiles_of_a_larger_image(large, tmp_path, monkeypatch):
    monkeypatch.setattr("cellmm.io.label_tiff.LARGE", large)
    rng = np.random.default_rng(0)
    crops = [rng.random((40, 300)) < 0.9 for _ in range(50)]
    origins = np.stack([rng.integers(0, 700 - 40, 50), rng.integers(0, 1300 - 300, 50)], axis=1)
    masks = MaskRuns.from_crops(crops, origins, (700, 1300))
    cells = Instances(masks, np.ones(50, np.float32), np.zeros(50, np.int64), name="a")
    for writer in build_writers("layers,labels"):
        writer.write(tmp_path / f"{writer.option}.ome.tif", cells, None)
    with tifffile.TiffFile(tmp_path / "layers.ome.tif") as tiff:
        assert tiff.pages.first.is_tiled == (large == 1)
    back = read_label_layers(tmp_path / "layers.ome.tif")
    np.testing.assert_array_equal(back.to_masks(), cells.to_layers().to_masks())
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "labels.ome.tif"), cells.to_labels()[0])


def test_more_cells_than_16_bit_hold(tmp_path):
    masks = MaskRuns.from_crops([np.ones((1, 1), bool)], [(0, 1)], (2, 3))
    painted = write_label_tiff(tmp_path / "a.ome.tif", [(masks, np.array([70_000]))], num_cells=70_000)
    assert painted == 1
    label = tifffile.imread(tmp_path / "a.ome.tif")
    assert label.dtype == np.uint32 and label.tolist() == [[0, 70_000, 0], [0, 0, 0]]
    layers = read_label_layers(tmp_path / "a.ome.tif")
    assert len(layers) == 70_000 and layers.areas().sum() == 1


def test_no_pixel_size(odd, tmp_path):
    (writer,) = build_writers("labels")
    writer.write(tmp_path / "a.ome.tif", replace(odd, pixel_size=None), None)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tiff:
        assert "PhysicalSize" not in tiff.ome_metadata
