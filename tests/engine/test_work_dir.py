"""What a work dir holds from earlier: found, passed over with a word, or put away."""

import os

import torch

from cellmm.engine.work_dir import find_training_state, put_earlier_training_away


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


def test_an_earlier_training_is_put_away(tmp_path):
    put_earlier_training_away(tmp_path)
    assert not list(tmp_path.iterdir())
    for name in ("iter_500", "best_AP_iter_500", "start"):
        checkpoint(tmp_path / f"{name}.pth")
        os.utime(tmp_path / f"{name}.pth", (1e9, 1e9))
    (tmp_path / "metrics.json").write_text("{}")
    put_earlier_training_away(tmp_path, keep=str(tmp_path / "start.pth"))
    assert sorted(path.name for path in tmp_path.glob("*.*")) == ["metrics.json", "start.pth"]
    (folder,) = (tmp_path / "earlier").iterdir()
    assert folder.name.startswith("20010909_")
    assert {path.name for path in folder.iterdir()} == {"iter_500.pth", "best_AP_iter_500.pth"}
