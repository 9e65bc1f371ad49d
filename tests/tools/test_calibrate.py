"""tools/analysis/calibrate.py: each value is scored on the validation images, the best one is named."""

import importlib.util
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from cellmm.config.load import load_config
from cellmm.errors import CellMMError
from cellmm.registry import MODELS

TOOL = Path(__file__).parents[2] / "tools" / "analysis" / "calibrate.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("calibrate", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def runner_of(score):
    head = nn.Identity()
    head.mask_thr, head.nms_thr, head.train_gates = 0.5, 0.7, 6
    model = SimpleNamespace(heads={"worms": head}, instance_head="worms")
    return SimpleNamespace(model=model, test=lambda: {"AP": score(head), "S": 0.0}), head


def test_each_number_is_settled_with_the_best_of_those_before(tool):
    runner, head = runner_of(lambda h: 1 - abs(h.mask_thr - 0.4) - abs(h.nms_thr - h.mask_thr - 0.2))
    rows, best = tool.calibrate(runner, [("mask_thr", [0.3, 0.4]), ("nms_thr", [0.5, 0.6, 0.7])], "AP")
    assert best == {"mask_thr": 0.4, "nms_thr": 0.6} and (head.mask_thr, head.nms_thr) == (0.4, 0.6)
    assert [(row["name"], row["value"]) for row in rows[2:]] == [("nms_thr", v) for v in (0.5, 0.6, 0.7)]
    assert rows[3]["AP"] == pytest.approx(1.0)


def test_of_equal_scores_the_nearest_to_the_config_and_never_an_undefined_one(tool):
    runner, _ = runner_of(lambda h: math.nan if h.mask_thr == 0.5 else 0.3)
    assert tool.calibrate(runner, [("mask_thr", [0.1, 0.5, 0.6])], "AP")[1] == {"mask_thr": 0.6}


def test_one_line_for_what_the_user_can_mend(tool, capsys):
    runner, _ = runner_of(lambda h: 0.0)
    with pytest.raises(CellMMError, match="no such number, but .*mask_thr"):
        tool.calibrate(runner, [("mask_th", [0.1])], "AP")
    with pytest.raises(CellMMError, match="none of .*'AP'"):
        tool.calibrate(runner, [("mask_thr", [0.1])], "AP60")
    with pytest.raises(CellMMError, match="no such number, but"):
        tool.calibrate(runner, [("train_gates", [4])], "AP")  # a whole number, and none of predicting
    with pytest.raises(CellMMError, match="no value to try"):
        tool.parse_args(["a.py", "b.pth", "--try", "mask_thr"])
    with pytest.raises(CellMMError, match="'high' is not a number"):
        tool.parse_args(["a.py", "b.pth", "--try", "mask_thr", "high"])
    assert tool.main(["no.py", "b.pth", "--try", "mask_thr", "0.5"]) == 1
    assert capsys.readouterr().err.startswith("calibrate: ")


def test_a_checkpoint_on_its_validation_images(tool, tiny_config, tmp_path, capsys):
    config = tiny_config(tmp_path)
    checkpoint = tmp_path / "weights.pth"
    torch.save(MODELS.build(load_config(config).model).state_dict(), checkpoint)
    tries = ["--try", "mask_thr", "0.3", "0.5"]
    assert tool.main([str(config), str(checkpoint), *tries, "--work-dir", str(tmp_path / "work")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3].startswith("mask_thr 0.3  AP 0.") and lines[-2].startswith("mask_thr 0.5  AP 0.")
    assert lines[-1].startswith("--cfg-options model.heads.instances.mask_thr=0.")


def test_numbers_chosen_on_the_test_images_are_told(tool, tiny_config, tmp_path):
    config = tiny_config(tmp_path)
    arguments = [str(config), "weights.pth", "--try", "mask_thr", "0.5"]
    assert not tool.scores_test_images(tool.parse_args(arguments))
    with_test = [*arguments, "--cfg-options", "val_dataloader.dataset.split=test"]
    assert tool.scores_test_images(tool.parse_args(with_test))
    config = Path(__file__).parents[2] / "configs" / "sparseseunet" / "bbbc010_cpu.py"
    arguments[0] = str(config)
    assert tool.scores_test_images(tool.parse_args(arguments))
    on_train = [*arguments, "--cfg-options", "val_dataloader.dataset.split=train"]
    assert not tool.scores_test_images(tool.parse_args(on_train))
