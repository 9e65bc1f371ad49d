"""tools/analysis/draw_diskmask.py: a page of targets, and one of inference."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cellmm.config.load import load_config
from cellmm.registry import MODELS

ROOT = Path(__file__).parents[2]
CONFIG = """
_base_ = ["{root}/configs/diskmask/brightfield_quickstart.py"]
data_root = "{data}"
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = test_dataloader = dict(dataset=dict(data_root=data_root))
"""


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("analysis/draw_diskmask")


def test_two_pages(tool, tiny_data, tmp_path, capsys):
    config = tmp_path / "config.py"
    config.write_text(CONFIG.format(root=ROOT, data=tiny_data))
    torch.manual_seed(0)
    model = MODELS.build(load_config(config).model)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    options = ["--checkpoint", str(tmp_path / "weights.pth"), "--out", str(tmp_path / "out"), "--index", "1"]
    assert tool.main([str(config), *options]) == 0
    pages = [Path(line) for line in capsys.readouterr().out.splitlines() if line.endswith(".jpg")]
    assert [page.name for page in pages] == ["diskmask_targets.jpg", "diskmask_inference.jpg"]
    for page, rows in zip(pages, (3, 3), strict=True):
        assert cv2.imread(str(page)).shape[0] > rows * tool.SIDE * 0.9


def test_the_pixels_of_the_disks_without_a_config(tool, tmp_path, capsys):
    assert tool.main(["--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'diskmask_disks.png'}\n"
    assert cv2.imread(str(tmp_path / "diskmask_disks.png")).shape[1] > 5 * 13 * tool.PIXEL
    red = [(panel == tool.RED).all(2).sum() for panel in tool.disk_panels()]
    assert [number / (tool.PIXEL - 1) ** 2 for number in red] == [5, 13, 29, 49, 81]


def test_an_image_that_is_not_there(tool, tiny_data, tmp_path, capsys):
    config = tmp_path / "config.py"
    config.write_text(CONFIG.format(root=ROOT, data=tiny_data))
    assert tool.main([str(config), "--index", "5", "--out", str(tmp_path)]) == 1
    assert "--index 5: train_dataloader has images 0 to 4" in capsys.readouterr().err


def test_parts_by_hand(tool):
    assert tool.heat(np.array([[0.0, 2.0]])).shape == (1, 2, 3)
    assert not np.array_equal(*tool.heat(np.array([[0.0, 2.0]]))[0])
    shaded = tool.shade(np.zeros((4, 4, 3), np.uint8), np.eye(2), (100, 0, 50))
    assert shaded[0, 1].tolist() == [60, 0, 30] and shaded[0, 2].tolist() == [0, 0, 0]
    plain = np.zeros((9, 9, 3), np.uint8)
    dots = tool.with_points(plain, np.array([[4, 6], [np.nan, 1]]), radius=0)
    assert np.argwhere(dots.any(2)).tolist() == [[4, 6]] and not plain.any()


def test_another_model_is_one_line(tool, tiny_config, tmp_path, capsys):
    assert tool.main([str(tiny_config(tmp_path)), "--out", str(tmp_path)]) == 1
    assert "none of its heads is a GatewayHead" in capsys.readouterr().err
