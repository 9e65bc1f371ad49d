"""What a work dir holds from earlier: found, passed over with a word, or put away."""

import os

import torch
from mmengine.config import Config

from cellmm.engine.work_dir import find_training_state, put_other_training_away


def checkpoint(path, **content):
    state = dict(state_dict=dict(w=torch.ones(1)), optimizer={}, meta=dict(iter=1))
    torch.save(dict(state, **content), path)


def test_the_newest_whole_training_state_is_found(tmp_path, caplog):
    assert find_training_state(tmp_path) is None
    assert find_training_state(tmp_path / "absent") is None
    for number in (500, 1000, 1500, 2000):
        checkpoint(tmp_path / f"iter_{number}.pth")
    checkpoint(tmp_path / "best_AP_iter_9000.pth")
    checkpoint(tmp_path / "non_finite_iter_9000.pth")
    torch.save(dict(state_dict=dict(w=torch.ones(1))), tmp_path / "iter_3000.pth")  # weights only
    (tmp_path / ".iter_2500.x7.pth").write_bytes(b"unfinished")
    assert find_training_state(tmp_path) == str(tmp_path / "iter_2000.pth")
    assert not (tmp_path / ".iter_2500.x7.pth").exists()
    whole = (tmp_path / "iter_2000.pth").read_bytes()
    (tmp_path / "iter_2000.pth").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "iter_1500.pth").write_bytes(b"")
    assert find_training_state(tmp_path) == str(tmp_path / "iter_1000.pth")


def names(folder):
    return sorted(path.name for path in folder.glob("*.*"))


def test_an_earlier_training_is_put_away(tmp_path):
    cfg = Config(dict(work_dir=str(tmp_path), load_from=str(tmp_path / "x" / ".." / "iter_4.pth")))
    put_other_training_away(cfg)
    assert not list(tmp_path.iterdir())
    (tmp_path / "x").mkdir()
    for name in ("iter_4", "iter_500", "best_AP_iter_500", "non_finite_iter_7", "mine"):
        checkpoint(tmp_path / f"{name}.pth")
        os.utime(tmp_path / f"{name}.pth", (1e9, 1e9))
    (tmp_path / "metrics.json").write_text("{}")
    put_other_training_away(cfg)
    assert names(tmp_path) == ["iter_4.pth", "metrics.json", "mine.pth"]
    (folder,) = (tmp_path / "earlier").iterdir()
    assert folder.name.startswith("20010909_")
    assert names(folder) == ["best_AP_iter_500.pth", "iter_500.pth", "non_finite_iter_7.pth"]


def test_going_on_from_a_file_puts_the_later_ones_away(tmp_path):
    for number in (2, 4, 6):
        checkpoint(tmp_path / f"iter_{number}.pth", meta=dict(iter=number))
    checkpoint(tmp_path / "best_AP_iter_2.pth")
    checkpoint(tmp_path / "best_AP_iter_6.pth")
    cfg = Config(dict(work_dir=str(tmp_path), resume=True, load_from=str(tmp_path / "iter_4.pth")))
    put_other_training_away(cfg)
    assert names(tmp_path) == ["best_AP_iter_2.pth", "iter_2.pth", "iter_4.pth"]
    other = tmp_path / "other"
    other.mkdir()
    checkpoint(other / "iter_2.pth")
    cfg.work_dir = str(other)
    put_other_training_away(cfg)
    assert names(other) == []
