"""Checkpoints are found by their names."""

import pytest

from cellmm.errors import CellMMError
from cellmm.io.checkpoint_files import best_checkpoint, checkpoint_files

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
