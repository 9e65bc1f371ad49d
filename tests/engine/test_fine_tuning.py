"""`cellmm train CONFIG --from MODEL --freeze PART`: what is loaded, what is frozen, and what is said."""

import shutil

import pytest
import torch

from cellmm.commands.cli import main as cellmm
from cellmm.engine.checkpoints import load_weights
from cellmm.zoo import weights_of as weights_of_model

EMA = 'custom_hooks = [dict(type="EMAHook", momentum=0.5, update_buffers=True)]\n'
GROUPS = """
train_cfg = dict(max_iters=2, val_interval=2)
optim_wrapper = dict(
    _delete_=True,
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
"""
ONE_PLANE = """
_base_ = ["cellmm::diskmask/brightfield_quickstart"]
data_root = "{data}"
load = dict(type="LoadImage", channels=[0])
train_pipeline = [load, *_base_.train_pipeline[1:]]
test_pipeline = [load, *_base_.test_pipeline[1:]]
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline), **loader)
val_dataloader = test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline), **loader)
model = dict(data_preprocessor=dict(in_channels=1))
optim_wrapper = dict(optimizer=dict(lr=1e-12))
train_cfg = dict(max_iters=1, val_interval=1)
default_hooks = dict(checkpoint=dict(interval=1))
"""


@pytest.fixture(scope="module")
def trained(tiny_config, tmp_path_factory):
    """(config, checkpoint) of a training of two iterations."""
    folder = tmp_path_factory.mktemp("trained")
    config = tiny_config(folder, "train_cfg = dict(max_iters=2, val_interval=2)\n")
    assert cellmm(["train", str(config), "--work-dir", str(folder / "work")]) == 0
    return config, folder / "work" / "iter_2.pth"


def weights_of(checkpoint) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)["state_dict"]


def changed(before, after) -> set[str]:
    """The first part of the names of tensors that differ."""
    before, after = weights_of(before), weights_of(after)
    assert before.keys() == after.keys()
    return {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}


def log_of(work) -> str:
    return "\n".join(path.read_text() for path in sorted(work.rglob("*.log")))


@pytest.mark.parametrize("more", ["", EMA])
def test_the_frozen_part_is_that_of_the_model(trained, tiny_config, tmp_path, more):
    """Given as a checkpoint and as a work dir; averaged weights begin with those of the model too."""
    _, checkpoint = trained
    config = tiny_config(tmp_path, more)
    start = checkpoint.parent if more else checkpoint
    work = tmp_path / "work"
    argv = ["train", str(config), "--work-dir", str(work), "--from", str(start), "--freeze", "encoder"]
    assert cellmm(argv) == 0
    assert changed(checkpoint, work / "iter_4.pth") == {"decoder", "heads"}
    log = log_of(work)
    assert f"{checkpoint}: training starts from all " in log
    assert "frozen: encoder: " in log and "; batch norms that keep their statistics: " in log


def test_it_starts_from_those_weights(trained, tmp_path):
    """At a learning rate that moves nothing, only the statistics of batch norms differ in the end."""
    config, checkpoint = trained
    options = ["optim_wrapper.optimizer.lr=1e-12", "train_cfg.max_iters=1"]
    argv = ["train", str(config), "--work-dir", str(tmp_path), "--from", str(checkpoint)]
    assert cellmm([*argv, "--cfg-options", *options]) == 0
    before, after = weights_of(checkpoint), weights_of(tmp_path / "iter_1.pth")
    for name in (name for name in before if name.endswith(("weight", "bias"))):
        torch.testing.assert_close(after[name], before[name])


def test_a_shipped_model_by_name_on_one_of_its_two_channels(tiny_data, tmp_path):
    """Both the weights of all other layers and what its convolution of images knows are taken."""
    config = tmp_path / "mine.py"
    config.write_text(ONE_PLANE.format(data=tiny_data))
    work = tmp_path / "work"
    assert cellmm(["train", str(config), "--work-dir", str(work), "--from", "cells-simulated"]) == 0
    log = log_of(work)
    assert "cells-simulated.safetensors: training starts from all " in log
    assert "the weights were made for images of 2 channels and the model takes 1: " in log
    shipped = load_weights(weights_of_model("cells-simulated"))
    tuned = weights_of(work / "iter_1.pth")
    first = "encoder.stem.0.weight"
    torch.testing.assert_close(tuned.pop(first), shipped.pop(first).float().sum(1, keepdim=True))
    same = [name for name in tuned if name.endswith("weight") and name in shipped]  # others were renamed
    assert len(same) > 40
    for name in same:
        torch.testing.assert_close(tuned[name], shipped[name].float())


