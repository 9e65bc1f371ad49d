"""The same seed gives the same numbers: workers, ranks, compiled or not, order of memory."""

import json
import shutil

import pytest
import torch

from cellmm.commands.cli import main as cellmm

GROUP_NORM = """
group = dict(norm="GN")
branches = dict(instance_branch=group, mask_branch=group)
model = dict(encoder=group, decoder=group, heads=dict(instances=branches))
optim_wrapper["optimizer"] = dict(type="SGD", lr=0.01)  # Adam makes steps of a gradient that is only rounding
"""

EPOCHS = """
train_cfg = dict(_delete_=True, type="EpochBasedTrainLoop", max_epochs=3, val_interval=2)
default_hooks["checkpoint"] = dict(by_epoch=False, interval=4, max_keep_ckpts=9)
optim_wrapper["optimizer"]["lr"] = 1e-3  # what is only rounding stays small for nine iterations
"""


def trained(config, name, *options):
    """Train in this process; the weights and the losses of the iterations."""
    work = config.parent / name
    assert cellmm(["train", str(config), "--work-dir", str(work), "--cfg-options", *options]) == 0
    return results(work)


def results(work):
    checkpoint = torch.load(work / "iter_4.pth", weights_only=True)
    return checkpoint["state_dict"], checkpoint["message_hub"]["log_scalars"]["train/loss"][0]


def test_any_number_of_workers(tiny_config, tmp_path, launch):
    config = tiny_config(tmp_path)
    weights, losses = trained(config, "0", "train_dataloader.num_workers=0")
    assert len(losses) == 4
    for workers in (2, 8):
        argv = ["train", str(config), "--work-dir", str(tmp_path / str(workers)), "--cfg-options"]
        launch([*argv, f"train_dataloader.num_workers={workers}"], tmp_path)
        others, other_losses = results(tmp_path / str(workers))
        assert torch.equal(losses, other_losses)
        assert all(torch.equal(weight, others[name]) for name, weight in weights.items())


def test_another_seed_is_another_training(tiny_config, tmp_path):
    config = tiny_config(tmp_path)
    losses = [trained(config, str(seed), f"randomness.seed={seed}")[1] for seed in (0, 1)]
    assert not torch.isclose(*losses).any()


def test_two_ranks_are_one_process_with_their_batches(tiny_config, tmp_path, launch):
    """Losses to 1e-5, though the ranks' images hold different numbers of cells."""
    config = tiny_config(tmp_path, GROUP_NORM)
    weights, losses = trained(config, "one", "train_dataloader.batch_size=2")
    argv = ["train", str(config), "--work-dir", str(tmp_path / "two")]
    launch([*argv, "--cfg-options", "train_dataloader.batch_size=1"], tmp_path, ranks=2)
    others, other_losses = results(tmp_path / "two")
    torch.testing.assert_close(other_losses, losses, rtol=1e-5, atol=1e-5)
    # where rounding decides a ReLU, the gradient of one pixel comes or goes: 1.7e-4 on a CPU with AVX-512
    for name, weight in weights.items():
        torch.testing.assert_close(others[name], weight, rtol=1e-5, atol=5e-4)


def test_epochs_on_two_ranks(tiny_config, tmp_path, launch):
    """Five images: an epoch has three iterations of two images, and goes on with another number of ranks.

    The checkpoint of iteration 4 is inside the second epoch, which began after six draws.
    """
    config = tiny_config(tmp_path, GROUP_NORM + EPOCHS)
    options = ["--cfg-options", "train_dataloader.batch_size=1"]
    launch(["train", str(config), "--work-dir", str(tmp_path / "two"), *options], tmp_path, ranks=2)
    runs = [("two", 9, dict(epoch=2, draws=18, epoch_start=12))]
    # alone, the second epoch has three more iterations and the third one has five
    for batch_size, last, meta in ((2, 9, runs[0][2]), (1, 12, dict(epoch=2, draws=16, epoch_start=11))):
        argv = ["train", str(config), "--work-dir", str(tmp_path / str(batch_size))]
        argv += ["--resume", str(tmp_path / "two" / "iter_4.pth")]
        assert cellmm([*argv, "--cfg-options", f"train_dataloader.batch_size={batch_size}"]) == 0
        runs.append((str(batch_size), last, meta))
    states = []
    for name, last, meta in runs:
        checkpoint = torch.load(tmp_path / name / f"iter_{last}.pth", weights_only=True)
        assert {key: checkpoint["meta"][key] for key in meta} == meta, name
        states.append((checkpoint["state_dict"], checkpoint["message_hub"]["log_scalars"]["train/loss"][0]))
    torch.testing.assert_close(states[0], states[1], rtol=1e-5, atol=1e-5)


def test_metrics_on_two_ranks(tiny_config, tmp_path, launch):
    """Three images, which two ranks do not divide."""
    config = tiny_config(tmp_path)
    trained(config, "work", "train_cfg.max_iters=4")
    checkpoint = str(tmp_path / "work" / "iter_4.pth")
    metrics, found = [], []
    for ranks in (1, 2):
        work = tmp_path / f"ranks_{ranks}"
        launch(["test", str(config), checkpoint, "--work-dir", str(work)], tmp_path, ranks=ranks)
        metrics.append(json.loads((work / "metrics.json").read_text()))
        found.append(json.loads((work / "results.segm.json").read_text()))
    assert metrics[0] == metrics[1]
    assert len({result["image_id"] for result in found[0]}) == 3
    key = lambda result: (result["image_id"], result["score"], result["segmentation"]["counts"])  # noqa: E731
    assert sorted(found[0], key=key) == sorted(found[1], key=key)


def test_channels_last(tiny_config, tmp_path):
    config = tiny_config(tmp_path)
    runs = []
    for flag in (False, True):
        runs.append(trained(config, str(flag), f"model.channels_last={flag}")[1])
    torch.testing.assert_close(*runs, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_compiled_networks(tiny_config, tmp_path):
    if not shutil.which("g++"):  # compiling needs a compiler: the message is the right answer then
        assert cellmm(["train", str(tiny_config(tmp_path)), "--cfg-options", "compile=True"]) == 1
        return
    config = tiny_config(tmp_path)
    eager = trained(config, "eager", "train_cfg.max_iters=4")
    compiled = trained(config, "compiled", "compile=True")
    torch.testing.assert_close(compiled[1], eager[1], rtol=1e-4, atol=1e-4)
    assert eager[0].keys() == compiled[0].keys()
