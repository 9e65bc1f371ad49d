"""When checkpoints are written and removed, and what happens on a full disk."""

import errno
import os
import shutil

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric

from cellmm.commands.cli import main as cellmm
from cellmm.engine.mmengine_fixes.atomic_backend import AtomicBackend
from cellmm.errors import CellMMError
from cellmm.io import files
from cellmm.registry import METRICS

EARLY = """
train_cfg = dict(max_iters=8, val_interval=2)
default_hooks["checkpoint"] = dict(interval=3, max_keep_ckpts={keep})
custom_hooks = [
    dict(type="EarlyStoppingHook", monitor="AP", rule="greater", min_delta=2.0, patience=2),
]
"""


def train(config, work, *options):
    return cellmm(["train", str(config), "--work-dir", str(work), *options])


@pytest.mark.parametrize(
    ("options", "key"), [((), "interval"), (("interval=4", "save_begin=2"), "save_begin")]
)
def test_interval_and_accumulated_gradients_must_fit(options, key, tiny_config, tmp_path, capsys):
    path = tiny_config(tmp_path, 'optim_wrapper["accumulative_counts"] = 4\n')
    options = [f"default_hooks.checkpoint.{option}" for option in options]
    assert train(path, tmp_path / "work", *(["--cfg-options", *options] if options else [])) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"default_hooks.checkpoint.{key}: 2 is not a multiple" in line
    assert line.endswith(" 4")  # the cure


def test_stopping_early_is_kept_and_resumed(tiny_config, tmp_path):
    """Validations at 2, 4 and 6: the second and third are no better by 2, so training ends at 6."""
    config = tiny_config(tmp_path, EARLY.format(keep=1))
    assert train(config, tmp_path / "whole") == 0
    assert [path.name for path in (tmp_path / "whole").glob("*.pth")] == ["iter_6.pth"]
    whole = torch.load(tmp_path / "whole" / "iter_6.pth", weights_only=True)
    assert whole["early_stopping"]["AP"]["wait_count"] == 2
    config = tiny_config(tmp_path, EARLY.format(keep=9).replace("interval=3", "interval=1"))
    assert train(config, tmp_path / "every") == 0
    for start in (1, 4, 5, 6):  # 4: the checkpoint that was written before the validation of its iteration
        work = tmp_path / f"from_{start}"
        assert train(config, work, "--resume", str(tmp_path / "every" / f"iter_{start}.pth")) == 0
        resumed = torch.load(work / "iter_6.pth", weights_only=True)
        assert resumed["early_stopping"] == whole["early_stopping"]
        for name, weight in whole["state_dict"].items():
            assert torch.equal(weight, resumed["state_dict"][name])
        assert not (work / "iter_7.pth").exists()


def test_resume_without_a_checkpoint_starts_and_says_so(tiny_config, tmp_path, launch):
    argv = ["train", str(tiny_config(tmp_path)), "--work-dir", str(tmp_path / "work"), "--resume"]
    assert "work: no checkpoint to resume from; training starts from the beginning" in launch(argv, tmp_path)
    assert (tmp_path / "work" / "iter_4.pth").is_file()


def test_a_second_training_does_not_touch_the_first(tiny_config, tmp_path):
    config = tiny_config(tmp_path)
    assert train(config, tmp_path / "work") == 0
    first = (tmp_path / "work" / "iter_4.pth").read_bytes()
    options = ["--cfg-options", "randomness.seed=1", "train_cfg.max_iters=2"]
    assert train(config, tmp_path / "work", *options) == 0
    assert [path.name for path in (tmp_path / "work").glob("*.pth")] == ["iter_2.pth"]
    (kept,) = (tmp_path / "work" / "earlier").glob("*/iter_4.pth")
    assert kept.read_bytes() == first


def test_a_full_disk_leaves_the_checkpoint_before(tiny_config, tmp_path, capsys, monkeypatch):
    config = tiny_config(tmp_path, 'default_hooks["checkpoint"] = dict(interval=2, max_keep_ckpts=1)\n')
    fsync = os.fsync

    def full(handle):
        if (tmp_path / "work" / "iter_2.pth").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(files.os, "fsync", full)
    assert train(config, tmp_path / "work") == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "iter_4.pth" in line and "No space left" in line and "--resume" in line
    assert [path.name for path in (tmp_path / "work").glob("*.pth")] == ["iter_2.pth"]
    assert torch.load(tmp_path / "work" / "iter_2.pth", weights_only=True)["meta"]["iter"] == 2
    assert [path.name for path in (tmp_path / "work").glob(".*")] == [".lock"]


