"""OME-Zarr labels, judged by ome-zarr-models and opened by ome-zarr."""

import sys
from dataclasses import replace

import numpy as np
import ome_zarr_models.v04
import ome_zarr_models.v05
import pytest
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader

from cellmm.errors import CellMMError
from cellmm.results import Instances
from cellmm.results.writers import build_writers
from cellmm.structures import MaskRuns
from cellmm.testing.writers import ArraySource

MODELS = {"0.4": ome_zarr_models.v04, "0.5": ome_zarr_models.v05}


def attributes(group, version):
    return group.attrs.asdict() if version == "0.4" else group.attrs["ome"]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_labels_are_valid(version, odd, tmp_path):
    (writer,) = build_writers(f"ome-zarr:version={version}")
    writer.write(tmp_path / "a.ome.zarr", odd, None)
    root = zarr.open_group(tmp_path / "a.ome.zarr", mode="r")
    assert root.metadata.zarr_format == {"0.4": 2, "0.5": 3}[version]
    MODELS[version].Labels.from_zarr(root["labels"])
    assert attributes(root["labels"], version)["labels"] == ["layer_1", "layer_2", "layer_3"]
    seen = {}
    for name in ("layer_1", "layer_2", "layer_3"):
        MODELS[version].ImageLabel.from_zarr(root["labels"][name])
        about = attributes(root["labels"][name], version)
        (multiscale,) = about["multiscales"]
        assert [(axis["name"], axis["unit"]) for axis in multiscale["axes"]] == [
            ("y", "micrometer"),
            ("x", "micrometer"),
        ]
        scale = multiscale["datasets"][0]["coordinateTransformations"][0]["scale"]
        assert scale == [0.5, 0.25]
        seen |= {entry["label-value"]: entry for entry in about["image-label"]["properties"]}
    assert seen[2] == {"label-value": 2, "class": "größe/2 & <b>", "score": 0.5}
    assert sorted(seen) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_beside_the_image(version, odd, source, tmp_path):
    (writer,) = build_writers(f"ome-zarr:version={version}:image=true")
    writer.write(tmp_path / "a.ome.zarr", odd, source)
    root = zarr.open_group(tmp_path / "a.ome.zarr", mode="r")
    MODELS[version].Image.from_zarr(root)
    nodes = list(Reader(parse_url(tmp_path / "a.ome.zarr"))())
    arrays = [np.asarray(node.data[0]) for node in nodes if node.data]
    np.testing.assert_array_equal(arrays[0], np.moveaxis(source.image, 2, 0))
    assert len(arrays) == 4  # viewers open the labels with the image
    labels = attributes(root["labels/layer_1"], version)
    assert labels["image-label"]["source"] == {"image": "../../"}


def test_pyramids(tmp_path):
    rng = np.random.default_rng(0)
    masks = MaskRuns.from_crops([rng.random((900, 1500)) < 0.8], [(1200, 700)], (2100, 2300))
    cells = Instances(masks, np.ones(1, np.float32), np.zeros(1, np.int64))
    image = rng.integers(0, 255, (2100, 2300, 1)).astype(np.uint8)
    (writer,) = build_writers("ome-zarr:image=true")
    writer.write(tmp_path / "a.ome.zarr", cells, ArraySource(image))
    root = zarr.open_group(tmp_path / "a.ome.zarr", mode="r")
    labels = cells.to_labels()[0]
    for level, step in enumerate((1, 2, 4)):
        np.testing.assert_array_equal(root[f"labels/layer_1/{level}"], labels[::step, ::step])
        np.testing.assert_array_equal(root[str(level)], np.moveaxis(image, 2, 0)[:, ::step, ::step])
    (multiscale,) = root.attrs["ome"]["multiscales"]
    scales = [part["coordinateTransformations"][0]["scale"] for part in multiscale["datasets"]]
    assert scales == [[1, 1, 1], [1, 2, 2], [1, 4, 4]]
    assert [axis.get("unit") for axis in multiscale["axes"]] == [None] * 3


def test_a_failure_leaves_the_old_folder(odd, source, tmp_path):
    (writer,) = build_writers("ome-zarr:image=true")
    path = tmp_path / "a.ome.zarr"
    writer.write(path, odd, source)
    before = sorted(path.rglob("*"))

    class Broken(ArraySource):
        def read(self, *window):
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        writer.write(path, odd, Broken(source.image))
    assert sorted(path.rglob("*")) == before and list(tmp_path.iterdir()) == [path]
    writer.write(path, replace(odd.select([0])), None)  # another result takes its place
    assert list(zarr.open_group(path, mode="r")) == ["labels"]


def test_without_zarr(odd, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", None)
    (writer,) = build_writers("ome-zarr")
    with pytest.raises(
        CellMMError, match=r'OME-Zarr files need zarr: in the folder of cellmm, pip install -e "\.\[zarr\]"'
    ):
        writer.write(tmp_path / "a.ome.zarr", odd, None)


def test_other_versions():
    with pytest.raises(CellMMError, match=r"ome-zarr:version=0\.3: version must be one of 0\.4, 0\.5"):
        build_writers("ome-zarr:version=0.3")
