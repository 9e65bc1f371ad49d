"""tools/analysis/draw_translations.py: inputs, what models make of them, real images."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cellmm.config.load import load_config
from cellmm.registry import MODELS
from cellmm.simulation import SceneConfig, make_dataset

ROOT = Path(__file__).parents[2]
SCENE = SceneConfig(size=(64, 72), pixel=0.5, cells=(2, 4), min_visible=20)
CONFIG = """
_base_ = ["{root}/configs/pix2pix/{name}.py"]
model = dict(generator=dict(widths=(4, 6, 8), dropout_levels=1), window=64)
val_dataloader = test_dataloader = dict(dataset=dict(data_root="{data}", simulation=None))
"""
NAMES = ("phase_to_brightfield_cpu", "autoencoder_cpu", "mask_to_brightfield_cpu")


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("analysis/draw_translations")


@pytest.fixture(scope="module")
def work_dirs(tmp_path_factory):
    """Folders as of three trainings, with weights that nothing trained."""
    root = tmp_path_factory.mktemp("trained")
    make_dataset(root / "data", splits=dict(val=2, test=1), scene=SCENE, extra_modalities=True)
    for name in NAMES:
        path = root / name / "config.py"
        path.parent.mkdir()
        path.write_text(CONFIG.format(root=ROOT, name=name, data=root / "data"))
        torch.manual_seed(0)
        model = MODELS.build(load_config(path).model)
        for key, weights in model.generator.named_parameters():
            if key.endswith("weight"):
                weights.data *= 10  # so that images have some contrast
        torch.save(model.state_dict(), path.parent / "iter_1.pth")
    return [str(root / name) for name in NAMES]


def test_a_row_per_image_and_a_column_per_input_and_model(tool, work_dirs, tmp_path, capsys):
    files = [tmp_path / "first.png", tmp_path / "again.png"]
    for out in files:
        assert tool.main([*work_dirs, "--index", "0", "1", "--out", str(out)]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == str(out)
    assert files[0].read_bytes() == files[1].read_bytes()  # dropout, too, is drawn from a seed
    picture = cv2.imread(str(files[0]))
    assert picture.shape == (2 * (22 + 64) + 6, 6 * 72 + 5 * 6, 3)
    phase, mask, *made, real = (picture[22:86, 78 * i : 78 * i + 72, 0] for i in range(6))
    assert len(np.unique(mask)) == 2 and min(len(np.unique(part)) for part in (phase, real)) > 50
    assert len({part.tobytes() for part in (phase, mask, *made, real)}) == 6


def test_the_contrast_is_that_of_the_real_image(tool):
    given, real = np.eye(4), np.linspace(0, 1, 16).reshape(4, 4)
    parts = dict(a=(given, real * 0 + 0.5, real), b=(given, real + 2, real))
    pictures = tool.columns(parts)
    assert list(pictures) == ["input", "a", "b", "real"]
    assert abs(int(pictures["a"][0, 0, 0]) - 128) <= 1 and (pictures["b"] == 255).all()
    assert pictures["real"][..., 0].min() == 0 and pictures["real"][..., 0].max() == 255


def test_the_middle_enlarged(tool):
    picture = np.arange(5 * 6).reshape(5, 6, 1)
    assert tool.middle(picture, 2, 1)[..., 0].tolist() == [[8, 9], [14, 15]]
    assert tool.middle(picture, 9, 2).shape == (10, 12, 1) == tool.middle(picture, None, 2).shape


def test_what_does_not_fit_is_one_line(tool, work_dirs, tiny_config, tmp_path, capsys):
    cells = tiny_config(tmp_path / "cells")
    torch.save(MODELS.build(load_config(cells).model).state_dict(), cells.parent / "iter_1.pth")
    for options, line in (
        ([work_dirs[1], "--index", "2"], "--index 2: val_dataloader of autoencoder_cpu has images 0 to 1"),
        ([work_dirs[0], work_dirs[0]], "two have the same name"),
        ([work_dirs[0], "--side", "0"], "side must be 1 or more"),
        ([str(cells.parent)], "its model does not translate images"),
    ):
        assert tool.main([*options, "--out", str(tmp_path / "a.png")]) == 1
        error = capsys.readouterr().err
        assert error.startswith("draw_translations: ") and line in error and len(error.splitlines()) == 1
    assert not (tmp_path / "a.png").exists()


def test_models_of_other_images(tool, work_dirs, tmp_path, capsys):
    other = tmp_path / "other"
    make_dataset(other / "data", splits=dict(val=2, test=1), scene=SCENE, extra_modalities=True, seed=1)
    (other / "config.py").write_text(CONFIG.format(root=ROOT, name=NAMES[1], data=other / "data"))
    torch.save(torch.load(Path(work_dirs[1], "iter_1.pth"), weights_only=True), other / "iter_1.pth")
    assert tool.main([work_dirs[0], str(other), "--out", str(tmp_path / "a.png")]) == 1
    assert "the val images of phase_to_brightfield_cpu, other differ" in capsys.readouterr().err
