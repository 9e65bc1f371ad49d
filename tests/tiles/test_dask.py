"""`cellmm predict --dask` writes the bytes of `cellmm predict`, whatever dies in between."""

import os
from pathlib import Path
from types import SimpleNamespace

import dask
import distributed
import numpy as np
import pytest
import tifffile
import torch

from cellmm import __version__
from cellmm.apis.stream import PredictionStream
from cellmm.commands import cli, predict_dask
from cellmm.tiles import dask_driver
from cellmm.tiles.dask_clusters import RESOURCE
from cellmm.tiles.plan import plan_hash
from tests.fuzz import killed_once  # noqa: F401
from tests.fuzz.exact_model import write_exact_model

NORMALIZE = "dict(type='Normalize', mode='percentile', percentiles=(1, 99))"
KILLED = "dict(type='KilledOnce', file={file!r})"
IMPORTS = "custom_imports = dict(imports=['tests.fuzz.exact_model', 'tests.fuzz.killed_once'])"


def scene(shape, seed):
    """Squares of 5 and 7 px, and a bar that is longer than a tile."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 50, shape).astype(np.uint16)
    for y in range(3, shape[0] - 9, 12):
        for x in range(3, shape[1] - 9, 12):
            side = rng.choice([0, 5, 7])
            image[y : y + side, x : x + side] = 900
    image[20:23, 5 : shape[1] - 5] = 900
    return image


@pytest.fixture
def words(tmp_path):
    """Inputs and options; one file is damaged, one is small, one is a film, one is cut into tiles."""
    images = tmp_path / "images"
    images.mkdir()
    tifffile.imwrite(images / "large.tif", scene((110, 150), 0), tile=(32, 32))
    tifffile.imwrite(images / "small.tif", scene((40, 45), 1))
    tifffile.imwrite(
        images / "film.tif", np.stack([scene((40, 48), i) for i in (2, 3)]), metadata={"axes": "TYX"}
    )
    (images / "bad.tif").write_bytes(b"II*\0 not an image")
    config, weights = write_exact_model(
        tmp_path, f"{NORMALIZE}, {KILLED}".format(file=str(tmp_path / "kill"))
    )
    config.write_text(IMPORTS + config.read_text())
    options = ["--config", config, "--checkpoint", weights, "--device", "cpu", "--save", "coco"]
    return [str(word) for word in (images, *options, "--tile", 48, "--tile-overlap", 12)]


@pytest.fixture
def wanted(words, tmp_path):
    """The files of `cellmm predict`."""
    assert cli.main(["predict", *words, "--out", str(tmp_path / "wanted")]) == 1
    return files_of(tmp_path / "wanted")


@pytest.fixture(scope="module")
def scheduler():
    """The address of a scheduler with two workers."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, resources={RESOURCE: 1}, memory_limit=0, dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_local_workers_one_killed(words, wanted, tmp_path, capsys):
    (tmp_path / "kill").write_text("process")
    assert cli.main(["predict", *words, "--dask", "local:2", "--out", str(tmp_path / "out")]) == 1
    assert not (tmp_path / "kill").exists()
    assert files_of(tmp_path / "out") == wanted
    lines = capsys.readouterr().err.splitlines()
    assert any("the dashboard is at http://127.0.0.1:" in line for line in lines)
    assert "bad.tif" in lines[-1]


def test_stopped_and_resumed(words, wanted, scheduler, tmp_path, capsys, monkeypatch):
    """Ctrl-C while pieces run, then a full disk while results are written."""
    argv = ["predict", *words, "--dask", scheduler, "--out", str(tmp_path / "out")]

    def stopped_after_ten(*arguments):
        for place, number in enumerate(dask_driver.run_pieces(*arguments)):
            if place == 10:
                raise KeyboardInterrupt
            yield number

    with monkeypatch.context() as patch:
        patch.setattr(predict_dask, "run_pieces", stopped_after_ten)
        assert cli.main(argv) == 130
    *_, hint, line = capsys.readouterr().err.splitlines()
    assert "10 of 64 pieces are finished: the same command with --resume" in hint and "stopped" in line
    pieces = tmp_path / "out/pieces/pieces"
    done = {path: path.stat().st_mtime_ns for path in pieces.glob("[0-9]*.npz")}
    assert len(done) >= 10
    write, left = PredictionStream._write_files, [None] * 2

    def full(*arguments):
        if not left:
            raise OSError(28, "No space left on device")
        left.pop()
        return write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(PredictionStream, "_write_files", full)
        assert cli.main([*argv, "--resume"]) == 1
    assert "pieces are finished already" in capsys.readouterr().err
    assert done == {path: path.stat().st_mtime_ns for path in done}
    assert len(list((tmp_path / "out/parts/records").glob("*.json"))) == 3  # with the damaged file
    monkeypatch.setattr(predict_dask, "connect", None)  # nothing is left to run
    assert cli.main([*argv, "--resume"]) == 1
    assert files_of(tmp_path / "out") == wanted
    assert cli.main([*argv, "--resume"]) == 1
    assert files_of(tmp_path / "out") == wanted


