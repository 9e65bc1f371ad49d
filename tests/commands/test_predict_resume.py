"""`cellmm predict` killed, resumed, in several processes: the same bytes as one run."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from cellmm.commands import cli
from cellmm.config.load import load_config
from cellmm.errors import CellMMError
from cellmm.registry import MODELS
from cellmm.results.run_folder import RunFolder, read_run
from tests.fuzz import exact_model  # noqa: F401

CONFIG = """
default_scope = 'cellmm'
custom_imports = dict(imports=['tests.fuzz.exact_model'])
model = dict(
    type='CellSegmentor',
    data_preprocessor=dict(type='CellDataPreprocessor', in_channels=1, divisor=1),
    encoder=dict(type='SamePixels'),
    decoder=dict(type='SamePixels'),
    heads=dict(instances=dict(type='BrightSpots', threshold=100.0)),
)
pipeline = [dict(type='LoadImage'), dict(type='LoadCells'), dict(type='PackCellInputs')]
test_dataloader = dict(
    dataset=dict(
        type='CellCocoDataset',
        ann_file='cells.json',
        metainfo=dict(classes=('small', 'large')),
        pipeline=pipeline,
    ),
)
test_cfg = dict()
test_evaluator = dict(type='CellCocoMetric')
"""
FORMATS = "coco,png,rois,labels"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Options --config and --checkpoint of a model that finds bright spots."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "c.py").write_text(CONFIG)
    model = MODELS.build(load_config(folder / "c.py").model)
    torch.save(dict(state_dict=model.state_dict()), folder / "w.pth")
    return ["--config", str(folder / "c.py"), "--checkpoint", str(folder / "w.pth"), "--device", "cpu"]


def write_image(path, number):
    """``number % 4`` spots of 25 px."""
    image = np.full((24, 40), 20, np.uint16)
    for i in range(number % 4):
        image[3 + number % 9 : 8 + number % 9, 8 * i + 2 : 8 * i + 7] = 200
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, image)


@pytest.fixture
def images(tmp_path):
    for number in range(8):
        write_image(tmp_path / f"images/day{number % 2}/{number}.tif", number)
    return tmp_path / "images"


@pytest.fixture
def predict(files, images, tmp_path, capsys):
    """``predict(out, *options) -> (status, lines)``; lines of stderr but for progress."""

    def run(out, *options):
        capsys.readouterr()
        status = cli.main(["predict", str(images), "--out", str(tmp_path / out), *files, *map(str, options)])
        lines = capsys.readouterr().err.split("\n")
        return status, [line for line in lines if line.startswith("cellmm predict: ")]

    return run


def snapshot(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def command(files, images, out, *options):
    arguments = ["-m", "cellmm.commands.cli", "predict", images, "--out", out, *files, *options]
    return [sys.executable, *map(str, arguments)]


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}


def test_killed_at_random_moments_and_resumed(predict, files, images, tmp_path):
    assert predict("whole", "--save", FORMATS) == (0, [])
    wanted, out = snapshot(tmp_path / "whole"), tmp_path / "out"
    moments, seen = random.Random(0), []
    for _ in range(3):
        options = ["--save", FORMATS, "--resume"]
        process = subprocess.Popen(
            command(files, images, out, *options),
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        before = len(list(out.rglob("*.json")))
        while process.poll() is None and len(list(out.rglob("*.json"))) == before:
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.08))
        process.send_signal(signal.SIGKILL)
        process.wait()
        finished = snapshot(out)
        seen.append(len(finished))
        whole = {name: content for name, content in finished.items() if ".cellmm-" not in name}
        assert whole.items() <= {**wanted, **whole}.items() and all(
            wanted[name] == whole[name] for name in whole
        )
    status, lines = predict("out", "--save", FORMATS, "--resume")
    assert status == 0 and all("half written" in line for line in lines)
    assert snapshot(out) == wanted and seen == sorted(seen)


def test_resume_redoes_what_is_not_finished(predict, tmp_path, monkeypatch):
    assert predict("whole", "--save", FORMATS) == (0, [])
    shutil.copytree(tmp_path / "whole", tmp_path / "out")
    out, wanted = tmp_path / "out", snapshot(tmp_path / "whole")
    (out / "parts/records/day0/4.json").unlink()  # killed before its record
    (out / "overlays/day1/3.png").unlink()
    (out / "cells.json").unlink()
    (out / "overlays/day1/.3.cellmm-abc.png").write_bytes(b"half")
    (out / ".cells.cellmm-abc.json").write_bytes(b"half")
    predicted = count_predictions(monkeypatch)
    status, lines = predict("out", "--save", FORMATS, "--resume")
    assert status == 0 and predicted == ["day0/4"]
    (line,) = lines
    assert "half written files of the run that was stopped are removed, 2: " in line
    assert snapshot(out) == wanted


def count_predictions(monkeypatch):
    """The stems of the images that come to the model from now on."""
    from cellmm.apis.inferencer import CellInferencer

    predicted, real = [], CellInferencer.predict_prepared

    def count(self, items, **options):
        predicted.extend(item.source.name for item in items)
        return real(self, items, **options)

    monkeypatch.setattr(CellInferencer, "predict_prepared", count)
    return predicted


def test_further_formats_are_made_without_the_model(predict, tmp_path, monkeypatch):
    assert predict("whole", "--save", FORMATS) == (0, [])
    assert predict("out", "--save", "png") == (0, [])
    predicted = count_predictions(monkeypatch)
    assert predict("out", "--save", FORMATS, "--resume") == (0, [])
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "whole") and not predicted


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("workers", [2, 3])
def test_processes_give_the_same_bytes(batch_size, workers, predict, tmp_path, capfd):
    assert predict("one", "--save", FORMATS) == (0, [])
    status, lines = predict("many", "--save", FORMATS, "--workers", workers, "--batch-size", batch_size)
    assert (status, lines) == (0, [])
    one, many = snapshot(tmp_path / "one"), snapshot(tmp_path / "many")
    assert one.pop("run.json") == many.pop("run.json") or batch_size == 3
    assert one == many
    assert predict("many", "--save", FORMATS, "--resume", "--batch-size", batch_size) == (0, [])
    many = snapshot(tmp_path / "many")
    many.pop("run.json")
    assert one == many


def test_processes_end_with_their_parent(files, images, tmp_path):
    """Killed as it is, none goes on to write."""
    process = subprocess.Popen(
        command(files, images, tmp_path / "out", "--workers", "2"),
        env=environment(),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while process.poll() is None and not list((tmp_path / "out").rglob("*.npz")):
        time.sleep(0.01)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not members(process.pid)


def members(session):
    """The processes of a session that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, own = path.read_text().rpartition(")")[2].split()[:4]
            if int(own) == session and state != "Z":
                found.append(path.parent.name)
    return found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--score-thr", "0.5"],
            r"another --score-thr \(0.3, now 0.5\): give the same, or leave out --resume",
        ),
        (["--cfg-options", "model.heads.instances.threshold=90.0"], "another --config: give the same"),
        (["--batch-size", "2"], "another --batch-size"),
        (["--pixel-size", "0.5"], r"another --pixel-size \(None, now \(0.5, 0.5\)\)"),
    ],
)
def test_other_settings_are_refused(options, message, predict, tmp_path):
    import re

    assert predict("out", "--no-overlays") == (0, [])
    before = snapshot(tmp_path / "out")
    status, (line,) = predict("out", "--no-overlays", "--resume", *options)
    assert status == 1 and re.search(message, line) and "--resume: " in line
    assert snapshot(tmp_path / "out") == before


