"""The three commands on a tiny simulated set, from the command line's own entry."""

import json
from pathlib import Path

import pytest
import torch

from cellmm.commands.cli import main as cellmm

ROOT = Path(__file__).parents[2]
CONFIG = """
_base_ = ["{root}/tests/configs/tiny.py"]
data_root = "{data}"
simulation = dict(_delete_=True, splits=dict(train=3, val=1, test=2), scene="small", seed=0)
loader = dict(dataset=dict(data_root=data_root, simulation=simulation))
train_dataloader = val_dataloader = test_dataloader = loader
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config = folder / "tiny.py"
    config.write_text(CONFIG.format(root=ROOT, data=folder / "data"))
    assert cellmm(["train", str(config), "--work-dir", str(folder / "work")]) == 0
    return folder


@pytest.fixture
def read(monkeypatch) -> list[str]:
    """The checkpoints that are read, in order."""
    files, load = [], torch.load

    def noting(file, **kwargs):
        files.append(str(file))
        return load(file, **kwargs)

    monkeypatch.setattr(torch, "load", noting)
    return files


def test_training_leaves_checkpoints_that_are_plain(trained):
    assert (trained / "data" / "test" / "annotations.json").is_file()
    checkpoint = torch.load(trained / "work" / "iter_4.pth", weights_only=True)
    assert checkpoint["meta"]["iter"] == 4 and "ema_state_dict" in checkpoint
    assert "train/loss" in checkpoint["message_hub"]["log_scalars"]


def test_resume_goes_on_where_it_stopped(trained, read):
    options = ["--work-dir", str(trained / "resumed"), "--cfg-options", "train_cfg.max_iters=4"]
    start = str(trained / "work" / "iter_2.pth")
    assert cellmm(["train", str(trained / "tiny.py"), "--resume", start, *options]) == 0
    assert read.count(start) == 3  # before anything is built, for the order of classes, and to resume
    first, second = (
        torch.load(trained / name / "iter_4.pth", weights_only=True) for name in ("work", "resumed")
    )
    assert second["meta"]["iter"] == 4
    assert len(second["message_hub"]["log_scalars"]["train/loss"][0]) == 4
    for key, value in first["state_dict"].items():
        torch.testing.assert_close(second["state_dict"][key], value, rtol=1e-4, atol=1e-5)


def test_metrics_results_and_pictures(trained, read):
    """Pictures are OverlayHook's."""
    checkpoint = str(trained / "work" / "iter_4.pth")
    options = ["--work-dir", str(trained / "tested"), "--show-dir", str(trained / "tested" / "show")]
    assert cellmm(["test", str(trained / "tiny.py"), checkpoint, *options]) == 0
    assert read == [checkpoint]
    metrics = json.loads((trained / "tested" / "metrics.json").read_text())
    assert {"AP", "AP50", "AP75", "AP90", "S", "checkpoint", "config"} <= set(metrics)
    results = json.loads((trained / "tested" / "results.segm.json").read_text())
    assert {r["image_id"] for r in results} <= {1, 2}
    assert sorted(p.name for p in (trained / "tested" / "show").iterdir()) == ["0001.png", "0002.png"]


def test_predict_writes_the_cells_and_names_the_bad_file(trained, read, capsys):
    images = trained / "data" / "test" / "images"
    bad = trained / "bad.tif"
    bad.write_bytes((images / "0001.tif").read_bytes()[:300])
    argv = ["predict", str(images), str(bad), "--config", str(trained / "tiny.py")]
    argv += ["--checkpoint", str(trained / "work" / "iter_4.pth"), "--out", str(trained / "out")]
    assert cellmm(argv) == 1
    assert len(read) == 1
    assert "bad.tif" in capsys.readouterr().err
    assert len(json.loads((trained / "out/cells.json").read_text())["images"]) == 2


@pytest.mark.parametrize("what", ["absent", "truncated", "pickle", "another model"])
def test_a_bad_checkpoint_is_one_line(trained, capsys, tmp_path, what):
    path = tmp_path / "bad.pth"
    if what == "truncated":
        path.write_bytes((trained / "work" / "iter_4.pth").read_bytes()[:5000])
    elif what == "pickle":
        torch.save(dict(state_dict={}, meta=Path), path)
    elif what == "another model":
        weights = torch.load(trained / "work" / "iter_4.pth", weights_only=True)["state_dict"]
        torch.save({name: weight for name, weight in list(weights.items())[5:]}, path)
    argv = ["test", str(trained / "tiny.py"), str(path), "--work-dir", str(tmp_path)]
    assert cellmm(argv) == 1
    assert "bad.pth" in capsys.readouterr().err.strip().splitlines()[-1]


def test_a_missing_config_is_one_line(capsys):
    assert cellmm(["train", "nowhere.py"]) == 1
    cure = "`cellmm config --list` names those of cellmm"
    assert capsys.readouterr().err == f"cellmm train: nowhere.py: no such config file; {cure}\n"


def test_a_launcher_that_did_not_launch_is_one_line(trained, capsys, monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    assert cellmm(["train", str(trained / "tiny.py"), "--launcher", "pytorch"]) == 1
    assert "start with tools/dist_train.sh" in capsys.readouterr().err.splitlines()[-1]
