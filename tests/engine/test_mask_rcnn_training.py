"""Mask R-CNN with its maps from the command line: trained, resumed, tested, and predicted in tiles."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from cellmm.apis.inferencer import CellInferencer
from cellmm.commands.cli import main as cellmm

ROOT = Path(__file__).parents[2]
CONFIG = """
_base_ = ["{root}/configs/maskrcnn/brightfield_maps_cpu.py"]
data_root = "{data}"
loader = dict(num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root))
train_dataloader = val_dataloader = test_dataloader = loader
model = dict(
    decoder=dict(channels=8),
    heads=dict(
        instances=dict(
            max_proposals=20, roi_samples=16, box_hidden=8, mask_hidden=8, test_cfg=dict(score_thr=0.3)
        ),
        center=dict(hidden=4),
        boundary=dict(hidden=4),
    ),
)
optim_wrapper = dict(_delete_=True, type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-3))
param_scheduler = []
train_cfg = dict(max_iters=4, val_interval=4)
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=1), training_report=None)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_data) -> Path:
    folder = tmp_path_factory.mktemp("maskrcnn")
    (folder / "tiny.py").write_text(CONFIG.format(root=ROOT, data=tiny_data))
    assert cellmm(["train", str(folder / "tiny.py"), "--work-dir", str(folder / "work")]) == 0
    return folder


def test_a_resumed_training_ends_with_the_same_bits(trained):
    start, again = str(trained / "work" / "iter_2.pth"), trained / "again"
    assert cellmm(["train", str(trained / "tiny.py"), "--resume", start, "--work-dir", str(again)]) == 0
    first, second = (
        torch.load(folder / "iter_4.pth", weights_only=True) for folder in (trained / "work", again)
    )
    assert first["state_dict"].keys() == second["state_dict"].keys()
    assert all(torch.equal(value, second["state_dict"][name]) for name, value in first["state_dict"].items())
    scalars = first["message_hub"]["log_scalars"]
    weighted = [scalars[f"train/{name}.loss_map"][0] for name in ("center", "boundary")]
    assert all(values[0] > 0 and values[-1] == 0 for values in weighted)  # annealed by half of the training


def test_it_is_tested_and_predicts_in_tiles(trained, tiny_data, tmp_path):
    model = [str(trained / "tiny.py"), str(trained / "work" / "iter_4.pth")]
    assert cellmm(["test", *model, "--work-dir", str(tmp_path / "test")]) == 0
    pixels = np.tile(tifffile.imread(next((tiny_data / "test" / "images").glob("*.tif"))), (1, 2, 2))
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata=dict(axes="ZYX"))
    options = {"model.tile": 64, "model.tile_overlap": 32}
    ((_, found),) = CellInferencer(*model, cfg_options=options)([tmp_path / "a.tif"])
    assert found.masks.shape == (128, 128) and len(found.masks) == len(found.scores)


def test_its_export_is_refused_in_one_line(trained, tmp_path, capsys):
    model = [str(trained / "work"), "--to", "onnx"]
    assert cellmm(["export", *model, "--out", str(tmp_path / "a.zip")]) != 0
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "MaskRCNNHead does not say which of its parts become graphs" in error


@pytest.mark.parametrize("option", ["--from", "load_from"])
def test_absent_weights_of_torchvision_are_one_line(option, trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    weights = "torchvision://maskrcnn_resnet50_fpn"
    start = ["--from", weights] if option == "--from" else ["--cfg-options", f"load_from={weights}"]
    command = ["train", str(trained / "tiny.py"), "--work-dir", str(tmp_path / "work"), *start]
    assert cellmm(command) != 0
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth: no such file" in error and "downloads nothing" in error
