"""The same validation images at each validation, as files of the work dir."""

import cv2
import pytest
from mmengine.runner import Runner

from cellmm.commands.train import main
from cellmm.engine.hooks import ValidationPicturesHook


def test_the_same_images_at_each_validation(tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr(Runner, "_log_env", lambda *args: None)
    config = tiny_config(tmp_path / "configs", "train_cfg = dict(max_iters=4, val_interval=2)\n")
    main([str(config), "--work-dir", str(tmp_path / "work")])
    folder = tmp_path / "work/validation_pictures"
    assert sorted(path.name for path in folder.iterdir()) == ["iter_2", "iter_4"]
    names = [sorted(path.name for path in (folder / step).iterdir()) for step in ("iter_2", "iter_4")]
    assert names[0] == names[1] and len(names[0]) == 2  # all of the validation set
    picture = cv2.imread(str(folder / "iter_4" / names[0][0]))
    assert picture.shape[1] == 2 * 64 * 4 + 6  # annotation and prediction


def test_fewer_than_all(tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr(Runner, "_log_env", lambda *args: None)
    lines = "train_cfg = dict(max_iters=2, val_interval=2)\n"
    lines += "default_hooks['validation_pictures'] = dict(type='ValidationPicturesHook', number=1)\n"
    main([str(tiny_config(tmp_path / "configs", lines)), "--work-dir", str(tmp_path / "work")])
    assert len(list((tmp_path / "work/validation_pictures/iter_2").iterdir())) == 1


def test_what_is_refused():
    with pytest.raises(ValueError, match="number must be 1 or more, got 0"):
        ValidationPicturesHook(0)