def test_resume_with_other_options_or_images(words, scheduler, tmp_path, capsys, monkeypatch):
    argv = ["predict", *words, "--dask", scheduler, "--out", str(tmp_path / "out"), "--resume"]
    with monkeypatch.context() as patch:
        patch.setattr(predict_dask, "run_pieces", lambda *_: iter(()))
        assert cli.main(argv) == 1
    assert "pieces are not finished, 64" in capsys.readouterr().err
    assert cli.main([*argv, "--score-thr", "0.5"]) == 1
    assert "was begun with another score_thr: give the same" in capsys.readouterr().err.splitlines()[-1]
    tifffile.imwrite(tmp_path / "images/small.tif", scene((41, 45), 1))
    assert cli.main(argv) == 1
    assert "other images than in the plan" in capsys.readouterr().err
    assert cli.main(["predict", *words, "--out", str(tmp_path / "wanted")]) == 1
    assert files_of(tmp_path / "out") == files_of(tmp_path / "wanted")


def test_what_dask_is_refused_with(words, scheduler, tmp_path, capsys, monkeypatch):
    def line(where, *options, out="out"):
        capsys.readouterr()
        assert cli.main(["predict", *words, "--dask", where, "--out", str(tmp_path / out), *options]) == 1
        return capsys.readouterr().err.splitlines()[-1]

    assert "--dask six: give local, local:N" in line("six") and "local:0: give" in line("local:0")
    assert "takes no --batch-size" in line(scheduler, "--batch-size", "2")
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        assert "no scheduler answers there" in line("tcp://127.0.0.1:9")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        assert "sbatch is not installed here" in line("slurm")
    (tmp_path / "own/pieces").mkdir(parents=True)
    (tmp_path / "own/pieces/mine.txt").touch()
    assert "holds files that are not of --dask" in line(scheduler, out="own")
    with distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster:
        assert f'--resources "{RESOURCE}=1"' in line(cluster.scheduler_address)
    with monkeypatch.context() as patch:
        patch.setattr(dask_driver, "__version__", "0.0")
        found = line(scheduler)
    assert (
        "worker tcp://127.0.0.1:" in found and f"cellmm {__version__} is installed there, 0.0 here" in found
    )


def test_a_worker_that_lacks_what_the_plan_needs(words, tmp_path, monkeypatch):
    """Each is a line that names the worker; a worker on another machine is stood in for."""
    folder = tmp_path / "pieces"
    assert cli.main(["tiles", "plan", *words, "--out", str(folder), "--pieces", "1"]) == 0
    worker = SimpleNamespace(address="tcp://far:1", name="far", state=SimpleNamespace(nthreads=1))
    monkeypatch.setattr(distributed, "get_worker", lambda: worker)

    mark = plan_hash(folder)

    def line(folder=folder, mark=mark):
        dask_driver._load.cache_clear()
        found = dask_driver.run_on_worker(folder, mark, __version__, 0, "cpu")
        assert found is None or found.startswith("worker tcp://far:1: ")
        return found

    assert "--out must be on a disk that all machines share" in line(tmp_path / "elsewhere")
    assert "--out must be on a disk that all machines share" in line(mark="of another plan")
    weights = (tmp_path / "w.pth").read_bytes()
    torch.save(dict(state_dict={"heads.instances.threshold": torch.tensor(0.4)}), tmp_path / "w.pth")
    assert "--checkpoint changed since `cellmm tiles plan`, or not the same on this machine" in line()
    (tmp_path / "w.pth").unlink()
    assert str(tmp_path / "w.pth") in line()
    (tmp_path / "w.pth").write_bytes(weights)
    assert line() is None and line() is None


def test_gpus_are_shared_among_local_workers(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [dask_driver.own_device("auto", name) for name in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert dask_driver.own_device("cuda:1", 0) == "cuda:1" and dask_driver.own_device("cpu", 1) == "cpu"
    assert dask_driver.own_device("auto", "tcp://far:1") == "auto"


SBATCH = """#!/bin/sh
cp "$1" {folder}/script
setsid sh {folder}/script >>{folder}/log 2>&1 &
echo $! >>{folder}/jobs
echo "Submitted batch job $!"
"""


def test_jobs_of_slurm(words, wanted, tmp_path, capfd, monkeypatch):
    """Slurm's own commands are stood in for; a job that is killed, as for its time, is submitted again."""
    for name, text in (
        ("sbatch", SBATCH.format(folder=tmp_path)),
        ("scancel", '#!/bin/sh\nkill -9 -- "-$1"\n'),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    argv = ["predict", *words, "--dask", "slurm:1", "--out", str(tmp_path / "out")]
    assert cli.main(argv) == 1
    assert "jobqueue.yaml" in capfd.readouterr().err.splitlines()[-1]
    (tmp_path / "kill").write_text("group")
    with dask.config.set({"jobqueue.slurm.cores": 1, "jobqueue.slurm.memory": "1GB"}):
        assert cli.main(argv) == 1
    assert len((tmp_path / "jobs").read_text().split()) == 2
    assert files_of(tmp_path / "out") == wanted, (tmp_path / "log").read_text()
