"""tools/analysis/calibrate.py: each value is scored on the validation images, the best one is named."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from cellmm.config.load import load_config
from cellmm.errors import CellMMError
from cellmm.registry import MODELS

MASK_THR, IOU_THR = "test_cfg.mask_thr", "test_cfg.nms.iou_thr"


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("analysis/calibrate")


def runner_of(score):
    head = nn.Identity()
    head.test_cfg = SimpleNamespace(mask_thr=0.5, nms=SimpleNamespace(iou_thr=0.7), most=6)
    model = SimpleNamespace(heads={"worms": head}, instance_head="worms")
    return SimpleNamespace(model=model, test=lambda: {"AP": score(head.test_cfg), "S": 0.0}), head.test_cfg


def test_each_number_is_settled_with_the_best_of_those_before(tool):
    runner, cfg = runner_of(lambda c: 1 - abs(c.mask_thr - 0.4) - abs(c.nms.iou_thr - c.mask_thr - 0.2))
    tries = [(MASK_THR, [0.3, 0.4]), (IOU_THR, [0.5, 0.6, 0.7])]
    rows, best = tool.calibrate(runner, tries, "AP")
    assert best == {MASK_THR: 0.4, IOU_THR: 0.6} and (cfg.mask_thr, cfg.nms.iou_thr) == (0.4, 0.6)
    assert [(row["name"], row["value"]) for row in rows[2:]] == [(IOU_THR, v) for v in (0.5, 0.6, 0.7)]
    assert rows[3]["AP"] == pytest.approx(1.0)


def test_of_equal_scores_the_nearest_to_the_config_and_never_an_undefined_one(tool):
    runner, _ = runner_of(lambda h: math.nan if h.mask_thr == 0.5 else 0.3)
    assert tool.calibrate(runner, [(MASK_THR, [0.1, 0.5, 0.6])], "AP")[1] == {MASK_THR: 0.6}


def test_a_number_of_the_refinement(tool):
    runner, cfg = runner_of(lambda c: 1 - abs(c.mask_thr - 0.4))
    runner.model.refine = refine = SimpleNamespace(threshold=0.35, grow=1)
    runner.test = lambda: dict(AP=1 - abs(refine.threshold - 0.5) - abs(cfg.mask_thr - 0.4))
    tries = [("refine.threshold", [0.3, 0.5]), (MASK_THR, [0.4, 0.6])]
    assert tool.calibrate(runner, tries, "AP")[1] == {"refine.threshold": 0.5, MASK_THR: 0.4}
    with pytest.raises(CellMMError, match="no such number, but .*refine.threshold"):
        tool.calibrate(runner, [("refine.grow", [1])], "AP")


def test_one_line_for_what_the_user_can_mend(tool, capsys):
    runner, _ = runner_of(lambda h: 0.0)
    with pytest.raises(CellMMError, match="no such number, but .*mask_thr"):
        tool.calibrate(runner, [("test_cfg.mask_th", [0.1])], "AP")
    with pytest.raises(CellMMError, match="none of .*'AP'"):
        tool.calibrate(runner, [(MASK_THR, [0.1])], "AP60")
    with pytest.raises(CellMMError, match="no such number, but"):
        tool.calibrate(runner, [("test_cfg.most", [4])], "AP")  # a whole number
    with pytest.raises(CellMMError, match="no value to try"):
        tool.parse_args(["a.py", "b.pth", "--try", MASK_THR])
    with pytest.raises(CellMMError, match="'high' is not a number"):
        tool.parse_args(["a.py", "b.pth", "--try", MASK_THR, "high"])
    assert tool.main(["no.py", "b.pth", "--try", MASK_THR, "0.5"]) == 1
    assert capsys.readouterr().err.startswith("calibrate: ")


def test_a_checkpoint_on_its_validation_images(tool, tiny_config, tmp_path, capsys):
    config = tiny_config(tmp_path)
    checkpoint = tmp_path / "weights.pth"
    torch.save(MODELS.build(load_config(config).model).state_dict(), checkpoint)
    tries = ["--try", MASK_THR, "0.3", "0.5"]
    assert tool.main([str(config), str(checkpoint), *tries, "--work-dir", str(tmp_path / "work")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3].startswith(f"{MASK_THR} 0.3  AP 0.") and lines[-2].startswith(f"{MASK_THR} 0.5  AP 0.")
    assert lines[-1].startswith("--cfg-options model.heads.instances.test_cfg.mask_thr=0.")


def test_numbers_chosen_on_the_test_images_are_told(tool, tiny_config, tmp_path):
    config = tiny_config(tmp_path)
    arguments = [str(config), "weights.pth", "--try", MASK_THR, "0.5"]
    assert not tool.scores_test_images(tool.parse_args(arguments))
    with_test = [*arguments, "--cfg-options", "val_dataloader.dataset.split=test"]
    assert tool.scores_test_images(tool.parse_args(with_test))
    config = Path(__file__).parents[2] / "configs" / "sparseseunet" / "bbbc010_cpu.py"
    arguments[0] = str(config)
    assert tool.scores_test_images(tool.parse_args(arguments))
    on_train = [*arguments, "--cfg-options", "val_dataloader.dataset.split=train"]
    assert not tool.scores_test_images(tool.parse_args(on_train))
