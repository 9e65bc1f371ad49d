"""tools/analysis/draw_maps.py: predicted maps in red over the truth."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cellmm.config.load import load_config
from cellmm.registry import MODELS

ROOT = Path(__file__).parents[2]
MAPS = """
_base_ = ["{root}/configs/seunet/overlap.py"]
small = dict(decoders=dict(cytoplasm=dict(widths=(4, 4)), overlap=dict(widths=(4, 4))))
model = dict(encoder=dict(widths=(4, 4, 4)), decoder=small, postprocess=None, instance_head=None)
"""


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("analysis/draw_maps")


@pytest.fixture(scope="module")
def config(tiny_config, tmp_path_factory):
    return tiny_config(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def work_dirs(tiny_config, tmp_path_factory):
    """Folders as of trainings, of a model of instances and of one of maps; nothing trained their weights."""
    root = tmp_path_factory.mktemp("trained")
    cells, maps = tiny_config(root / "cells"), root / "maps/config.py"
    maps.parent.mkdir()
    maps.write_text(MAPS.format(root=ROOT))
    for path in (cells, maps):
        torch.manual_seed(0)
        torch.save(MODELS.build(load_config(path).model).state_dict(), path.parent / "iter_1.pth")
    return [str(cells.parent), str(maps.parent)]


def test_a_column_per_model_and_a_row_per_image(tool, config, work_dirs, tmp_path, capsys):
    out = tmp_path / "maps.png"
    options = ["--index", "0", "2", "--score-thr", "0", "--out", str(out)]
    assert tool.main([str(config), *work_dirs, *options]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(out)
    picture = cv2.imread(str(out))
    assert picture.shape == (2 * (22 + 64) + 6, 3 * 64 + 2 * 6, 3)
    red = picture[..., 2].astype(int) - picture[..., 1]
    assert (red[22:86, :64] == 0).all()  # the image itself is grey
    assert (red[22:86, 140:] > 20).any()  # probabilities of an untrained model are near .5


def test_the_truth_alone(tool, config, tmp_path, capsys):
    out = tmp_path / "truth.png"
    assert tool.main([str(config), "--target", "cytoplasm", "--out", str(out)]) == 0
    image, truth = np.split(cv2.imread(str(out)).astype(int)[22:, [*range(64), *range(70, 134)]], 2, axis=1)
    dataset = tool.DATASETS.build(load_config(config).test_dataloader.dataset)
    cells = tool.true_map(dataset[0]["data_samples"], "cytoplasm") > 0
    assert 0 < cells.mean() < 1 and np.array_equal((image != truth).any(2), cells)


def test_colours_by_hand(tool):
    """A pixel found, one missed, one found where nothing is, one of half the threshold, one of neither."""
    image, truth = np.array([[[0.0], [0], [0], [0], [100]]]), np.array([[1, 1, 0, 0, 0]])
    drawn = tool.over_truth(image, truth, np.array([[0.9, 0, 0.3, 0.15, 0]]), 0.3)[0].tolist()
    assert drawn == [[255, 77, 77], [255, 255, 255], [178, 0, 0], [89, 0, 0], [127, 127, 127]]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--index", "3"], "--index 3: test_dataloader has images 0 to 2"),
        (["{maps}", "--target", "border"], "the model gives no map 'border'"),
        (["{cells}/none"], "no such model"),
    ],
)
def test_an_error_is_one_line(tool, config, work_dirs, options, line, tmp_path, capsys):
    given = [option.format(cells=work_dirs[0], maps=work_dirs[1]) for option in options]
    assert tool.main([str(config), *given, "--out", str(tmp_path / "a.png")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("draw_maps: ") and line in error and len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())
