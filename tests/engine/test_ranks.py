"""Ranks on machines of their own: rank 0 decides, and where a rank cannot follow all end with one line."""

import shutil

import pytest
import torch.distributed as dist

from cellmm.commands.cli import main as cellmm
from cellmm.engine import runner
from cellmm.engine.ranks import end_distributed, on_every_rank, on_first_rank
from cellmm.engine.work_dir import lock_work_dir, unlock_work_dir
from cellmm.errors import CellMMError

FAIL_ON_RANK_1 = """
from mmengine.dist import get_rank
from mmengine.hooks import Hook

from cellmm.errors import CellMMError
from cellmm.registry import HOOKS


@HOOKS.register_module()
class FailOnRank1(Hook):
    def before_train_iter(self, runner, **kwargs):
        if get_rank() == 1:
            raise CellMMError("a.tif: damaged; copy it again")
"""


@pytest.fixture(scope="module")
def trained(tiny_config, tmp_path_factory):
    """(config, work dir) of a training of two iterations."""
    folder = tmp_path_factory.mktemp("trained")
    config = tiny_config(folder, "train_cfg = dict(max_iters=2, val_interval=2)\n")
    assert cellmm(["train", str(config), "--work-dir", str(folder / "work")]) == 0
    return config, folder / "work"


@pytest.fixture
def disks(tmp_path):
    """The folders in which rank 0 and rank 1 look for the same relative paths."""
    folders = [tmp_path / "disk_0", tmp_path / "disk_1"]
    for folder in folders:
        folder.mkdir()
    return folders


def test_a_rank_without_the_checkpoint_ends_all(trained, disks, tmp_path, launch):
    config, work = trained
    shutil.copytree(work, disks[0] / "work")
    argv = ["train", str(config), "--work-dir", "work", "--resume"]
    text = launch(argv, tmp_path, ranks=2, status=1, folders=disks)
    lines = [line for line in text.splitlines() if line.startswith("cellmm train: ")]
    assert len(lines) == 2 and len(set(lines)) == 1, text
    assert "process 1 of 2: work/iter_2.pth: no such checkpoint file" in lines[0]
    assert "Traceback" not in text and not (disks[1] / "work").exists()


def test_a_work_dir_in_use_ends_all(trained, tmp_path, launch):
    config, work = trained
    lock_work_dir(work)
    try:
        argv = ["train", str(config), "--work-dir", str(work)]
        text = launch(argv, tmp_path, ranks=2, status=1)
    finally:
        unlock_work_dir(work)
    lines = [line for line in text.splitlines() if line.startswith("cellmm train: ")]
    assert len(lines) == 2 and all("another training is at work here (process " in line for line in lines), (
        text
    )
    assert (work / "iter_2.pth").is_file() and not (work / "earlier").exists()


def test_an_error_on_one_rank_ends_all(tiny_config, tmp_path, launch):
    """Rank 0 waits for gradients of rank 1, which has failed: its connection is closed."""
    (tmp_path / "fail_on_rank_1.py").write_text(FAIL_ON_RANK_1)
    options = 'custom_imports = dict(imports=["fail_on_rank_1"])\ncustom_hooks = [dict(type="FailOnRank1")]\n'
    config = tiny_config(tmp_path / "config", options)
    argv = ["train", str(config), "--work-dir", str(tmp_path / "work")]
    text = launch(argv, tmp_path, ranks=2, status=1, path=[tmp_path])
    assert text.count("cellmm train: a.tif: damaged; copy it again\n") == 1
    assert text.count("Traceback") == 1 and "RuntimeError" in text  # of rank 0


def test_another_file_of_the_same_name_is_named(trained, monkeypatch):
    path = str(trained[1] / "iter_2.pth")
    monkeypatch.setattr(runner, "on_every_rank", lambda work: [work(), "other"])
    with pytest.raises(CellMMError, match=r"iter_2.pth: process 1 has another file .*copy the file to each$"):
        runner._read_on_every_rank(path)


def test_alone_nothing_is_exchanged():
    assert on_first_rank(lambda: 3) == 3 and on_every_rank(lambda: 3) == [3]


def test_the_group_is_left_at_the_end(tmp_path):
    """A process that exits inside of the group is sometimes ended by SIGABRT."""
    end_distributed()  # there is none
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1)
    end_distributed()
    assert not dist.is_initialized()
