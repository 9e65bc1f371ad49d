"""The records of a run of prediction."""

import json

import numpy as np
import pytest

from cellmm.errors import CellMMError
from cellmm.results import Instances
from cellmm.results.run_folder import InputFile, Record, RunFolder, read_run, shortened, stamp_of
from cellmm.structures import MaskRuns


def cells(name):
    masks = MaskRuns.from_crops([np.ones((2, 3), bool)], [(1, 1)], (5, 6))
    return Instances(masks, np.float32([0.5]), np.zeros(1, np.int64), name=name)


@pytest.fixture
def run(tmp_path):
    """b.tif, a film of two images, and a.tif, in this order; a.tif could not be read."""
    folder = RunFolder(tmp_path / "out")
    inputs = [InputFile(tmp_path / f"{name}.tif", f"{name}.tif", name) for name in "ba"]
    folder.begin({"--score-thr": "0.3"}, inputs, ["coco"])
    for number in (1, 0):
        stem = f"b_t000{number}"
        folder.write_instances(stem, cells(stem))
        folder.write_record(Record(f"{stem}.tif", stem, "b.tif", number, 2, (7, 8), cells=1))
    folder.write_record(Record("a.tif", "a", "a.tif", error="a.tif is damaged"))
    return folder


def test_a_run_is_read_in_the_order_of_its_inputs(run):
    assert [found.name for found in read_run(run.path)] == ["b_t0000", "b_t0001"]
    assert [record.name for record in run.records()] == ["b_t0000.tif", "b_t0001.tif", "a.tif"]
    assert run.record("b_t0001") == Record("b_t0001.tif", "b_t0001", "b.tif", 1, 2, (7, 8), cells=1)
    assert run.record("c") is None


@pytest.mark.parametrize("stem", ["a", "b_t0000", "b_t0001"])
def test_a_run_that_is_not_finished(run, stem):
    (run.parts / f"records/{stem}.json").unlink()
    with pytest.raises(CellMMError, match=f"out: {stem[0]}.tif is not finished; run the same"):
        list(read_run(run.path))


def test_damaged_files_are_named(run):
    (run.parts / "records/a.json").write_text("{}")
    with pytest.raises(CellMMError, match=r"records/a\.json is damaged: remove it, then --resume"):
        run.record("a")
    (run.path / "run.json").write_text("[1]")
    with pytest.raises(CellMMError, match=r"run\.json is damaged: predict again without --resume"):
        run.content()
    with pytest.raises(CellMMError, match="no run of `cellmm predict` is in this folder; check the path"):
        RunFolder(run.path / "parts").content()


def test_settings_of_another_run(run):
    run.check_settings({"--score-thr": "0.3"})
    for settings, message in (
        ({"--score-thr": "0.5"}, r"another --score-thr \(0.3, now 0.5\): give the same, or leave out --res"),
        ({"--score-thr": "0.3", "--level": "1"}, r"another --level \(None, now 1\)"),
        ({}, r"another --score-thr \(0.3, now None\)"),
        ({"--score-thr": "0.4", "--config": "0" * 64}, "another --score-thr, another --config"),
    ):
        with pytest.raises(CellMMError, match=message):
            run.check_settings(settings)


def test_results_of_other_images_are_removed(run):
    picture = run.path / "overlays/b_t0001.png"
    picture.parent.mkdir()
    picture.write_bytes(b"picture")
    run.write_record(
        Record("b_t0001.tif", "b_t0001", "b.tif", 1, 2, cells=1, files={"png": "overlays/b_t0001.png"})
    )
    assert run.remove_others({"a", "b_t0000"}) == ["b_t0001.tif"]
    left = sorted(path.name for path in run.path.rglob("*") if path.is_file())
    assert left == ["a.json", "b_t0000.json", "b_t0000.npz", "run.json"]


def test_records_have_the_same_bytes_each_time(run):
    before = (run.parts / "records/a.json").read_bytes()
    run.write_record(run.record("a"))
    assert (run.parts / "records/a.json").read_bytes() == before
    assert json.loads(before)["error"] == "a.tif is damaged"


def test_stamps_tell_of_changes(tmp_path):
    path = tmp_path / "a.zarr/zarr.json"
    path.parent.mkdir()
    path.write_text("{}")
    before = stamp_of(path.parent), stamp_of(path)
    path.write_text("{1}")
    assert before[0] != stamp_of(path.parent) and before[1] != stamp_of(path)
    assert stamp_of(tmp_path / "absent") is None and stamp_of(None) is None


@pytest.mark.parametrize("stem", ["a" * 199, "day2/" + "é" * 150, "b" * 250, "c/" + "d" * 201 + "/e"])
def test_long_names(stem):
    short = shortened(stem)
    assert all(len(part.encode()) <= 200 for part in short.split("/"))
    assert (short == stem) == all(len(part.encode()) <= 200 for part in stem.split("/"))
    assert shortened(stem + "x") != short and short.count("/") == stem.count("/")
