"""`cellmm track` on a COCO json: films, folders, options and their errors."""

import json
from dataclasses import replace

import pandas as pd
import pytest
import tifffile

from cellmm.commands import cli
from cellmm.results.run_folder import InputFile, Record, RunFolder
from cellmm.results.writers.coco import to_coco
from tests.tracking.bars import cells, crossing_bars, dividing_cell


def write(path, images):
    content = dict(images=[], annotations=[], categories=[dict(id=1, name="cell")])
    for number, image in enumerate(images, start=1):
        part = to_coco(image)
        content["images"].append(part["images"][0] | {"id": number})
        for cell in part["annotations"]:
            content["annotations"].append(cell | {"id": len(content["annotations"]) + 1, "image_id": number})
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def results(tmp_path):
    """A json with two films, in a mixed order."""
    images = [cells([(3, 3 + t, 5, 5)], name=f"day2/one_t{t}.png") for t in range(3)]
    bars = crossing_bars()
    return write(tmp_path / "cells.json", [*bars[::-1], *images])


def run(*argv):
    return cli.main(["track", *map(str, argv)])


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_each_film_has_its_folder(results, tmp_path, capsys):
    out = tmp_path / "tracks"
    assert run(results, "--out", out) == 0
    printed, err = capsys.readouterr()
    assert "bars: 9 frames, 18 cells, 2 tracks, 0 divisions" in printed
    assert "day2/one: 3 frames, 3 cells, 1 tracks, 0 divisions" in printed
    assert "bars: ctc does not keep" in err and err.count("\n") == 1
    assert sorted(path.name for path in out.iterdir()) == ["bars", "day2_one"]
    bars = out / "bars"
    assert {p.name for p in bars.iterdir() if not p.name.startswith(".")} == {
        "01_RES", "napari_graph.json", "napari_tracks.csv", "trackmate.xml", "tracks.csv",
    }  # fmt: skip
    table = pd.read_csv(bars / "tracks.csv")
    first = table[table["track_id"] == 1]
    assert first["x"].tolist() == [12 + 4 * t for t in range(9)]  # it went on through the other one
    assert tifffile.imread(bars / "01_RES/mask008.tif").max() == 2


def test_a_second_run_puts_the_first_away_and_writes_the_same(results, tmp_path, capsys):
    out = tmp_path / "tracks"
    assert run(results, "--out", out) == 0
    before = files(out)
    assert run(results, "--out", out) == 0
    assert "of an earlier run is now in" in capsys.readouterr().err
    (earlier,) = (out / "earlier").iterdir()
    assert files(earlier) == before
    assert files(out / "bars") == files(earlier / "bars")


def test_formats_by_option(results, tmp_path):
    assert run(results, "--out", tmp_path / "out", "--save", "csv,napari") == 0
    names = {path.name for path in (tmp_path / "out/bars").iterdir()}
    assert names == {".cellmm-track", "tracks.csv", "napari_graph.json", "napari_tracks.csv"}


def test_divisions_and_missing_frames(tmp_path, capsys):
    named = [replace(frame, name=f"a_t{t}") for t, frame in enumerate(dividing_cell())]
    path = write(tmp_path / "a.json", named[:1] + named[2:])
    assert run(path, "--out", tmp_path / "out", "--save", "csv") == 0
    out, err = capsys.readouterr()
    assert "6 frames, 8 cells, 3 tracks, 1 divisions" in out
    assert "a: frames 1: 1 are not in the results and count as frames without cells" in err
    assert run(path, "--out", tmp_path / "no", "--save", "csv", "--no-divisions") == 0
    assert "0 divisions" in capsys.readouterr().out
    assert run(path, "--out", tmp_path / "gap", "--save", "csv", "--max-gap", "0") == 0
    assert "4 tracks" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--save", "xml"], "--save xml: not a format of tracks; choose from csv, ctc, napari, trackmate"),
        (["--max-distance", "-2"], "max_distance is -2: give a number from 0 to inf"),
        (["--max-gap", "-1"], "max_gap is -1: give a number from 0 to 100"),
        (
            ["--max-distance-um", "5"],
            "--max-distance-um: bars has no pixel size; give --max-distance in pixels",
        ),
    ],
)
def test_wrong_options_are_one_line_and_nothing_is_written(results, tmp_path, capsys, argv, message):
    assert run(results, "--out", tmp_path / "out", *argv) == 1
    err = capsys.readouterr().err
    assert err.startswith("cellmm track: ") and message in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_folders_of_others_are_not_touched(results, tmp_path, capsys):
    (tmp_path / "out/bars").mkdir(parents=True)
    (tmp_path / "out/bars/image.tif").touch()
    assert run(results, "--out", tmp_path / "out") == 1
    assert (
        "bars is not of an earlier `cellmm track`: name another folder with --out" in capsys.readouterr().err
    )
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["bars", "image.tif"]


