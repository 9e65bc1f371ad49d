"""`cellmm predict` killed, resumed, in several processes: the same bytes as one run."""

import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from cellmm.apis import workers
from cellmm.apis.inferencer import CellInferencer
from cellmm.commands import cli
from cellmm.config.load import load_config
from cellmm.errors import CellMMError
from cellmm.io.files import locked_folder
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


def start(function, *arguments):
    """A process of ``function``, without the time that importing torch takes."""
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    process.start()
    return process


def test_killed_at_random_moments_and_resumed(predict, files, images, tmp_path):
    assert predict("whole", "--save", FORMATS) == (0, [])
    wanted, out = snapshot(tmp_path / "whole"), tmp_path / "out"
    moments, seen = random.Random(0), []
    argv = ["predict", str(images), "--out", str(out), *files, "--save", FORMATS, "--resume"]
    for _ in range(8):
        before = len(list(out.rglob("*.json")))
        process = start(cli.main, argv)
        while process.is_alive() and len(list(out.rglob("*.json"))) == before:
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.05))
        process.kill()
        process.join()
        found = snapshot(out)
        whole = {name: content for name, content in found.items() if ".cellmm-" not in name}
        assert whole == {name: wanted[name] for name in whole}
        seen.append(len(whole))
    assert seen == sorted(seen) and seen[0] < len(wanted)
    status, lines = predict("out", "--save", FORMATS, "--resume")
    assert status == 0 and all("half written" in line for line in lines)
    assert snapshot(out) == wanted


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


def test_processes_and_batches_give_the_same_bytes(predict, tmp_path):
    assert predict("one", "--save", FORMATS) == (0, [])
    wanted = without_settings(tmp_path / "one")
    assert predict("batches", "--save", FORMATS, "--batch-size", 3) == (0, [])
    assert without_settings(tmp_path / "batches") == wanted
    assert predict("many", "--save", FORMATS, "--workers", 2, "--batch-size", 3) == (0, [])
    assert snapshot(tmp_path / "many") == snapshot(tmp_path / "batches")
    assert predict("many", "--save", FORMATS, "--resume", "--batch-size", 3) == (0, [])
    assert snapshot(tmp_path / "many") == snapshot(tmp_path / "batches")


def without_settings(folder):
    return {name: content for name, content in snapshot(folder).items() if name != "run.json"}


def test_a_batch_is_predicted_whole(predict, tmp_path, monkeypatch):
    """Else its images could come out with other bits than before."""
    assert predict("out", "--batch-size", 3) == (0, [])
    (tmp_path / "out/parts/records/day0/6.json").unlink()
    predicted = count_predictions(monkeypatch)
    assert predict("out", "--batch-size", 3, "--resume") == (0, [])
    assert predicted == ["day0/6", "day1/1", "day1/3"]


def wait_beside(pids):
    """A process like a worker, and what it works for."""
    pids.put(start(workers._end_with_parent).pid)
    time.sleep(600)


def test_processes_end_with_their_parent():
    """Killed as it is, none goes on to write."""
    pids = multiprocessing.get_context("fork").SimpleQueue()
    parent = start(wait_beside, pids)
    pid = pids.get()
    parent.kill()
    parent.join()
    deadline = time.monotonic() + 60
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(pid)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


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
    own, files[3] = files[3], str(other)
    try:
        status, (line,) = predict("out", "--resume")
    finally:
        files[3] = own
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
    peaks = []
    for number in (20, 60):
        folder = tmp_path / str(number)
        folder.mkdir()
        for i in range(number):
            image = np.full((512, 512), 20, np.uint16)
            image[i::97, 5:10] = 200
            tifffile.imwrite(folder / f"{i}.tif", image)
        tracemalloc.start()
        argv = ["predict", folder, "--out", tmp_path / f"out{number}", "--no-overlays", *files]
        assert cli.main(list(map(str, argv))) == 0
        peaks.append(tracemalloc.get_traced_memory()[1] / 2**20)
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 3, peaks  # MB; 40 more images are 40 MB as float32


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