def test_other_weights_are_refused(predict, files, tmp_path):
    assert predict("out") == (0, [])
    other = tmp_path / "other.pth"
    state = torch.load(files[3])
    state["state_dict"]["heads.instances.threshold"] += 50
    torch.save(state, other)
    status, (line,) = predict("out", "--resume", "--checkpoint", other)
    assert status == 1 and "was begun with another --checkpoint: give the same" in line


def test_changed_new_and_lost_inputs(predict, images, tmp_path, monkeypatch):
    assert predict("out", "--save", FORMATS) == (0, [])
    write_image(images / "day0/2.tif", 3)
    write_image(images / "day0/9.tif", 9)
    (images / "day1/1.tif").unlink()
    predicted = count_predictions(monkeypatch)
    status, (line,) = predict("out", "--save", FORMATS, "--resume")
    assert status == 0 and predicted == ["day0/2", "day0/9"]
    assert line.endswith("images that are no longer among the inputs are removed, 1: day1/1.tif")
    assert predict("whole", "--save", FORMATS) == (0, [])
    out, whole = snapshot(tmp_path / "out"), snapshot(tmp_path / "whole")
    assert out == whole


def test_an_image_that_failed_is_tried_again(predict, images, tmp_path):
    good = (images / "day0/2.tif").read_bytes()
    stat = (images / "day0/2.tif").stat()
    (images / "day0/2.tif").write_bytes(good[:40])
    for options in ([], ["--resume"]):
        status, (line,) = predict("out", *options)
        assert status == 1 and "day0/2.tif" in line
        records = RunFolder(tmp_path / "out").records()
        assert [record.name for record in records if record.error] == ["day0/2.tif"]
        assert len(list(read_run(tmp_path / "out"))) == 7
    (images / "day0/2.tif").write_bytes(good)
    os.utime(images / "day0/2.tif", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert predict("out", "--resume") == (0, [])
    assert predict("whole") == (0, [])
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "whole")