def test_distance_in_micrometres_on_a_run_of_predict(tmp_path, capsys):
    run_folder = RunFolder(tmp_path / "run")
    run_folder.begin({}, [InputFile(tmp_path / "a.tif", "a.tif", "a")], [])
    for t in range(2):
        frame = cells([(10, 10 + 7 * t, 4, 4)], name=f"a_t000{t}.tif")
        run_folder.write_instances(f"a_t000{t}", replace(frame, pixel_size=(0.5, 0.5)))
        run_folder.write_record(Record(frame.name, f"a_t000{t}", "a.tif", number=t, total=2, cells=1))
    for distance, num_tracks in ((4, 1), (3, 2)):
        out = tmp_path / str(distance)
        assert run(run_folder.path, "--out", out, "--save", "csv", "--max-distance-um", distance) == 0
        assert f"a: 2 frames, 2 cells, {num_tracks} tracks" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["../../up_t0.png", "/abs/up_t0.png", "C:\\x\\up_t0.png"])
def test_results_stay_in_out_whatever_the_images_are_called(tmp_path, name):
    path = write(tmp_path / "a.json", [cells([(3, 3, 5, 5)], name=name)])
    assert run(path, "--out", tmp_path / "out", "--save", "csv") == 0
    (folder,) = (tmp_path / "out").iterdir()
    assert (folder / "tracks.csv").is_file()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "out"]


def test_films_with_one_folder_are_refused(tmp_path, capsys):
    images = [cells([], name="a/b_t0.png"), cells([], name="a_b_t0.png")]
    path = write(tmp_path / "a.json", images)
    assert run(path, "--out", tmp_path / "out") == 1
    assert "would both go to" in capsys.readouterr().err


def test_results_without_images_are_refused(tmp_path, capsys):
    folder = RunFolder(tmp_path / "run")
    folder.begin({}, [InputFile(tmp_path / "a.tif", "a.tif", "a")], [])
    folder.write_record(Record("a.tif", "a", "a.tif", error="a.tif is damaged"))
    assert run(tmp_path / "run", "--out", tmp_path / "out") == 1
    assert "run holds no image that could be used" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_numbers_in_steps_are_said(tmp_path, capsys):
    images = [cells([(3, 3 + t, 5, 5)], name=f"a_t{2 * t}.png") for t in range(3)]
    assert run(write(tmp_path / "a.json", images), "--out", tmp_path / "out", "--save", "csv") == 0
    assert "a: the numbers of the images go up in steps of 2, and count as succ" in capsys.readouterr().err


def test_a_film_without_cells_is_written_in_every_format(tmp_path, capsys):
    images = [cells([], name=f"a_t{t}.png") for t in range(3)]
    assert run(write(tmp_path / "a.json", images), "--out", tmp_path / "out") == 0
    assert "a: 3 frames, 0 cells, 0 tracks, 0 divisions" in capsys.readouterr().out
    assert len(list((tmp_path / "out/a/01_RES").glob("mask*.tif"))) == 3
    assert '<AllSpots nspots="0">' in (tmp_path / "out/a/trackmate.xml").read_text()
