"""tools/analysis/draw_found.py: a simulated scene beside the cells that a model finds in it."""

import importlib.util
from pathlib import Path

import cv2
import pytest
import torch

from cellmm.config.load import load_config
from cellmm.registry import MODELS

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs/diskmask/brightfield_quickstart.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("draw_found", ROOT / "tools/analysis/draw_found.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_picture_of_two_panels(tool, tmp_path):
    torch.manual_seed(0)
    model = MODELS.build(load_config(CONFIG).model)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    out = tmp_path / "out"
    assert tool.main([str(CONFIG), str(tmp_path / "weights.pth"), "--out", str(out)]) == 0
    height, width = cv2.imread(str(out / "cells_found.jpg")).shape[:2]
    assert height > 256 * tool.SCALE and width > 2 * 256 * tool.SCALE


def test_nuclei_by_a_model_that_comes_with_cellmm(tool, tmp_path, capsys):
    assert tool.main(["nuclei", "--fluorescence", "--name", "nuclei.jpg", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'nuclei.jpg'}\n"
    assert cv2.imread(str(tmp_path / "nuclei.jpg")).shape[1] > 2 * 256 * tool.SCALE


def test_weights_that_are_absent_are_named(tool, tmp_path, capsys):
    assert tool.main([str(CONFIG), str(tmp_path / "none.pth"), "--out", str(tmp_path)]) == 1
    assert "draw_found: " in capsys.readouterr().err and not list(tmp_path.iterdir())
