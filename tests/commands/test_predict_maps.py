"""`cellmm predict` and `cellmm test` with models of maps: cells of the maps, or maps alone."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch

from cellmm.apis.inferencer import CellInferencer
from cellmm.commands import cli
from cellmm.config.load import load_config
from cellmm.io.maps import write_map
from cellmm.registry import MODELS
from cellmm.results.run_folder import MARK, PARTS, RUN
from cellmm.simulation import make_dataset

SEUNET = Path(__file__).parents[2] / "configs/seunet"
FOUR = ("cytoplasm", "nuclei", "border", "background")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Two of 64x64 px, with nuclei."""
    root = tmp_path_factory.mktemp("maps") / "data"
    scene = dict(size=(64, 64), pixel=0.5, cells=(2, 4), min_visible=20)
    make_dataset(root, splits=dict(train=1, val=1, test=2), scene=scene, seed=0, extra_modalities=True)
    return root


@pytest.fixture
def model(images, tmp_path):
    """``model(name) -> [config, checkpoint]`` of configs/seunet, narrow and untrained."""

    def write(name):
        config, weights = tmp_path / f"{name}.py", tmp_path / f"{name}.pth"
        decoders = f"decoders=dict.fromkeys({FOUR!r}, dict(widths=(4, 4)))"
        decoder = decoders if name == "four_heads" else "widths=(4, 4)"
        config.write_text(
            f"_base_ = [{str(SEUNET / f'{name}.py')!r}]\n"
            f"model = dict(encoder=dict(widths=(4, 4, 4)), decoder=dict({decoder}))\n"
            f"loader = dict(num_workers=0, dataset=dict(data_root={str(images)!r}))\n"
            "test_dataloader = loader\n"
        )
        torch.manual_seed(0)
        built = MODELS.build(load_config(config).model)
        for target, head in built.heads.items():  # everything is cell and nucleus
            torch.nn.init.constant_(head.logits.bias, 5 if target in ("cytoplasm", "nuclei") else -5)
        torch.save(dict(state_dict=built.state_dict()), weights)
        return [str(config), str(weights)]

    return write


def predict(files, out, *arguments):
    config, weights = files
    options = ["--config", config, "--checkpoint", weights, "--out", str(out), "--device", "cpu"]
    return cli.main(["predict", *map(str, arguments), *options])


def written(out):
    """What a user looks for: not the records of the run."""
    files = (path for path in out.rglob("*") if path.is_file() and path.name not in (MARK, RUN))
    return sorted(path.relative_to(out).as_posix() for path in files if PARTS not in path.parts)


