"""The contact sheet: written before the first step, without any effect on the training."""

import cv2
import pytest
import torch
from mmengine.runner import Runner

from cellmm.commands.train import main
from cellmm.engine.hooks import ContactSheetHook


@pytest.fixture
def train(tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr(Runner, "_log_env", lambda *args: None)

    def run(work, lines, *more):
        config = tiny_config(tmp_path / "configs", "train_cfg = dict(max_iters=3, val_interval=3)\n" + lines)
        main([str(config), "--work-dir", str(tmp_path / work), *more])
        return torch.load(tmp_path / work / "iter_3.pth", weights_only=True)

    return run


def test_a_training_draws_the_same_with_and_without_it(train, tmp_path):
    """And one that is resumed keeps the sheet that it began with."""
    with_sheet = train("with", "")
    without = train("without", "default_hooks['contact_sheet'] = None\n")
    assert not (tmp_path / "without/contact_sheet.png").exists()
    for name, value in with_sheet["state_dict"].items():
        assert torch.equal(value, without["state_dict"][name]), name
    losses, others = (state["message_hub"]["log_scalars"]["train/loss"] for state in (with_sheet, without))
    assert torch.equal(losses[0], others[0])
    sheet = tmp_path / "with/contact_sheet.png"
    assert cv2.imread(str(sheet)).shape[1] > 600
    sheet.write_bytes(b"of before")
    train("with", "", "--resume")
    assert sheet.read_bytes() == b"of before"


def test_what_is_refused():
    with pytest.raises(ValueError, match="number must be 1 or more, got 0"):
        ContactSheetHook(0)
