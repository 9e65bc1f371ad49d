"""tools/analysis/draw_best_worst.py: which images are chosen, the picture, one-line errors."""

import json

import cv2
import numpy as np
import pytest

from cellmm.config.load import load_config
from cellmm.errors import CellMMError
from cellmm.evaluation.results_on_dataset import load_truth


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("analysis/draw_best_worst")


@pytest.fixture(scope="module")
def config(tiny_config, tmp_path_factory):
    return tiny_config(tmp_path_factory.mktemp("config"))


@pytest.fixture(scope="module")
def truth(config):
    """The annotation of each of the three test images as results."""
    samples, _ = load_truth(load_config(config))
    return [
        [dict(image_id=s["img_id"], category_id=1, segmentation=m, score=0.9) for m in masks]
        for s in samples
        for masks in [s["eval_instances"]["masks"]]
    ]


def test_best_average_and_worst(tool):
    scores = np.array([0.5, np.nan, 0.9, 0.1, 0.55])
    assert tool.choose(scores, "S") == dict(best=2, average=0, worst=3)  # mean .5125
    assert tool.choose(scores, "object_hausdorff") == dict(best=3, average=0, worst=2)
    with pytest.raises(CellMMError, match="no image has this score"):
        tool.choose(np.array([np.nan]), "S")


@pytest.mark.parametrize("by", ["S", "object_dice", "BCE_binary"])
def test_three_rows_per_model(by, tool, config, truth, tmp_path, capsys):
    first, second, third = truth
    results = {"good": [*first, *second[:1]], "bad": third}  # the first image is found whole, the third not
    files = []
    for name, cells in results.items():
        (tmp_path / name).mkdir()
        files.append(tmp_path / name / "results.segm.json")
        files[-1].write_text(json.dumps(cells))
    out = tmp_path / "out.png"
    code = tool.main([str(config), *map(str, files), "--by", by, "--out", str(out)])
    lines = capsys.readouterr().out.splitlines()
    assert code == 0 and len(lines) == 7 and lines[-1] == str(out)
    kinds = [line.split(": ")[1].split()[0] for line in lines[:-1]]
    assert kinds == ["best", "average", "worst"] * 2
    names = [line.rsplit(", ", 1)[1] for line in lines[:-1]]
    samples, _ = load_truth(load_config(config))
    files = [sample["img_path"] for sample in samples]
    files = [(file if isinstance(file, str) else file[0]).rsplit("/", 1)[1] for file in files]
    assert names[0] == files[0] and names[2] == files[2] and names[3] == files[2]
    picture = cv2.imread(str(out))
    assert picture.shape[0] > 6 * 64 and picture.shape[1] > 3 * 64 and picture.std() > 0


def test_an_error_is_one_line(tool, config, tmp_path, capsys):
    assert tool.main([str(config), str(tmp_path / "none.json"), "--out", str(tmp_path / "a.png")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("draw_best_worst: ") and len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())
