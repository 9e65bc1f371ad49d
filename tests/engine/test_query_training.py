"""QuerySEUNet from the command line: trained, resumed, tested, predicted with in tiles, exported."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from cellmm.apis.inferencer import CellInferencer
from cellmm.commands.cli import main as cellmm

ROOT = Path(__file__).parents[2]
CONFIG = """
_base_ = ["{root}/configs/queryseunet/brightfield_cpu.py"]
data_root = "{data}"
loader = dict(num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root))
train_pipeline = [
    *_base_.before_targets,
    dict(type="ReferencePoints", stride=2),
    dict(type="DiskTargets", radius=2),
    dict(type="PackCellInputs"),
]
train_dataloader = dict(loader, batch_size=2, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = test_dataloader = loader
model = dict(
    encoder=dict(widths=(4, 4, 6, 6, 8), depth=1),
    decoder=dict(widths=(4, 6, 6), depth=1),
    heads=dict(
        instances=dict(
            num_queries=9,
            dim=16,
            num_heads=2,
            feedforward=16,
            mask_dim=4,
            layers_per_level=1,
            init="peaks",
            overlap_parts=True,
            criterion=dict(points=dict(num_points=100, num_matched=50)),
            test_cfg=dict(score_thr=0.0),
        )
    ),
)
optim_wrapper = dict(_delete_=True, type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-3))
param_scheduler = []
train_cfg = dict(max_iters=4, val_interval=4)
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=1), training_report=None)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_data) -> Path:
    folder = tmp_path_factory.mktemp("queries")
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
    logged = first["message_hub"]["log_scalars"]
    assert {"train/loss_disk", "train/loss_noisy_cls", "train/loss_consistency"} <= set(logged)


def test_it_is_tested_and_predicts_in_tiles_and_views(trained, tiny_data, tmp_path):
    model = [str(trained / "tiny.py"), str(trained / "work" / "iter_4.pth")]
    assert cellmm(["test", *model, "--work-dir", str(tmp_path / "test")]) == 0
    pixels = np.tile(tifffile.imread(next((tiny_data / "test" / "images").glob("*.tif"))), (1, 2, 2))
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata=dict(axes="ZYX"))
    options = {"model.tile": 64, "model.tile_overlap": 32, "model.tta": "flips"}
    ((_, found),) = CellInferencer(*model, cfg_options=options)([tmp_path / "a.tif"])
    assert found.masks.shape == (128, 128) and len(found.masks) == len(found.scores) > 0


def test_its_package_finds_the_same(trained, tiny_data, tmp_path):
    package = tmp_path / "a.zip"
    assert cellmm(["export", str(trained / "work"), "--to", "onnx", "--out", str(package)]) == 0
    image = str(next((tiny_data / "test" / "images").glob("*.tif")))
    ((_, ours),) = CellInferencer(str(trained / "tiny.py"), str(trained / "work" / "iter_4.pth"))([image])
    ((_, theirs),) = CellInferencer(package)([image])
    assert len(ours.scores) == len(theirs.scores) > 0
    np.testing.assert_allclose(theirs.scores, ours.scores, atol=1e-4)
