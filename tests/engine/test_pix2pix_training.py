"""A training of two parts that alternate: killed and resumed, stopped at a bad loss, on two processes."""

import json
import multiprocessing
import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from mmengine.hooks import Hook

from cellmm.commands.cli import main as cellmm
from cellmm.datasets.transforms import PackImagePair
from cellmm.registry import HOOKS, TRANSFORMS
from cellmm.simulation import SceneConfig, make_dataset

ROOT = Path(__file__).parents[2]
SCENE = SceneConfig(size=(64, 64), pixel=0.5, cells=(2, 4), min_visible=20)
CONFIG = """
_base_ = ["{root}/configs/_base_/default_runtime.py"]
model = dict(
    type="Pix2Pix",
    data_preprocessor=dict(type="CellDataPreprocessor", in_channels=1),
    target_channels=2,
    generator=dict(widths=(4, 6, 8), dropout_levels=2),
    discriminator=dict(widths=(4, 6), strides=(2, 1)),
)
train_dataloader = dict(
    batch_size=2,
    num_workers={workers},
    persistent_workers={workers} > 0,
    sampler=dict(type="DrawSampler", shuffle=True),
    dataset=dict(
        type="PairedImageDataset",
        data_root="{data}",
        input_dir="train/phase",
        target_dir="train/images",
        pipeline=[
            dict(type="LoadImage"),
            dict(type="RandomCrop", crop_size=(16, 16), allow_negative_crop=True),
            dict(type="PackPairs", white=4095, bad={bad}),
        ],
    ),
)
optimizer = dict(type="AdamW", lr=2e-4, betas=(0.5, 0.999))
optim_wrapper = dict(
    constructor="PartsOptimWrapperConstructor",
    generator=dict(optimizer=optimizer, clip_grad=dict(max_norm=100.0)),
    discriminator=dict(type="AmpOptimWrapper", dtype="float16", optimizer=optimizer),
)
param_scheduler = [dict(type="CosineAnnealingLR", eta_min=1e-5, by_epoch=False, begin=0, end=6)]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=6)
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=1))
custom_hooks = [
    dict(type="EMAHook", ema_type="ExponentialMovingAverage", update_buffers=True),
    dict(type="KillHook", after={kill_after}),
]
"""


@HOOKS.register_module()
class KillHook(Hook):
    """End the process without a chance to clean up."""

    def __init__(self, after=0):
        self.after = after

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.after:
            os.kill(os.getpid(), signal.SIGKILL)


@TRANSFORMS.register_module()
class PackPairs(PackImagePair):
    """Some draws come out without numbers."""

    def __init__(self, bad=(), **kwargs):
        super().__init__(**kwargs)
        self.bad = bad

    def transform(self, results):
        packed = super().transform(results)
        if results["draw"] in self.bad:
            packed["inputs"] *= np.nan
        return packed


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("pairs") / "data"
    make_dataset(root, splits=dict(train=3), scene=SCENE, extra_modalities=True)
    return root


@pytest.fixture
def config(data, tmp_path):
    def write(name="config", workers=0, kill_after=0, bad=(), more=""):
        path = tmp_path / f"{name}.py"
        text = CONFIG.format(root=ROOT, data=data, workers=workers, kill_after=kill_after, bad=list(bad))
        path.write_text(text + more)
        return str(path)

    return write


def train(path, work):
    """For a new process: with one thread like the other tests, since more would add in another order."""
    torch.set_num_threads(1)
    raise SystemExit(cellmm(["train", path, "--work-dir", work]))


def state(work, name="iter_6.pth"):
    checkpoint = torch.load(Path(work, name), weights_only=True)
    return {key: checkpoint[key] for key in ("state_dict", "ema_state_dict", "optimizer", "param_schedulers")}


def same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_and_resumed_it_ends_with_the_same_bits(config, tmp_path, workers):
    """With SIGKILL after iteration 3, whose last checkpoint is that of iteration 2; dropout in both parts."""
    whole, killed = str(tmp_path / "whole"), str(tmp_path / "killed")
    assert cellmm(["train", config(workers=0), "--work-dir", whole]) == 0
    path = config("killed", workers=workers, kill_after=3)
    # a new process: a fork of one that has run a backward pass cannot run another
    child = multiprocessing.get_context("spawn").Process(target=train, args=(path, killed))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert not Path(killed, "iter_4.pth").exists()
    again = config("again", workers=workers)
    assert cellmm(["train", again, "--work-dir", killed, "--resume"]) == 0
    expected = state(whole)
    assert same(expected, state(killed))
    assert (
        expected["optimizer"].keys() == expected["param_schedulers"].keys() == {"generator", "discriminator"}
    )
    first = state(whole, "iter_4.pth")
    assert not same(first["state_dict"], expected["state_dict"])


def test_it_resumes_with_another_rate_of_one_part(config, tmp_path, capsys):
    """As if it had been that from the start; another type of optimizer is refused."""
    work = str(tmp_path / "work")
    short = "train_cfg['max_iters'] = 2\nparam_scheduler = []\n"
    assert cellmm(["train", config(more=short), "--work-dir", work]) == 0
    option = ["--cfg-options", "optim_wrapper.generator.optimizer.lr=1e-3", "train_cfg.max_iters=4"]
    assert cellmm(["train", config(more=short), "--work-dir", work, "--resume", *option]) == 0
    groups = {
        name: part["param_groups"][0]["lr"] for name, part in state(work, "iter_4.pth")["optimizer"].items()
    }
    assert groups == dict(generator=1e-3, discriminator=2e-4)
    option = ["--cfg-options", "optim_wrapper.generator.optimizer.type=Adam"]
    assert cellmm(["train", config(more=short), "--work-dir", work, "--resume", *option]) == 1
    assert "optim_wrapper.generator.optimizer.type: 'AdamW' -> 'Adam'" in capsys.readouterr().err