def test_cells_of_maps_on_plain_images(model, images, tmp_path):
    out = tmp_path / "out"
    assert predict(model("four_heads"), out, images / "test/images") == 0
    assert written(out) == ["cells.json", "overlays/0001.png", "overlays/0002.png"]
    content = json.loads((out / "cells.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["0001.tif", "0002.tif"]
    assert [(cell["image_id"], cell["area"]) for cell in content["annotations"]] == [
        (1, 64 * 64),
        (2, 64 * 64),
    ]


def test_cells_and_maps(model, images, tmp_path):
    files, out = model("four_heads"), tmp_path / "out"
    assert predict(files, out, images / "test/images", "--maps", "--no-overlays") == 0
    names = [f"maps/000{i}_{target}.tif" for i in (1, 2) for target in sorted(FOUR)]
    assert written(out) == ["cells.json", *names]
    maps = CellInferencer(*files, "cpu").predict_maps(images / "test/images/0002.tif")
    for target in FOUR:
        found = tifffile.imread(out / "maps" / f"0002_{target}.tif")
        assert found.dtype == np.uint16 and found.shape == (64, 64)
        np.testing.assert_allclose(found / 65535, maps[target], rtol=0, atol=0.5 / 65535 + 1e-6)


def test_maps_that_are_missing_are_made_by_the_model(model, images, tmp_path):
    """Asked for later, or lost; cells and pictures stay as they are."""
    files, out, whole = model("four_heads"), tmp_path / "out", tmp_path / "whole"
    assert predict(files, whole, images / "test/images", "--maps") == 0
    assert predict(files, out, images / "test/images") == 0
    times = {path: path.stat().st_mtime_ns for path in (out / "overlays").glob("*.png")}
    assert predict(files, out, images / "test/images", "--maps", "--resume") == 0
    (out / "maps/0001_nuclei.tif").unlink()
    assert predict(files, out, images / "test/images", "--maps", "--resume") == 0
    assert snapshot(out) == snapshot(whole)
    assert times == {path: path.stat().st_mtime_ns for path in times}


def snapshot(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_maps_alone(model, images, tmp_path, capsys):
    """Names are those of the images, folders included; maps of an earlier run are not images."""
    folder = tmp_path / "images"
    for name in ("a.tif", "day2/a.tif"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((images / "test/images/0001.tif").read_bytes())
    for _ in range(2):
        assert predict(model("nuclei"), folder, folder) == 0
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("cellmm predict")]
        assert lines[-1:] == [
            f"cellmm predict: the model gives maps and no cells: maps are in {folder / 'maps'}"
        ]
        maps = ["maps/a_nuclei.tif", "maps/day2/a_nuclei.tif"]
        new = [name for name in written(folder) if not name.startswith("earlier/")]
        assert new == ["a.tif", "day2/a.tif", *maps]


def lines(capsys):
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("cellmm predict")]


def test_a_tile_that_does_nothing_says_so(model, images, tmp_path, capsys):
    """Images of 64 px, which the pipeline makes 32 px: tiles of 32 px change nothing, tiles of 16 px do."""
    config, weights = model("four_heads")
    with open(config, "a") as file:
        file.write("steps = [dict(type='LoadImage'), dict(type='Rescale', factor=0.5)]\n")
        file.write("steps = [*steps, dict(type='Normalize'), dict(type='PackCellInputs')]\n")
        file.write("test_dataloader = dict(dataset=dict(pipeline=steps))\n")
    folder = images / "test/images"
    assert predict([config, weights], tmp_path / "out", folder, "--tile", 32) == 0
    assert lines(capsys) == [
        "cellmm predict: --tile 32: 2 of 2 images are no larger than a tile when they come to the network, "
        "after all steps of the config's pipeline, and were predicted whole"
    ]
    assert predict([config, weights], tmp_path / "out2", folder, "--tile", 16) == 0
    assert lines(capsys) == []


def test_images_larger_than_those_of_training_are_tiled(model, images, tmp_path, capsys):
    files = model("four_heads")
    weights = torch.load(files[1])["state_dict"]
    for size, options, expected in (
        ([32, 32], [], "and were predicted in tiles of 32 px that share up to 8; for others: --til"),
        ([32, 32], ["--tile", 0], None),
        ([48, 48], [], None),
        (None, [], None),
    ):
        seen = None if size is None else dict(size=size, scale=[1.0, 1.0])
        torch.save(dict(state_dict=weights, meta=dict(trained_on=seen)), files[1])
        assert predict(files, tmp_path / "out", images / "test/images", "--no-overlays", *options) == 0
        said = [line for line in lines(capsys) if "earlier run" not in line]
        assert len(said) == (expected is not None)
        if expected:
            assert said[0].startswith("cellmm predict: 2 of 2 images are clearly larger than those of")
            assert expected in said[0]


def test_images_of_another_scale_are_refused(model, images, tmp_path, capsys):
    files = model("four_heads")
    weights = torch.load(files[1])["state_dict"]
    torch.save(
        dict(state_dict=weights, meta=dict(trained_on=dict(size=[64, 64], scale=[0.5, 0.5]))), files[1]
    )
    assert predict(files, tmp_path / "out", images / "test/images") == 1
    first, second = lines(capsys)
    assert "0001.tif: the pipeline scales its cells by 1, in training it was 0.5; " in first


def test_a_bad_file_among_maps(model, images, tmp_path, capsys):
    (tmp_path / "bad.tif").write_bytes(b"no image")
    out = tmp_path / "out"
    assert predict(model("nuclei"), out, tmp_path / "bad.tif", images / "test/images/0001.tif") == 1
    assert [name.rpartition("/")[2] for name in written(out)] == ["0001_nuclei.tif"]
    assert "bad.tif cannot be read" in capsys.readouterr().err


def test_a_map_as_a_file(tmp_path):
    write_map(tmp_path / "new" / "a.tif", np.float32([[0, 1, 0.5], [1 / 65535, 0.25, 2 / 65535]]))
    assert tifffile.imread(tmp_path / "new" / "a.tif").tolist() == [[0, 65535, 32768], [1, 16384, 2]]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.tif"]


def test_pictures_of_maps_while_testing(model, tmp_path):
    show = ["--work-dir", str(tmp_path / "work"), "--show-dir", str(tmp_path / "show")]
    assert cli.main(["test", *model("nuclei"), *show]) == 0
    assert "nuclei/F1" in json.loads((tmp_path / "work/metrics.json").read_text())
    assert written(tmp_path / "show") == ["0001.png", "0002.png"]
    assert cv2.imread(str(tmp_path / "show/0001.png")).shape == (256 + 22, 2 * 256 + 6, 3)