def test_results_are_read_in_order(predict, images, tmp_path):
    tifffile.imwrite(
        images / "film.tif", np.zeros((3, 24, 40), np.uint16), metadata=dict(axes="TYX"), ome=True
    )
    assert predict("out", "--no-overlays") == (0, [])
    names = [found.name for found in read_run(tmp_path / "out")]
    days = [f"day{day}/{number}.tif" for day in (0, 1) for number in range(day, 8, 2)]
    assert names == [*days, *(f"film_t000{i}.tif" for i in range(3))]
    content = json.loads((tmp_path / "out/cells.json").read_text())
    assert [image["file_name"] for image in content["images"]] == names
    assert [len(found) for found in read_run(tmp_path / "out")][:4] == [0, 2, 0, 2]
    (tmp_path / "out/parts/records/film_t0001.json").unlink()
    with pytest.raises(CellMMError, match=r"film.tif is not finished; run the same `cellmm predict` with"):
        list(read_run(tmp_path / "out"))
    with pytest.raises(CellMMError, match="no run of `cellmm predict` is in this folder"):
        list(read_run(tmp_path))


def test_long_names_are_shortened(predict, images, tmp_path):
    write_image(images / ("b" * 250 + ".tif"), 2)
    write_image(images / ("b" * 249 + "c.tif"), 3)
    status, (line,) = predict("out", "--save", FORMATS)
    assert status == 0 and "names too long for files of results are shortened and end in a hash, 2: " in line
    names = [found.name for found in read_run(tmp_path / "out")]
    assert ["b" * 249 + "c.tif", "b" * 250 + ".tif"] == sorted(name for name in names if "bb" in name)[::-1]
    for path in (tmp_path / "out").rglob("bb*"):
        assert len(path.name) <= 210
    assert len(list((tmp_path / "out/overlays").glob("bb*.png"))) == 2


def test_memory_does_not_grow_with_the_folder(files, tmp_path):
    """The peak of a run over 80 images of 2 MB, against that of 20, in processes of their own."""
    rng = np.random.default_rng(0)
    peaks = []
    for number in (20, 80):
        folder = tmp_path / str(number)
        folder.mkdir()
        for i in range(number):
            image = np.full((1024, 1024), 20, np.uint16)
            image[rng.integers(0, 1000) :: 97, 5:10] = 200
            tifffile.imwrite(folder / f"{i}.tif", image)
        code = (
            "import resource, sys; from cellmm.commands import cli; assert not cli.main(sys.argv[1:]); "
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        arguments = command(files, folder, tmp_path / f"out{number}", "--no-overlays")[3:]
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], env=environment(), capture_output=True, text=True
        )
        peaks.append(int(done.stdout.split()[-1]) / 1024)
    assert peaks[1] - peaks[0] < 30, peaks  # MB; 60 more images in float32 are 240


KILLER = """
import multiprocessing, os, signal
from cellmm.registry import MODELS
from tests.fuzz.exact_model import BrightSpots

@MODELS.register_module(force=True)
class KillsItsProcess(BrightSpots):
    def predict(self, features, samples):
        assert multiprocessing.parent_process() is not None
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_that_is_killed_is_one_line(predict, files, tmp_path, monkeypatch):
    (tmp_path / "killer.py").write_text(KILLER)
    monkeypatch.syspath_prepend(tmp_path)
    config = CONFIG.replace("BrightSpots", "KillsItsProcess").replace(
        "exact_model']", "exact_model', 'killer']"
    )
    (tmp_path / "killing.py").write_text(config)
    status, lines = predict("out", "--workers", 2, "--config", tmp_path / "killing.py")
    MODELS.module_dict.pop("KillsItsProcess")
    assert status == 1 and len(lines) == 1
    assert "a process of --workers 2 was killed, most likely for want of memory: take fewer" in lines[0]