def test_a_bad_batch_stops_it_and_can_be_seen_again(config, tmp_path, capsys):
    """Draws 4 and 5 are the batch of iteration 3: neither part has taken its step."""
    path, work = config(bad=[5]), tmp_path / "work"
    assert cellmm(["train", path, "--work-dir", str(work)]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "iteration 3: loss" in line and "(draw 5)" in line
    dump, before = state(work, "non_finite_iter_3.pth"), state(work, "iter_2.pth")
    assert same(dump["state_dict"], before["state_dict"])
    steps = [
        [float(moment["step"]) for moment in part["state"].values()] for part in dump["optimizer"].values()
    ]
    assert {step for part in steps for step in part} == {2.0}


def test_a_bad_batch_may_be_left_out(config, tmp_path):
    path, work = config(bad=[5], more="default_hooks['non_finite'] = dict(max_skips=1)\n"), tmp_path / "work"
    assert cellmm(["train", path, "--work-dir", str(work)]) == 0
    assert all(torch.isfinite(value).all() for value in state(work)["state_dict"].values())


def test_mixed_precision_of_both_parts(config, tmp_path):
    assert cellmm(["train", config(), "--work-dir", str(tmp_path / "work"), "--amp"]) == 0


def test_two_processes_are_one_with_the_same_batch(config, tmp_path, launch):
    """Without batch norms and dropout, which see the images of one process alone."""
    more = """
model["generator"].update(norm="GN", dropout=0.0)
model["discriminator"].update(norm="GN")
train_dataloader["dataset"]["pipeline"][-1] = dict(type="PackImagePair", white=4095)
train_cfg["max_iters"] = 3
custom_hooks = []
param_scheduler = []
optimizer = dict(type="SGD", lr=0.02)
part = dict(optimizer=optimizer)
optim_wrapper = dict(constructor="PartsOptimWrapperConstructor", generator=part, discriminator=part)
"""
    work = [str(tmp_path / name) for name in ("one", "two")]
    path = config(more=more)
    assert cellmm(["train", path, "--work-dir", work[0]]) == 0
    options = ["--cfg-options", "train_dataloader.batch_size=1"]
    launch(["train", path, "--work-dir", work[1], *options], tmp_path, ranks=2)
    one, two = (torch.load(Path(folder, "iter_3.pth"), weights_only=True)["state_dict"] for folder in work)
    first = torch.load(Path(work[0], "iter_2.pth"), weights_only=True)["state_dict"]
    assert one.keys() == two.keys()
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=1e-4, atol=1e-6)
    assert any(
        not torch.equal(weight, first[name]) for name, weight in one.items() if name.startswith("disc")
    )


def test_validation_and_test_of_images_larger_than_the_trial(config, tmp_path, capsys):
    """The best checkpoint is chosen by a score of images; predictions are the same again in a test."""
    data = tmp_path / "larger"
    scene = SceneConfig(size=(140, 136), pixel=0.5, cells=(2, 4), min_visible=20)
    make_dataset(data, splits=dict(val=2), scene=scene, extra_modalities=True)
    more = f"""
folders = dict(data_root="{data}", input_dir="val/phase", target_dir="val/images")
steps = [dict(type="LoadImage"), dict(type="PackImagePair", white=4095)]
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="PairedImageDataset", pipeline=steps, **folders),
)
val_evaluator = [dict(type="TranslationMetric"), dict(type="FrechetMetric")]
val_cfg = dict(type="ValLoop")
test_dataloader, test_evaluator, test_cfg = val_dataloader, val_evaluator, dict(type="TestLoop")
train_cfg.update(max_iters=2, val_interval=2)
default_hooks["checkpoint"].update(save_best="SSIM", rule="greater")
custom_hooks = []
"""
    path, work = config(more=more), tmp_path / "work"
    assert cellmm(["train", path, "--work-dir", str(work)]) == 0
    (best,) = work.glob("best_SSIM*.pth")
    scalars = [json.loads(line) for line in next(work.rglob("scalars.json")).read_text().splitlines()]
    (validated,) = [line for line in scalars if "SSIM" in line]
    picture = cv2.imread(str(work / "validation_pictures/iter_2/translated.png"))
    assert picture.shape == (2 * 140 + 44, 2 * 136 + 6, 3)  # two columns of two images, and their captions
    test = tmp_path / "test"
    options = [
        "--cfg-options",
        f"test_evaluator.0.out_dir={test / 'images'}",
        "--show-dir",
        str(test / "shown"),
    ]
    assert cellmm(["test", path, str(best), "--work-dir", str(test), *options]) == 0
    made = [tifffile.imread(test / f"images/000{i}_{i}.tif") for i in (1, 2)]
    assert all(image.shape == (2, 140, 136) and image.dtype == np.uint16 for image in made)
    assert len(list((test / "shown").iterdir())) == 2
    tested = json.loads((test / "metrics.json").read_text())
    real = [tifffile.imread(data / f"val/images/000{i}.tif").astype(float) for i in (1, 2)]
    differences = [np.abs(image - truth).mean() * 2 / 4095 for image, truth in zip(made, real, strict=True)]
    assert np.mean(differences) == pytest.approx(tested["L1"], abs=2 / 4095)
    assert {key: tested[key] for key in ("L1", "SSIM", "spectrum")} == {
        key: validated[key] for key in ("L1", "SSIM", "spectrum")
    }
