"""What a work dir holds from earlier: found, passed over with a word, or put away."""

import errno
import os
import signal
import socket

import pytest
import torch
from mmengine.config import Config

from cellmm.engine import work_dir
from cellmm.engine.work_dir import (
    find_training_state,
    lock_work_dir,
    put_other_training_away,
    unlock_work_dir,
)
from cellmm.errors import CellMMError
from cellmm.io.files import UNFINISHED, atomic_path


def checkpoint(path, **content):
    state = dict(state_dict=dict(w=torch.ones(1)), optimizer={}, meta=dict(iter=1))
    torch.save(dict(state, **content), path)


def test_the_newest_whole_training_state_is_found(tmp_path):
    assert find_training_state(tmp_path) is None
    assert find_training_state(tmp_path / "absent") is None
    for number in (500, 1000, 1500, 2000):
        checkpoint(tmp_path / f"iter_{number}.pth")
    checkpoint(tmp_path / "best_AP_iter_9000.pth")
    checkpoint(tmp_path / "non_finite_iter_9000.pth")
    torch.save(dict(state_dict=dict(w=torch.ones(1))), tmp_path / "iter_3000.pth")  # weights only
    assert find_training_state(tmp_path) == str(tmp_path / "iter_2000.pth")
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


def test_only_what_cellmm_left_unfinished_is_removed(tmp_path):
    own = [
        f".iter_2500{UNFINISHED}x7_abcde.pth",
        f".best_AP_iter_4{UNFINISHED}01234567.pth",
        ".iter_0.trial.pth",
        f"..iter_0.trial{UNFINISHED}01234567.pth",
    ]
    users = [
        ".x.pth",
        "..x.pth",
        ".trial.pth",
        ".iter_2500.x7.pth",
        ".iter_4.pth",
        f".mine{UNFINISHED}01234567.pth",
        ".iter_4.cellmm-x",
    ]
    for name in (*own, *users):
        (tmp_path / name).write_bytes(b"")
    find_training_state(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(users)
    put_other_training_away(Config(dict(work_dir=str(tmp_path))))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(users)


def test_a_file_that_is_being_written_has_such_a_name(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "iter_500.pth") as path:
        kept = tmp_path / "kept" / path.name
        kept.parent.mkdir()
        kept.write_bytes(b"")
        raise KeyboardInterrupt
    find_training_state(kept.parent)
    assert not kept.exists()


@pytest.mark.parametrize("name", ["O'Brien", 'it\'s "odd"', "plain"])
def test_what_the_config_names_stays_whatever_its_path_holds(tmp_path, name):
    work = tmp_path / name
    work.mkdir()
    for number in (4, 6):
        checkpoint(work / f"iter_{number}.pth")
    cfg = Config(dict(work_dir=str(work), load_from=str(work / "iter_4.pth"), model=dict(init=[dict(a=3)])))
    put_other_training_away(cfg)
    assert names(work) == ["iter_4.pth"]


def test_what_was_put_away_before_is_not_overwritten(tmp_path):
    for content in (b"first", b"second"):
        (tmp_path / "iter_4.pth").write_bytes(content)
        os.utime(tmp_path / "iter_4.pth", (1e9, 1e9))
        put_other_training_away(Config(dict(work_dir=str(tmp_path))))
    assert {path.read_bytes() for path in tmp_path.glob("earlier/*/iter_4.pth")} == {b"first", b"second"}


def in_a_fork(work):
    """Number of a new process that runs ``work()``, and what it says: its answer, or the error's line."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, str(work()).encode())
            signal.pause()
        except CellMMError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    said = os.read(reading, 1000).decode()
    for end in (reading, writing):
        os.close(end)
    return child, said


def test_a_second_training_is_refused_until_the_first_is_dead(tmp_path):
    """The first is killed, as by a crash or a time limit."""
    work = tmp_path / "new" / "work"
    first, said = in_a_fork(lambda: lock_work_dir(work))
    assert said == "None"
    with pytest.raises(CellMMError) as info:
        lock_work_dir(work)
    assert f"(process {first} on {socket.gethostname()})" in str(info.value)
    assert str(info.value).endswith("--work-dir")
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    lock_work_dir(work)
    lock_work_dir(work)  # what this process holds it may take again
    unlock_work_dir(work)
    unlock_work_dir(work)


def test_no_worker_keeps_the_lock_of_a_dead_training(tmp_path):
    """The lock belongs to the process that took it, not to what is forked from it."""

    def train():
        lock_work_dir(tmp_path)
        return in_a_fork(os.getpid)[0]

    first, worker = in_a_fork(train)
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    lock_work_dir(tmp_path)
    unlock_work_dir(tmp_path)
    os.kill(int(worker), signal.SIGKILL)


def test_a_disk_without_locks_is_named(tmp_path, monkeypatch, log):
    def lockf(*args):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(work_dir.fcntl, "lockf", lockf)
    lock_work_dir(tmp_path)
    monkeypatch.setattr(work_dir, "fcntl", None)
    lock_work_dir(tmp_path)
    assert log.text.count(f"{tmp_path}: cannot be locked here (No locks available)") == 2