@pytest.mark.parametrize("frozen", [["encoder"], []])
def test_resume_may_thaw_and_freeze(trained, tiny_config, tmp_path, frozen):
    """First the head alone, then all of it; the optimizer has groups for each kind of parameter."""
    _, checkpoint = trained
    config = tiny_config(tmp_path, GROUPS)
    work, then = tmp_path / "work", [part for part in ["encoder"] if part not in frozen]
    argv = ["train", str(config), "--work-dir", str(work)]
    freeze = ["--freeze", *frozen] if frozen else []
    assert cellmm([*argv, "--from", str(checkpoint), *freeze]) == 0
    shutil.copy(work / "iter_2.pth", tmp_path / "first.pth")
    thaw = ["--freeze", *then] if then else []
    assert cellmm([*argv, "--resume", *thaw, "--cfg-options", "train_cfg.max_iters=4"]) == 0
    assert ("encoder" in changed(tmp_path / "first.pth", work / "iter_4.pth")) == bool(frozen)
    assert "model.frozen: " in log_of(work)


def test_two_ranks(trained, tmp_path, launch):
    """No rank waits for gradients of what is frozen."""
    config, checkpoint = trained
    work = tmp_path / "work"
    argv = ["train", str(config), "--work-dir", str(work), "--from", str(checkpoint), "--freeze", "encoder"]
    launch([*argv, "--cfg-options", "train_dataloader.batch_size=1"], tmp_path, ranks=2)
    assert changed(checkpoint, work / "iter_2.pth") == {"decoder", "heads"}


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="compiling needs a C++ compiler")
def test_compiled(trained, tmp_path):
    config, checkpoint = trained
    results = []
    for name in ("False", "True"):
        argv = ["train", str(config), "--work-dir", str(tmp_path / name), "--from", str(checkpoint)]
        options = [f"compile={name}", "optim_wrapper.optimizer.lr=1e-5"]
        assert cellmm([*argv, "--freeze", "encoder", "--cfg-options", *options]) == 0
        assert changed(checkpoint, tmp_path / name / "iter_2.pth") == {"decoder", "heads"}
        results.append(weights_of(tmp_path / name / "iter_2.pth"))
    torch.testing.assert_close(*results, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--from", "nuclie"], "nuclie: no such model and no folder of a training; did you mean nuclei?"),
        (["--from", "{config}"], "a config, which has no weights; give a checkpoint or the work dir"),
        (["--from", "absent.pth"], "absent.pth: no such checkpoint file"),
        (["--from", "a.pth", "--resume", "b.pth"], "each says what to begin with"),
        (["--from", "{work}", "--work-dir", "{work}"], "would be overwritten by the new training"),
        (["--freeze", "encodr"], "model.frozen: the model has no part 'encodr'; did you mean encoder"),
        (["--from", "cells-simulated", "--freeze", "heads"], "would stay random, "),
    ],
)
def test_what_is_refused_is_one_line(trained, tmp_path, capsys, options, says):
    config, checkpoint = trained
    names = dict(config=config, work=checkpoint.parent)
    options = [word.format(**names) for word in options]
    assert cellmm(["train", str(config), "--work-dir", str(tmp_path / "work"), *options]) == 1
    line = capsys.readouterr().err
    assert says in line and line.count("\n") == 1


def test_frozen_random_weights_are_a_warning(trained, tmp_path):
    config, _ = trained
    options = ["--freeze", "encoder", "--cfg-options", "train_cfg.max_iters=1"]
    assert cellmm(["train", str(config), "--work-dir", str(tmp_path), *options]) == 0
    assert "no weights were loaded; what is frozen stays random" in log_of(tmp_path)
