"""The tool that makes pictures for annotators."""

import csv
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cellmm.io.images import read_image
from cellmm.simulation import SceneConfig, simulate_scene

SCRIPT = Path(__file__).parents[2] / "tools" / "dataset_converters" / "phase_pictures.py"


@pytest.fixture
def run(monkeypatch, tmp_path):
    for name, cells in dict(crowded=14, sparse=3).items():
        config = SceneConfig(size=(96, 128), pixel=0.5, cells=(cells, cells), min_visible=20)
        field = simulate_scene(config, np.random.default_rng(1))
        for kind in ("phase", "fluorescence"):
            (tmp_path / kind).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / kind / f"{name}.tif", getattr(field, kind))

    def run(*options: str) -> list[dict]:
        argv = ["tool", str(tmp_path / "phase"), str(tmp_path / "out"), *map(str, options)]
        monkeypatch.setattr(sys, "argv", argv)
        runpy.run_path(str(SCRIPT), run_name="__main__")
        with open(tmp_path / "out/crowding.csv") as file:
            return list(csv.DictReader(file))

    return run


def test_a_picture_per_field_and_the_emptiest_first(run, tmp_path, capsys):
    rows = run("--fluorescence", tmp_path / "fluorescence")
    assert [row["image"] for row in rows] == ["sparse", "crowded"]
    assert 0 < float(rows[0]["share"]) < float(rows[1]["share"]) < 1
    picture = read_image(tmp_path / "out/sparse.png")
    assert picture.shape == (96, 128, 3) and (picture[..., 1] > picture[..., 0]).any()
    assert "2 pictures" in capsys.readouterr().out


def test_crowded_fields_are_left_out_and_said(run, tmp_path, capsys):
    most = (float(run()[0]["share"]) + float(run()[1]["share"])) / 2
    rows = run("--most", most)
    assert [row["picture"] for row in rows] == ["1", "0"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"crowding.csv", "sparse.png"}
    assert "1 pictures" in (text := capsys.readouterr().out) and "1 fields show cells on more" in text


def test_what_does_not_fit_is_said_in_one_line(run, tmp_path):
    (tmp_path / "fluorescence/sparse.tif").unlink()
    with pytest.raises(SystemExit, match="1 of 2 phase images have no file of their name, sparse for one"):
        run("--fluorescence", tmp_path / "fluorescence")
    tifffile.imwrite(tmp_path / "fluorescence/sparse.tif", np.zeros((9, 9), np.uint8))
    with pytest.raises(SystemExit, match=r"fluorescence/sparse\.tif: \(9, 9\) pixels, but .*\(96, 128\)"):
        run("--fluorescence", tmp_path / "fluorescence")
    tifffile.imwrite(
        tmp_path / "phase/sparse.tif", np.eye(9, 3, dtype=np.uint8)[None].repeat(9, 0), photometric="rgb"
    )
    with pytest.raises(SystemExit, match=r"sparse\.tif: 3 channels; save the one to show"):
        run()
    with pytest.raises(SystemExit, match="--most and --clip-limit are from 0 to 1"):
        run("--most", 2)
