"""What `cellmm predict` reads: channels, planes, time points, lists; and the names that it gives."""

import io
import json

import numpy as np
import pytest
import tifffile
import torch

from cellmm.commands import cli
from cellmm.commands.predict_options import formats_of, parse_args, read_options
from cellmm.config.load import load_config
from cellmm.errors import CellMMError
from cellmm.registry import MODELS
from cellmm.results.run_folder import read_run
from tests.fuzz import exact_model  # noqa: F401

CONFIG = """
default_scope = 'cellmm'
model = dict(
    type='CellSegmentor',
    data_preprocessor=dict(type='CellDataPreprocessor', in_channels=1, divisor=1),
    encoder=dict(type='SamePixels'),
    decoder=dict(type='SamePixels'),
    heads=dict(instances=dict(type='BrightSpots', threshold=100.0)),
)
pipeline = [dict(type='LoadImage'), dict(type='PackCellInputs')]
metainfo = dict(classes=('small', 'large'))
test_dataloader = dict(dataset=dict(type='CellCocoDataset', metainfo=metainfo, pipeline=pipeline))
"""


@pytest.fixture
def predict(tmp_path, capsys):
    """``predict(*options) -> (status, lines of stderr)``; results go to ``out``."""
    (tmp_path / "c.py").write_text(CONFIG)
    model = MODELS.build(load_config(tmp_path / "c.py").model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / "w.pth")

    def run(*options):
        files = ["--config", tmp_path / "c.py", "--checkpoint", tmp_path / "w.pth", "--out", tmp_path / "out"]
        status = cli.main(["predict", *map(str, [*options, *files]), "--device", "cpu"])
        lines = capsys.readouterr().err.split("\n")
        return status, [line for line in lines if line.startswith("cellmm predict: ")]

    return run


def found(tmp_path):
    """{name: the column of the first cell}."""
    return {cells.name: int(cells.masks.boxes()[0, 1]) for cells in read_run(tmp_path / "out")}


def spots(*columns):
    """One image per column, with a spot there."""
    images = np.full((len(columns), 12, 40), 20, np.uint16)
    for image, column in zip(images, columns, strict=True):
        image[3:8, column : column + 5] = 200
    return images


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ([], {"a_t0000.tif": 2, "a_t0001.tif": 10, "a_t0002.tif": 20}),
        (["--time", 1], {"a_t0001.tif": 10}),
    ],
)
def test_time_points(options, names, predict, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", spots(2, 10, 20), metadata=dict(axes="TYX"), ome=True)
    assert predict(tmp_path / "a.tif", *options, "--workers", 1) == (0, [])
    assert found(tmp_path) == names
    pictures = sorted(path.name for path in (tmp_path / "out/overlays").glob("*.png"))
    assert pictures == [name.replace(".tif", ".png") for name in names]


@pytest.mark.parametrize(("options", "column"), [(["--z", 1], 10), (["--z", "max"], 2)])
def test_focal_planes(options, column, predict, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", spots(2, 10), metadata=dict(axes="ZYX"), ome=True)
    status, (line,) = predict(tmp_path / "a.tif")
    assert status == 1 and "--z" in line
    assert predict(tmp_path / "a.tif", *options)[0] == 0
    assert found(tmp_path) == {"a.tif": column}


@pytest.mark.parametrize("channel", ["1", "GFP"])
def test_channels_by_number_and_name(channel, predict, tmp_path):
    names = dict(axes="CYX", Channel=dict(Name=["DAPI", "GFP"]))
    tifffile.imwrite(tmp_path / "a.tif", spots(2, 10), metadata=names, ome=True)
    status, (line,) = predict(tmp_path / "a.tif")
    assert status == 1 and "2 channels" in line
    assert predict(tmp_path / "a.tif", "--channels", channel)[0] == 0
    assert found(tmp_path) == {"a.tif": 10}


def test_the_pixel_size_is_carried_to_the_results(predict, tmp_path):
    size = dict(PhysicalSizeX=0.5, PhysicalSizeXUnit="µm", PhysicalSizeY=0.25, PhysicalSizeYUnit="µm")
    tifffile.imwrite(tmp_path / "a.ome.tif", spots(2)[0], metadata=dict(axes="YX", **size))
    for options, expected in (([], (0.25, 0.5)), (["--pixel-size", 2], (2.0, 2.0))):
        assert predict(tmp_path / "a.ome.tif", *options)[0] == 0
        (cells,) = read_run(tmp_path / "out")
        assert cells.pixel_size == expected


def test_a_list_on_standard_input(predict, tmp_path, monkeypatch):
    for name in "ab":
        tifffile.imwrite(tmp_path / f"{name}.tif", spots(2)[0])
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{tmp_path / 'b.tif'}\n{tmp_path / 'a.tif'}\n"))
    assert predict("-") == (0, [])
    content = json.loads((tmp_path / "out/cells.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["b.tif", "a.tif"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--time", "-1"], "--time -1: count from 0"),
        (["--z", "mean"], "--z mean: give max, channels or a number from 0"),
        (["--pixel-size", "0"], "--pixel-size 0: give micrometres, above 0"),
        (["--pixel-size", "nan"], "--pixel-size nan: give micrometres"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(CellMMError, match=message):
        read_options(parse(options))


def parse(options):
    return parse_args(["a.tif", "--config", "c.py", "--checkpoint", "w.pth", "--out", "o", *options])


def test_options_of_reading():
    assert read_options(parse([])) == {}
    options = [
        "--channels",
        "0",
        "DAPI",
        "--level",
        "1",
        "--position",
        "2",
        "--z",
        "3",
        "--pixel-size",
        "0.5",
    ]
    expected = dict(channels=[0, "DAPI"], level=1, position=2, z=3, pixel_size=(0.5, 0.5))
    assert read_options(parse(options)) == expected


def test_formats(predict, tmp_path):
    assert formats_of(parse([])) == "coco,png"
    assert formats_of(parse(["--save", "coco, png ,svg", "--no-overlays"])) == "coco,svg"
    tifffile.imwrite(tmp_path / "a.tif", spots(2)[0])
    status, (line,) = predict(tmp_path / "a.tif", "--save", "coco,xls")
    assert status == 1 and "--save xls: not a format of results; choose from coco, csv, " in line
    every = "coco,csv,geojson,labels,layers,ome-zarr,parquet,png,report,rois,svg"
    assert predict(tmp_path / "a.tif", "--save", every) == (0, [])
    names = {path.name for path in (tmp_path / "out").iterdir()} - {"parts", "run.json"}
    assert names == {
        *("cells.json", "cells.csv", "cells.parquet", "report.html"),
        *("geojson", "labels", "layers", "ome_zarr", "overlays", "rois", "svg"),
    }


def test_the_report_tells_of_failures(predict, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", spots(2)[0])
    (tmp_path / "b.tif").write_bytes(b"no image")
    status, (line,) = predict(tmp_path / "a.tif", tmp_path / "b.tif", "--save", "report")
    page = (tmp_path / "out/report.html").read_text()
    assert status == 1 and "b.tif" in line and "b.tif" in page and "w.pth" in page
