"""tools/analysis/reliability.py: the table, the diagram, and options that calibrate."""

import json
import shlex

import numpy as np
import pytest

from cellmm.commands.test import parse_args as parse_test_args
from cellmm.config.load import load_config
from cellmm.evaluation import functional as F
from cellmm.evaluation.results_on_dataset import load_truth
from cellmm.models.postprocess.score_calibration import ScoreCalibration


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("analysis/reliability")


@pytest.fixture
def results(tiny_config, tmp_path):
    """The config, and a file of the cells of its two validation images: first with score .2 or .4,
    and then once more with .1."""
    config = tiny_config(tmp_path)
    samples, _ = load_truth(load_config(config), "val")
    found = []
    for sample in samples:
        for i, mask in enumerate(sample["eval_instances"]["masks"]):
            about = dict(image_id=sample["img_id"], category_id=1)
            found.append(dict(about, segmentation=mask, score=0.2 + 0.2 * (i % 2)))
            found.append(dict(about, segmentation=mask, score=0.1))  # of a cell that is taken
    path = tmp_path / "results_val.segm.json"
    path.write_text(json.dumps(found))
    return config, path, len(found) // 2


def test_right_and_wrong_predictions(tool, results, capsys):
    config, path, cells = results
    assert tool.main([str(config), str(path)]) == 0
    text = capsys.readouterr().out
    assert f"2 images, {cells} cells, {2 * cells} predictions" in text
    assert f"| 0.10 to 0.20 | {cells} | 0.100 | 0.000 | 1.000 |" in text
    assert "| 0.90 to 1.00 | 0 | - | - | - |" in text
    assert path.with_name("reliability.png").read_bytes().startswith(b"\x89PNG")
    assert "highest F1 at IoU .5, 1.000" in text
    option = text.splitlines()[-1]
    assert option.startswith("--cfg-options 'model.calibration=[(0,0),(") and option.endswith(",(1,1)]'")


def test_the_options_are_taken_and_a_second_calibration_is_not_offered(tool, results, tmp_path, capsys):
    config, path, _ = results
    tool.main([str(config), str(path)])
    line = shlex.split(capsys.readouterr().out.splitlines()[-1])
    options = parse_test_args([str(config), "best.pth", *line]).cfg_options
    cfg = load_config(config, options)
    assert ScoreCalibration(cfg.model.calibration).scores[0] == 0
    calibrated = tmp_path / "calibrated.py"
    cfg.dump(calibrated)
    assert tool.main([str(calibrated), str(path), "--out", str(tmp_path / "again.svg")]) == 0
    text = capsys.readouterr().out
    assert "highest F1" not in text and (tmp_path / "again.svg").is_file()
    refit = text.splitlines()[-1]
    assert tool.main([str(calibrated), str(path), *refit.split()]) == 0
    assert shlex.split(capsys.readouterr().out.splitlines()[-1]) == line
    assert tool.main([str(config), str(path), *line]) == 0
    assert "highest F1" not in capsys.readouterr().out


def test_calibration_is_measured_on_other_images(tool):
    """Of two images that contradict each other, each is mapped by the other one."""
    right = F.Judged(np.full(40, 0.6), np.ones(40, bool), np.ones(40))
    wrong = F.Judged(np.full(40, 0.6), np.zeros(40, bool), np.zeros(40))
    after = tool.cross_fitted([right, wrong])
    assert after.scores[:40].max() < 0.1 and after.scores[40:].min() > 0.9
    assert F.expected_calibration_error(after) > 0.9


def test_one_line_for_what_the_user_can_mend(tool, results, capsys):
    config, path, _ = results
    found = json.loads(path.read_text())
    path.write_text(json.dumps([dict(cell, score=80) for cell in found]))
    assert tool.main([str(config), str(path)]) == 1 and "scores from 80 to 80" in capsys.readouterr().err
    path.write_text(json.dumps([cell for cell in found if cell["image_id"] == found[0]["image_id"]]))
    assert tool.main([str(config), str(path)]) == 1 and "1 image(s) with pred" in capsys.readouterr().err
    path.write_text("[]")
    assert tool.main([str(config), str(path)]) == 1 and "no prediction" in capsys.readouterr().err
    assert tool.main([str(config), "none.json"]) == 1 and capsys.readouterr().err.startswith("reliability: ")
    with pytest.raises(SystemExit):
        tool.main([str(config), str(path), "--bins", "1"])