def test_what_a_kill_left_outdated_is_removed(tiny_config, tmp_path):
    """The training was killed after a checkpoint was in place, before the outdated one was removed."""
    config = tiny_config(tmp_path, 'default_hooks["checkpoint"] = dict(interval=1, max_keep_ckpts=2)\n')
    work = tmp_path / "work"
    assert train(config, work) == 0
    assert sorted(path.name for path in work.glob("*.pth")) == ["iter_3.pth", "iter_4.pth"]
    for name in ("iter_1.pth", "iter_2.pth"):  # iter_1 was not left by the kill: somebody put it there
        shutil.copy(work / "iter_3.pth", work / name)
    assert train(config, work, "--resume") == 0
    assert sorted(path.name for path in work.glob("*.pth")) == ["iter_1.pth", "iter_3.pth", "iter_4.pth"]


def test_more_patience_goes_on_with_a_training_that_stopped(tiny_config, tmp_path):
    config = tiny_config(tmp_path, EARLY.format(keep=1))
    assert train(config, tmp_path / "work") == 0
    config = tiny_config(tmp_path, EARLY.format(keep=1).replace("patience=2", "patience=9"))
    assert train(config, tmp_path / "work", "--resume") == 0
    assert [path.name for path in (tmp_path / "work").glob("*.pth")] == ["iter_8.pth"]


def test_atomic_backend(tmp_path):
    backend = AtomicBackend()
    backend.put_text("one", tmp_path / "new" / "a.txt")
    assert (tmp_path / "new" / "a.txt").read_text() == "one"
    (tmp_path / "file").write_text("")
    with pytest.raises(CellMMError, match="b.pth: cannot be written"):
        backend.put(b"two", tmp_path / "file" / "b.pth")


def test_resume_prefers_the_work_dir_to_the_start_weights_of_the_config(tiny_config, tmp_path):
    """A fine-tuning that was killed; before its first checkpoint it starts from its weights again."""
    config = tiny_config(tmp_path)
    assert train(config, tmp_path / "first") == 0
    config = tiny_config(tmp_path, f"load_from = {str(tmp_path / 'first' / 'iter_4.pth')!r}\n")
    for name in ("tuned", "whole"):
        assert train(config, tmp_path / name, "--resume") == 0
    os.remove(tmp_path / "tuned" / "iter_4.pth")
    assert train(config, tmp_path / "tuned", "--resume") == 0
    states = [torch.load(tmp_path / n / "iter_4.pth", weights_only=True) for n in ("tuned", "whole", "first")]
    tuned, whole, first = (state["state_dict"] for state in states)
    assert all(torch.equal(tuned[name], whole[name]) for name in tuned)
    assert not torch.equal(
        tuned["heads.instances.activation.conv.weight"], first["heads.instances.activation.conv.weight"]
    )
    assert states[0]["meta"]["iter"] == 4


def test_a_refused_config_moves_nothing(tiny_config, tmp_path):
    config = tiny_config(tmp_path)
    assert train(config, tmp_path / "work") == 0
    options = ["default_hooks.checkpoint.save_best=AP_50", "default_hooks.checkpoint.rule=greater"]
    assert train(config, tmp_path / "work", "--cfg-options", *options) == 1
    assert (tmp_path / "work" / "iter_4.pth").is_file() and not (tmp_path / "work" / "earlier").exists()


def test_a_metric_in_numpy_numbers_and_a_plateau(tiny_config, tmp_path):
    """What a schedule remembers of it is plain in the checkpoint."""
    plateau = dict(type="ReduceOnPlateauLR", monitor="AP", rule="greater")
    more = f"param_scheduler = [{plateau}]\nval_evaluator = dict(_delete_=True, type='NumpyMetric')\n"
    more += "train_cfg = dict(val_interval=2)\n"
    config = tiny_config(tmp_path, more)
    assert train(config, tmp_path / "work") == 0
    assert train(config, tmp_path / "more", "--resume", str(tmp_path / "work" / "iter_4.pth")) == 0


@METRICS.register_module()
class NumpyMetric(BaseMetric):
    default_prefix = ""

    def process(self, data_batch, data_samples):
        self.results += data_samples

    def compute_metrics(self, results):
        return dict(AP=np.mean([0.5]))
