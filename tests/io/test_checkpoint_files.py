"""Checkpoints are found by their names."""

import pytest

from cellmm.errors import CellMMError
from cellmm.io.checkpoint_files import best_checkpoint, checkpoint_files, torchvision_file

NAMES = ("iter_90", "iter_1000", "non_finite_iter_2000", "mine", ".iter_5.trial", "epoch_3")


def test_what_training_wrote_is_known_by_name(tmp_path):
    for name in (*NAMES, "best_coco/AP_iter_90".replace("/", "_")):
        (tmp_path / f"{name}.pth").touch()
    found = [(file.path.stem, file.kind, file.unit, file.number) for file in checkpoint_files(tmp_path)]
    assert found == [
        ("epoch_3", "", "epoch", 3),
        ("best_coco_AP_iter_90", "best_coco_AP_", "iter", 90),
        ("iter_90", "", "iter", 90),
        ("iter_1000", "", "iter", 1000),
        ("non_finite_iter_2000", "non_finite_", "iter", 2000),
    ]


def test_the_best_else_the_last_that_is_finite(tmp_path):
    with pytest.raises(CellMMError, match="no checkpoint in it yet"):
        best_checkpoint(tmp_path)
    for name in NAMES:
        (tmp_path / f"{name}.pth").touch()
    assert best_checkpoint(tmp_path) == tmp_path / "iter_1000.pth"
    (tmp_path / "best_AP_iter_90.pth").touch()
    assert best_checkpoint(tmp_path) == tmp_path / "best_AP_iter_90.pth"
    assert best_checkpoint(tmp_path / "any.pth") == tmp_path / "any.pth"


def test_a_file_in_the_cache_of_torchvision(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    name = "torchvision://maskrcnn_resnet50_fpn"
    path = tmp_path / "hub" / "checkpoints" / "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"
    with pytest.raises(CellMMError, match="downloads nothing; fetch https://") as error:
        torchvision_file(name)
    assert str(error.value).startswith(str(path)) and "--from" in str(error.value)
    path.parent.mkdir(parents=True)
    path.touch()
    assert torchvision_file(name) == path
    other = path.with_name("resnet50-0676ba61.pth")  # not the one that torchvision recommends
    other.touch()
    assert torchvision_file("torchvision://resnet50") == other
    with pytest.raises(CellMMError, match="torchvision has no such model"):
        torchvision_file("torchvision://resnet51")
