"""The tool that writes the maps beside the masks as files."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from cellmm.datasets import SimulatedDataset
from cellmm.simulation import SceneConfig
from cellmm.structures.auxiliary_maps import boundary_map, centre_map

SCRIPT = Path(__file__).parents[2] / "tools" / "dataset_converters" / "auxiliary_maps.py"
CONFIG = """
train_dataloader = dict(
    dataset=dict(
        type="SimulatedDataset",
        data_root={root!r},
        split="train",
        pipeline=[dict(type="LoadImage"), dict(type="LoadCells"), dict(type="PackCellInputs")],
    )
)
"""


@pytest.fixture
def run(monkeypatch, tmp_path):
    scene = SceneConfig(size=(48, 64), pixel=0.5, cells=(2, 4), min_visible=20)
    made = SimulatedDataset(
        data_root=tmp_path / "set",
        split="train",
        simulation=dict(splits=dict(train=2), scene=scene),
        pipeline=[dict(type="LoadImage"), dict(type="LoadCells")],
    )
    (tmp_path / "a.py").write_text(CONFIG.format(root=str(tmp_path / "set")))

    def run(*options: str) -> SimulatedDataset:
        monkeypatch.setattr(sys, "argv", ["tool", str(tmp_path / "a.py"), str(tmp_path / "maps"), *options])
        runpy.run_path(str(SCRIPT), run_name="__main__")
        return made

    return run


def test_it_writes_a_file_per_image_and_map(run, tmp_path, capsys):
    made = run("--sigma", "3")
    assert "2 maps of each of 2 images, 0 without cells" in capsys.readouterr().out
    written = sorted(path.name for path in (tmp_path / "maps").iterdir())
    assert len(written) == 4
    cells = made[0]["gt_layers"]
    name = Path(made[0]["img_path"]).stem
    center, boundary = (np.load(tmp_path / "maps" / f"{name}_{kind}.npy") for kind in ("center", "boundary"))
    assert center.shape == boundary.shape == (1, 48, 64) and center.dtype == boundary.dtype == np.float32
    assert np.array_equal(center[0], centre_map(cells, sigma=3))
    assert np.array_equal(boundary[0], boundary_map(cells))


@pytest.mark.parametrize(
    ("options", "text"), [(("--split", "val"), "--split"), (("--targets", "edges"), "choose from center")]
)
def test_what_it_refuses(options, text, run, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(*options)
    error = capsys.readouterr().err
    assert text in error and error.count("\n") == 1
    assert not (tmp_path / "maps").exists()
