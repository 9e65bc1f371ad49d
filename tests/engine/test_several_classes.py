"""Cells of four classes: from a label image per class through training to every kind of result."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from roifile import roiread

from cellmm.commands.cli import main as cellmm
from cellmm.engine.hooks import TrainMetricsHook
from cellmm.engine.training_report import read_scalars
from cellmm.simulation.class_folders import make_class_folders

ROOT = Path(__file__).parents[2]
CLASSES = ["round", "elongated", "textured", "large"]
DATA = """
data_root = "{data}"
loader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root, simulation=None)
)
train_dataloader = dict(loader, batch_size=2)
val_dataloader = test_dataloader = loader
train_cfg = dict(max_iters=4, val_interval=2)
param_scheduler = []
default_hooks = dict(
    checkpoint=dict(interval=2), logger=dict(interval=1), train_metrics=dict(number=2), contact_sheet=None,
    validation_pictures=None, training_report=None,
)
"""
MODELS = dict(
    diskmask="""
_base_ = ["{root}/configs/diskmask/four_class.py"]
model = dict(
    encoder=dict(widths=(4, 4, 4, 4)),
    decoder=dict(widths=(4, 4, 4)),
    heads=dict(instances=dict(
        feature_channels=4, mask_decoder=dict(widths=(4, 4)), windows=dict(size=32),
        finder=dict(score_thr=0.0), test_cfg=dict(score_thr=0.0, mask_thr=0.1))),
)
""",
    sparseseunet="""
_base_ = [
    "{root}/configs/_base_/default_runtime.py",
    "{root}/configs/_base_/models/sparseseunet_cpu.py",
    "{root}/configs/_base_/datasets/four_class.py",
    "{root}/configs/_base_/schedules/cpu_short.py",
]
model = dict(
    data_preprocessor=dict(in_channels=3),
    encoder=dict(widths=(4, 4, 4)),
    decoder=dict(widths=(4, 4)),
    heads=dict(instances=dict(
        num_classes=4, num_queries=24, feature_dim=8, instance_branch=dict(channels=4, depth=1),
        mask_branch=dict(channels=4, depth=1, mask_dim=4), test_cfg=dict(score_thr=0.0))),
)
default_hooks = dict(train_metrics=dict(type="TrainMetricsHook"))
""",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("classes") / "data"
    scene = dict(size=(64, 64), pixel=1.0, cells=(4, 6), min_visible=20, neighbour_share=0.5)
    make_class_folders(root, splits=dict(train=4, val=2, test=2), scene=scene, absent=0.0, empty=0.0)
    return root


def config_of(name: str, folder: Path, data: Path, more: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    base, path = folder / f"{name}_base.py", folder / f"{name}.py"
    base.write_text(MODELS[name].format(root=ROOT))
    path.write_text(f'_base_ = ["./{base.name}"]\n' + DATA.format(data=data) + more)
    return path


@pytest.mark.parametrize("name", MODELS)
def test_every_result_names_the_class(name, data, tmp_path, monkeypatch):
    monkeypatch.setattr(Runner, "_log_env", lambda *args: None)
    config, work = config_of(name, tmp_path / "configs", data), tmp_path / "work"
    assert cellmm(["train", str(config), "--work-dir", str(work)]) == 0
    rows = [row for row in read_scalars(work) if "AP" in row]
    assert len(rows) == 2
    for row in rows:
        assert {"train/AP", "train/AP50", "train/S", *(f"AP/{label}" for label in CLASSES)} <= set(row)
        assert all(0 <= row[key] <= 1 for key in ("AP", "train/AP") if not np.isnan(row[key]))
    checkpoint = str(work / "iter_4.pth")
    assert cellmm(["test", str(config), checkpoint, "--work-dir", str(tmp_path / "tested")]) == 0
    numbers = json.loads((tmp_path / "tested/metrics.json").read_text())
    assert {f"AP/{label}" for label in CLASSES} <= set(numbers)
    table = json.loads((tmp_path / "tested/results.confusion.json").read_text())
    assert table["rows"] == [*CLASSES, "background"]
    results = json.loads((tmp_path / "tested/results.segm.json").read_text())
    assert results and {result["category_id"] for result in results} <= {1, 2, 3, 4}
    counted = sum(result["score"] >= table["score_thr"] for result in results)
    assert np.array(table["matrix"])[:, :4].sum() == counted

    image, out = data / "test/0001/image.tif", tmp_path / "found"
    options = ["--config", str(config), "--checkpoint", checkpoint, "--score-thr", "0"]
    saved = ["--save", "coco,rois,geojson,csv,png"]
    assert cellmm(["predict", str(image), *options, "--out", str(out), *saved]) == 0
    coco = json.loads((out / "cells.json").read_text())
    assert [category["name"] for category in coco["categories"]] == CLASSES
    names = [CLASSES[cell["category_id"] - 1] for cell in coco["annotations"]]
    assert names
    (table,) = out.glob("*.csv")
    assert [row["class"] for row in csv.DictReader(table.open())] == names
    features = json.loads(next((out / "geojson").iterdir()).read_text())["features"]
    assert [feature["properties"]["classification"]["name"] for feature in features] == names
    rois = roiread(next((out / "rois").iterdir()))
    assert [roi.name.partition("_")[2] for roi in rois] == names


def test_scores_of_training_images_change_nothing_in_training(data, tmp_path, monkeypatch):
    """The same weights with and without the hook, and after a resume, which gives the same scores too."""
    monkeypatch.setattr(Runner, "_log_env", lambda *args: None)
    with_hook = config_of("sparseseunet", tmp_path / "with", data)
    without = config_of("sparseseunet", tmp_path / "without", data, "default_hooks['train_metrics'] = None\n")
    for name, config in (("a", with_hook), ("b", without)):
        assert cellmm(["train", str(config), "--work-dir", str(tmp_path / name)]) == 0
    start = ["--resume", str(tmp_path / "a/iter_2.pth")]
    assert cellmm(["train", str(with_hook), "--work-dir", str(tmp_path / "c"), *start]) == 0
    a, b, c = (torch.load(tmp_path / name / "iter_4.pth", weights_only=True)["state_dict"] for name in "abc")
    assert all(torch.equal(a[key], b[key]) and torch.equal(a[key], c[key]) for key in a)
    scores = [[row["train/S"] for row in read_scalars(tmp_path / name) if "train/S" in row] for name in "ac"]
    assert len(scores[0]) == 2 and scores[0][-1] == scores[1][-1]
    assert not any("train/S" in row for row in read_scalars(tmp_path / "b"))


def test_what_the_hook_refuses(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Runner, "_log_env", lambda *args: None)
    with pytest.raises(ValueError, match="number must be 1 or more"):
        TrainMetricsHook(number=0)
    more = "default_hooks['train_metrics'] = dict(type='TrainMetricsHook', keys=['mAP'])\n"
    config = config_of("sparseseunet", tmp_path / "configs", data, more)
    assert cellmm(["train", str(config), "--work-dir", str(tmp_path / "work")]) == 1
    assert "keys ['mAP'] are not given by val_evaluator; it gives ['AP'" in capsys.readouterr().err