def test_failures_are_on_record_in_every_process_and_after_a_kill(predict, images, tmp_path):
    for number in range(8):
        (images / f"bad{number}.tif").write_bytes(b"II*\0 not an image")
    assert predict("whole", "--save", "coco")[0] == 1
    assert len(RunFolder(tmp_path / "whole").records()) == 16
    assert predict("out", "--save", "coco", "--workers", 2)[0] == 1
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "whole")
    (tmp_path / "out/parts/records/bad7.json").unlink()  # killed before it
    assert predict("out", "--save", "coco", "--resume")[0] == 1
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "whole")


def test_resume_with_fewer_inputs_and_nothing_to_predict(predict, images, tmp_path):
    assert predict("out", "--save", "coco,png") == (0, [])
    (images / "day1/1.tif").unlink()
    assert predict("out", "--save", "png", "--resume")[0] == 0
    assert len(list(read_run(tmp_path / "out"))) == 7
    assert not (tmp_path / "out/cells.json").exists()  # else it tells of an image that is removed


@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_a_folder_that_another_run_writes_into_is_refused(predict, tmp_path, resume):
    assert predict("out") == (0, [])
    earlier = snapshot(tmp_path / "out")
    with locked_folder(tmp_path / "out", "run"):
        status, (line,) = predict("out", *resume)
    assert status == 1 and "another `cellmm predict` is writing into" in line
    assert snapshot(tmp_path / "out") == earlier


def test_an_image_that_changes_while_it_is_read_has_no_results(predict, images, tmp_path, monkeypatch):
    predicted = CellInferencer.predict_prepared

    def changes(self, items, **options):
        if items[0].source.name == "day0/2" and items[0].source.path.stat().st_size == size:
            write_image(images / "day0/2.tif", 3)
            with open(images / "day0/2.tif", "ab") as file:
                file.write(b"more")
        return predicted(self, items, **options)

    size = (images / "day0/2.tif").stat().st_size
    monkeypatch.setattr(CellInferencer, "predict_prepared", changes)
    status, (line,) = predict("out")
    assert status == 1 and "day0/2.tif changed while it was read: predict it again, with --resume" in line
    assert len(list(read_run(tmp_path / "out"))) == 7
    assert predict("out", "--resume") == (0, [])


def test_options_without_effect_are_said(predict, images, tmp_path):
    status, (line,) = predict("a", "--save", "coco", "--no-overlays")
    assert status == 0 and line.endswith("--no-overlays changes nothing: --save coco writes none")
    status, (line,) = predict("b", "--save", "coco", "--workers", 3, "--batch-size", 8)
    assert status == 0 and "--workers 3: 1 are used for 8 files" in line
    options = ["--tile", 16, "--tile-overlap", 8, "--batch-size", 2]
    status, (line,) = predict("c", "--save", "coco", *options)
    assert status == 0 and "--batch-size 2 holds for whole images: the tiles of 8 images" in line


@pytest.mark.parametrize("score", ["nan", "-1", "30"])
def test_a_threshold_that_no_score_can_have(predict, tmp_path, score):
    status, (line,) = predict("out", f"--score-thr={score}")
    assert status == 1 and "scores are 0 to 1" in line


def test_processes_do_not_hear_ctrl_c_from_their_start_on():
    context = multiprocessing.get_context("spawn")
    context.Event()  # starts what follows the resources of processes, as in a run
    with workers.Workers(1, context) as pool:
        blocked = pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result()
    assert signal.SIGINT in blocked
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_threads_of_processes(monkeypatch):
    """OMP_NUM_THREADS=1 holds in processes too: the bytes of a network depend on the number of threads."""
    monkeypatch.setattr(workers, "num_cores", lambda: 8)
    for threads, expected in [(1, [1, 1, 1]), (8, [8, 4, 1])]:
        monkeypatch.setattr(workers.torch, "get_num_threads", lambda threads=threads: threads)
        assert [workers.threads_of(number) for number in (1, 2, 16)] == expected
