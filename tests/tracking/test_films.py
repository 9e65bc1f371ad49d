"""Images of results sorted into films."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cellmm.errors import CellMMError
from cellmm.results.run_folder import InputFile, Record, RunFolder
from cellmm.results.writers.coco import to_coco
from cellmm.tracking.films import film_and_time, group_films, read_results
from tests.tracking.bars import SHAPE, cells


@pytest.mark.parametrize(
    ("name", "film"),
    [
        ("film_t0003.tif", ("film", 3)),
        ("film_t0003", ("film", 3)),
        ("a/film_p002_t0013.ome.tif", ("a/film_p002", 13)),
        ("t017.tif", ("film", 17)),
        ("01/t017.tif", ("01", 17)),
        ("img_t002_ch1.png", ("img_ch1", 2)),
        ("worms012.png", ("worms", 12)),
        ("cat3.png", ("cat", 3)),
        ("2024-01-05_pos2.png", ("2024-01-05_pos", 2)),
        ("alone.tif", ("alone", 0)),
        ("7.png", ("film", 7)),
    ],
)
def test_film_and_time_of_a_name(name, film):
    assert film_and_time(name) == film


def names(film):
    return [frame.name for frame in film.frames]


def test_films_and_positions_apart_in_order_of_time():
    given = ["b_p1_t10.tif", "b_p1_t9.tif", "a_t1.tif", "b_p0_t9.tif", "a_t0.tif"]
    films = group_films(cells([], name=name) for name in given)
    assert [(film.name, names(film)) for film in films] == [
        ("a", ["a_t0.tif", "a_t1.tif"]),
        ("b_p0", ["b_p0_t9.tif"]),
        ("b_p1", ["b_p1_t9.tif", "b_p1_t10.tif"]),
    ]


def test_a_frame_that_is_missing_has_no_cells_and_is_counted():
    times = [0, 1, 3]
    (film,) = group_films(cells([(2, 2, 3, 3)], name=f"a_t{t:04d}") for t in times)
    assert film.missing == (2,) and [len(frame) for frame in film.frames] == [1, 1, 0, 1]


def test_steps_count_as_successive_frames():
    (film,) = group_films(cells([], name=f"a{t}.png") for t in (10, 20, 40))
    assert len(film.frames) == 4 and film.missing == (2,)


def test_numbers_that_are_no_times_are_successive_frames(said):
    (film,) = group_films(cells([], name=f"a{t}.png") for t in (1, 2, 500))
    assert len(film.frames) == 3 and film.missing == ()
    assert "count as successive frames" in said[0]


def test_two_images_of_one_time_are_refused():
    with pytest.raises(CellMMError, match="a_t01.png and a_t1.png are both frame 1 of the film a"):
        group_films([cells([], name="a_t1.png"), cells([], name="a_t01.png")])


def write(path, *images):
    """A COCO json of several images."""
    content = dict(images=[], annotations=[], categories=to_coco(images[0])["categories"])
    for number, image in enumerate(images, start=1):
        part = to_coco(image)
        content["images"].append(part["images"][0] | {"id": number})
        for cell in part["annotations"]:
            cell |= {"id": len(content["annotations"]) + 1, "image_id": number}
            content["annotations"].append(cell)
    path.write_text(json.dumps(content))
    return content


def test_results_are_read_from_a_json_and_from_the_folder_of_a_run(tmp_path):
    frame = cells([(2, 3, 4, 5), (3, 4, 6, 7)], name="a_t0000.tif", scores=[0.75, 0.5])
    write(tmp_path / "cells.json", frame)
    run = RunFolder(tmp_path / "run")
    run.begin({}, [InputFile(tmp_path / "a.tif", "a.tif", "a")], [])
    run.write_instances("a_t0000", replace(frame, pixel_size=(0.5, 0.5)))
    run.write_record(Record("a_t0000.tif", "a_t0000", "a.tif", number=0, total=2, cells=2))
    with pytest.raises(CellMMError, match="a.tif is not finished"):
        read_results(tmp_path / "run")
    run.write_record(Record("a_t0001.tif", "a_t0001", "a.tif", number=1, total=2, error="no"))
    for path, pixel_size in ((tmp_path / "cells.json", None), (tmp_path / "run", (0.5, 0.5))):
        (found,) = read_results(path)
        assert found.masks.to_rles() == frame.masks.to_rles() and found.shape == SHAPE
        assert found.name == "a_t0000.tif" and found.scores.tolist() == [0.75, 0.5]
        assert found.pixel_size == pixel_size


def test_scores_are_optional_and_checked_and_crowds_left_out(tmp_path, said):
    content = write(tmp_path / "cells.json", cells([(2, 3, 4, 5), (3, 4, 6, 7)], name="a"))
    del content["annotations"][0]["score"]
    content["annotations"][1]["iscrowd"] = 1
    (tmp_path / "cells.json").write_text(json.dumps(content))
    (found,) = read_results(tmp_path / "cells.json")
    np.testing.assert_array_equal(found.scores, [1.0])
    assert "1 regions of many cells (iscrowd) are not tracked" in said[0]
    content["annotations"][0]["score"] = 2
    (tmp_path / "cells.json").write_text(json.dumps(content))
    with pytest.raises(CellMMError, match="annotation 1 has score 2, not a number from 0 to 1"):
        read_results(tmp_path / "cells.json")


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(CellMMError, match="no run of `cellmm predict` is in this folder"):
        read_results(tmp_path)


def test_frames_of_different_pixel_sizes_are_said(said):
    frames = [replace(cells([(3, 3, 5, 5)], name=f"a_t{t}.png"), pixel_size=(0.5, 0.5)) for t in range(3)]
    group_films(frames)
    assert said == []
    group_films([*frames[:2], replace(frames[2], pixel_size=None)])
    assert len(said) == 1 and "a_t0.png has a pixel size of (0.5, 0.5), a_t2.png of None" in said[0]
