"""Commands with a model that has no weights: no checkpoint is needed, and none is taken."""

import json

import numpy as np
import pytest
import tifffile

from cellmm.apis.inferencer import CellInferencer
from cellmm.commands.cli import main
from cellmm.config.load import load_config
from cellmm.io.coco_index import read_coco_index

CONFIG = "classical/nuclei"


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Two images of two cells each, and one of a single value."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for number in range(3):
        image = rng.integers(90, 110 if number < 2 else 91, (96, 112)).astype(np.uint16)
        if number < 2:
            image[20:40, 20:40] = image[50:68, 60 + number : 80] = 3000
        tifffile.imwrite(folder / f"{number}.tif", image)
    return folder


@pytest.fixture(scope="module")
def found(images, tmp_path_factory):
    out = tmp_path_factory.mktemp("found") / "out"
    argv = ["predict", str(images), "--model", CONFIG, "--out", str(out), "--save", "coco,labels"]
    assert main(argv) == 0
    return out


def test_predict(found):
    content = json.loads((found / "cells.json").read_text())
    assert [len(content["images"]), len(content["annotations"])] == [3, 4]
    assert content["categories"] == [dict(id=1, name="nucleus")]
    assert tifffile.imread(found / "labels/0.ome.tif").max() == 2
    settings = json.loads((found / "run.json").read_text())["settings"]
    assert settings["--checkpoint"] == "none"


def test_what_is_found_trains_another_model(images, found, tmp_path, capsys):
    index = read_coco_index(found / "cells.json", cache=False)
    assert [len(image["instances"]) for image in index["images"]] == [2, 2, 0]
    folder = tmp_path / "data"
    folder.mkdir()
    for path in [*images.glob("*.tif"), found / "cells.json"]:
        (folder / path.name).write_bytes(path.read_bytes())
    assert main(["init", str(folder)]) == 0
    assert "cells: 4" in capsys.readouterr().out
    assert load_config(tmp_path / "data_cellmm/config.py").train_dataloader is not None


def test_the_inferencer_takes_a_name_a_path_and_a_config(images):
    for config in (CONFIG, load_config(CONFIG)):
        inferencer = CellInferencer(config)
        assert len(inferencer.predict(images / "0.tif")) == 2
        assert inferencer.classes == ("nucleus",)


def test_cellmm_test(images, found, tmp_path):
    (tmp_path / "mine.py").write_text(
        "_base_ = ['cellmm::classical/nuclei']\n"
        "test_dataloader = dict(num_workers=0, dataset=dict("
        f"data_root={str(images)!r}, img_dir='', ann_file={str(found / 'cells.json')!r}, allow_empty=True))\n"
    )
    assert main(["test", str(tmp_path / "mine.py"), "--work-dir", str(tmp_path / "work")]) == 0
    metrics = json.loads((tmp_path / "work/metrics.json").read_text())
    assert metrics["S_pooled"] == 1.0 and "checkpoint" not in metrics


@pytest.mark.parametrize(
    ("argv", "cure"),
    [
        (["train", CONFIG], "nothing to train"),
        (["train", "sparseseunet/brightfield_cpu", "--from", CONFIG], "has no weights"),
        (["test", CONFIG, "w.pth"], "leave out w.pth"),
        (["test", "diskmask/nuclei"], "give a checkpoint"),
        (["predict", "a.tif", "--config", CONFIG, "--checkpoint", "w.pth", "--out", "x"], "leave out w.pth"),
        (["predict", "a.tif", "--model", CONFIG, "--checkpoint", "w.pth", "--out", "x"], "leave out w.pth"),
        (["export", CONFIG, "--to", "onnx", "--out", "a.zip"], "no weights and no graphs"),
    ],
)
def test_what_does_not_go_together_is_one_line(argv, cure, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("a.tif", np.zeros((8, 8), np.uint8))
    assert main(argv) == 1
    line = capsys.readouterr().err
    assert cure in line and line.count("\n") == 1
