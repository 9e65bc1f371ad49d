"""Checkpoints: read with weights_only, refused in one line, nothing in them runs."""

import os

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader

from cellmm.engine.checkpoint import load_checkpoint, load_weights, use_safe_loader
from cellmm.errors import CellMMError


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("load", [load_checkpoint, load_weights])
def test_a_pickle_that_runs_code_runs_nothing(tmp_path, load):
    evil = Evil(str(tmp_path / "ran"))
    torch.save(dict(state_dict=dict(w=torch.ones(1)), meta=evil), tmp_path / "evil.pth")
    with pytest.raises(CellMMError, match="evil.pth: refused") as info:
        load(tmp_path / "evil.pth")
    assert "\n" not in str(info.value)
    assert not (tmp_path / "ran").exists()


def test_code_in_meta_config_is_dropped(tmp_path):
    torch.save(dict(meta=dict(config="raise SystemExit", cfg="x = 1", iter=3)), tmp_path / "a.pth")
    assert load_checkpoint(tmp_path / "a.pth")["meta"] == dict(cfg="x = 1", iter=3)


def test_damaged_absent_and_remote_files(tmp_path):
    torch.save(dict(state_dict=dict(w=torch.ones(1000))), tmp_path / "whole.pth")
    half = (tmp_path / "whole.pth").read_bytes()
    (tmp_path / "half.pth").write_bytes(half[: len(half) // 2])
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "text.pth").write_text("not a checkpoint")
    for name in ("half.pth", "empty.pth", "text.pth", "absent.pth"):
        with pytest.raises(CellMMError, match=name):
            load_checkpoint(tmp_path / name)
    for url in ("https://example.org/a.pth", "torchvision://resnet50"):
        with pytest.raises(CellMMError, match="downloads nothing"):
            load_checkpoint(url)


def test_weights_with_and_without_a_training_state(tmp_path):
    weights = dict(w=torch.arange(3.0))
    torch.save(dict(state_dict={"module.w": weights["w"]}, meta={}), tmp_path / "a.pth")
    torch.save(weights, tmp_path / "b.pth")
    torch.save(dict(meta=dict(iter=1)), tmp_path / "c.pth")
    for name in ("a.pth", "b.pth"):
        assert load_weights(tmp_path / name)["w"].tolist() == [0, 1, 2]
    with pytest.raises(CellMMError, match="no weights"):
        load_weights(tmp_path / "c.pth")


def test_all_of_mmengines_schemes_go_through_the_safe_loader(tmp_path):
    before = dict(CheckpointLoader._schemes)
    try:
        use_safe_loader()
        for source in ("https://example.org/a.pth", "open-mmlab://a", str(tmp_path / "absent.pth")):
            with pytest.raises(CellMMError):
                CheckpointLoader.load_checkpoint(source, logger="silent")
    finally:
        CheckpointLoader._schemes = before
