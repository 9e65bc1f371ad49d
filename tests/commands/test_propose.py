"""`cellmm propose` from images to the files of other programs, and corrected files back to masks."""

import csv
import json
import re
import shlex
import shutil
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from roifile import ROI_TYPE, ImagejRoi

from cellmm.commands import cli
from cellmm.datasets.folders import look_at
from cellmm.io.annotations import find_reader, to_rle
from cellmm.io.annotations.cvat import encode_mask
from cellmm.io.annotations.label_studio_brush import encode_brush
from cellmm.registry import MODELS
from cellmm.structures import rle
from tests.labelling.known_model import SHAPE, box, draw

PAGE = Path(__file__).parents[2] / "docs/how_to/labelling_loop.md"
CONFIG = """
default_scope = 'cellmm'
custom_imports = dict(imports=['tests.labelling.known_model'])
model = dict(
    type='CellSegmentor',
    data_preprocessor=dict(type='CellDataPreprocessor', in_channels=1, divisor=1),
    encoder=dict(type='SamePixels'),
    decoder=dict(type='SamePixels'),
    heads=dict(instances=dict(type='CodedCells', test_cfg=dict(score_thr=0.4))),
)
pipeline = [dict(type='LoadImage'), dict(type='LoadCells'), dict(type='PackCellInputs')]
test_dataloader = dict(
    dataset=dict(
        type='CellCocoDataset',
        ann_file='cells.json',
        metainfo=dict(classes=('round', 'long & thin')),
        pipeline=pipeline,
    ),
)
test_cfg = dict()
test_evaluator = dict(type='CellCocoMetric')
"""
ROUND = box(4, 4, 20, 20)
THIN = box(10, 2, 14, 40)  # overlaps ROUND
RING = box(24, 30, 40, 50) & ~box(28, 36, 33, 44)
PARTS = box(36, 4, 44, 14) | box(30, 20, 33, 26)
ADDED = box(2, 45, 12, 60)
ALL = [(ROUND, 0.9), (THIN, 0.8), (RING, 0.7), (PARTS, 0.6)]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> list[str]:
    """The options of a model that finds the cells which ``draw`` coded into the pixels."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "c.py").write_text(CONFIG)
    state = {
        f"heads.instances.{key}": value for key, value in MODELS.get("CodedCells")().state_dict().items()
    }
    torch.save(dict(state_dict=state), folder / "w.pth")
    return ["--config", str(folder / "c.py"), "--checkpoint", str(folder / "w.pth"), "--device", "cpu"]


@pytest.fixture
def propose(model, tmp_path, capsys):
    """``propose(*options) -> (status, lines)``, of ``images/``; lines of stderr but for progress."""

    def run(*options):
        capsys.readouterr()
        argv = ["propose", tmp_path / "images", *model, "--out", tmp_path / "out", *options]
        status = cli.main([str(word) for word in argv])
        lines = capsys.readouterr().err.split("\n")
        return status, [line for line in lines if line.startswith("cellmm ")]

    return run


def write(path: Path, *cells: tuple[np.ndarray, float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, draw(cells))


def ranking(tmp_path):
    with open(tmp_path / "out/ranking.csv", newline="") as file:
        return list(csv.DictReader(file))


def masks_of(path: Path) -> tuple[dict[str, np.ndarray], dict[str, list]]:
    """{image without its suffix: masks (N, H, W)} and {image: classes}, as the reader finds them."""
    masks, labels = {}, {}
    for image in find_reader(path).read(path):
        stem = Path(image.image or path).stem
        masks[stem] = rle.decode([to_rle(cell, SHAPE) for cell in image.cells], SHAPE)
        labels[stem] = [cell.label for cell in image.cells]
    return masks, labels


def trained_on(folder: Path) -> dict[str, np.ndarray]:
    """{image: masks (N, H, W)} of a folder of annotated images, as a training reads them."""
    return {
        image.name: rle.decode([cell["segmentation"] for cell in image.instances], SHAPE)
        for image in look_at(folder).images
    }


def same(found: np.ndarray, *wanted: np.ndarray) -> bool:
    """Whether these are the masks, in any order."""
    return sorted(mask.tobytes() for mask in found) == sorted(mask.tobytes() for mask in wanted)


def corrected_label_studio(out: Path) -> Path:
    """The export after a person deleted THIN, added ADDED and moved PARTS by two columns."""
    tasks = json.loads((out / "label-studio/tasks.json").read_text())
    for number, task in enumerate(tasks):
        regions = task.pop("predictions")[0]["result"]
        round_cell, _, ring, parts = regions
        added = {**round_cell, "id": "new", "value": {**round_cell["value"], "rle": brush(ADDED)}}
        parts["value"]["rle"] = brush(np.roll(PARTS, 2, axis=1))
        task |= {"id": number, "annotations": [{"id": 7, "result": [round_cell, ring, parts, added]}]}
    path = out / "export.json"
    path.write_text(json.dumps(tasks))
    return path


def brush(mask: np.ndarray) -> list[int]:
    return encode_brush(mask, (0, 0), SHAPE)


def corrected_cvat(out: Path) -> Path:
    tree = ET.parse(out / "cvat/annotations.xml")
    for image in tree.getroot().iter("image"):
        round_cell, thin, _, parts = image
        image.remove(thin)
        parts.set("left", str(int(parts.get("left")) + 2))
        height, width = SHAPE
        box = {"left": "0", "top": "0", "width": str(width), "height": str(height), "rle": encode_mask(ADDED)}
        ET.SubElement(image, "mask", {**round_cell.attrib, **box})
    path = out / "export.xml"
    tree.write(path)
    return path


def corrected_fiji(out: Path) -> Path:
    """As the ROI manager saves it: PARTS is moved by its path, ADDED is a rectangle."""
    path = out / "fiji/a.zip"
    with zipfile.ZipFile(path) as file:
        rois = {name: ImagejRoi.frombytes(file.read(name)) for name in file.namelist()}
    round_cell, _, ring, parts = rois.values()
    points = parts.multi_coordinates.tolist()
    moved, at = [], 0
    while at < len(points):
        steps = 0 if points[at] == 4 else 1
        moved += [points[at], *([points[at + 1] + 2, points[at + 2]] if steps else [])]
        at += 1 + 2 * steps
    parts.multi_coordinates = np.array(moved, np.float32)
    added = ImagejRoi(roitype=ROI_TYPE.RECT, left=45, top=2, right=60, bottom=12)
    with zipfile.ZipFile(path, "w") as file:
        for number, roi in enumerate([round_cell, ring, parts, added]):
            file.writestr(f"{number}.roi", roi.tobytes())
    return path


def corrected_qupath(out: Path) -> Path:
    path = out / "qupath/a.geojson"
    content = json.loads(path.read_text())
    round_cell, _, ring, parts = content["features"]
    assert round_cell["properties"]["objectType"] == "annotation"
    for polygon in parts["geometry"]["coordinates"]:
        for ring_of_it in polygon:
            for point in ring_of_it:
                point[0] += 2
    corners = [[45, 2], [60, 2], [60, 12], [45, 12], [45, 2]]
    added = {**round_cell, "geometry": {"type": "Polygon", "coordinates": [corners]}}
    content["features"] = [round_cell, ring, parts, added]
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("program", "correct"),
    [
        ("label-studio", corrected_label_studio),
        ("cvat", corrected_cvat),
        ("fiji", corrected_fiji),
        ("qupath", corrected_qupath),
    ],
)
def test_corrected_cells_come_back_to_the_pixel(propose, tmp_path, program, correct):
    write(tmp_path / "images/a.tif", *ALL)
    status, lines = propose("--for", program)
    assert status == 0 and not any("left out" in line for line in lines)
    corrected = correct(tmp_path / "out")
    masks, labels = masks_of(corrected)
    assert same(masks["a"], ROUND, RING, np.roll(PARTS, 2, axis=1), ADDED)
    assert labels["a"][:3] == ["round", "round", "long & thin"]
    shutil.copy(corrected, tmp_path / "images")  # beside the image itself, which has 16 bits
    assert same(trained_on(tmp_path / "images")["a"], *masks["a"])


@pytest.mark.parametrize("program", ["label-studio", "cvat"])
def test_polygons_hold_what_they_can_and_say_the_rest(propose, tmp_path, program):
    write(tmp_path / "images/a.tif", *ALL)
    status, lines = propose("--for", program, "--shapes", "polygons", "--tolerance", "0")
    out = tmp_path / "out"
    if program == "cvat":
        path, parts = out / "cvat/annotations.xml", PARTS  # a group is one cell
        losses = ["1 holes"]
    else:
        tasks = json.loads((out / "label-studio/tasks.json").read_text())
        tasks[0]["annotations"] = [{"id": 1, "result": tasks[0]["predictions"][0]["result"]}]
        path, parts = out / "export.json", box(36, 4, 44, 14)
        path.write_text(json.dumps(tasks))
        losses = ["1 holes", "1 smaller parts of cells"]
    assert same(masks_of(path)[0]["a"], ROUND, THIN, box(24, 30, 40, 50), parts)
    (line,) = [line for line in lines if f"{program}: left out" in line]
    assert all(loss in line for loss in losses)
    assert status == 0


def test_the_doubtful_images_come_first(propose, tmp_path):
    for name, score in dict(sure=0.98, doubtful=0.42, below=0.3, between=0.8).items():
        write(tmp_path / f"images/{name}.tif", (ROUND, score), (THIN, 0.95))
    write(tmp_path / "images/blank.tif")
    status, lines = propose("--for", "label-studio,fiji", "--first", 2)
    rows = ranking(tmp_path)
    assert [row["image"] for row in rows] == [
        *("doubtful.tif", "below.tif", "between.tif", "sure.tif"),
        "blank.tif",
    ]
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [row["proposed"] for row in rows] == ["yes", "yes", "no", "no", "no"]
    assert [(row["cells"], row["candidates"], row["in_doubt"]) for row in rows] == [
        *[("2", "0", "1"), ("1", "1", "1"), ("2", "0", "0"), ("2", "0", "0")],
        ("0", "0", "0"),
    ]
    tasks = json.loads((tmp_path / "out/label-studio/tasks.json").read_text())
    assert [task["data"]["image"] for task in tasks] == [
        "/data/local-files/?d=images/doubtful.png",
        "/data/local-files/?d=images/below.png",
    ]
    assert [len(task["predictions"][0]["result"]) for task in tasks] == [2, 1]  # candidates are not proposed
    sure = [1 - float(row["score"]) for row in rows[:2]]  # Label Studio sorts by the score of the prediction
    assert [task["predictions"][0]["score"] for task in tasks] == pytest.approx(sure, abs=1e-4)
    assert sorted(path.name for path in (tmp_path / "out/images").iterdir()) == ["below.png", "doubtful.png"]
    assert status == 0 and any(
        "nothing is found come last" in line and "1: blank.tif" in line for line in lines
    )


def test_proposals_are_what_predict_finds(propose, model, tmp_path):
    write(tmp_path / "images/a.tif", (ROUND, 0.9), (THIN, 0.39), (RING, 0.41), (PARTS, 0.1))
    assert propose("--for", "cvat")[0] == 0
    out = str(tmp_path / "predicted")
    assert cli.main(["predict", str(tmp_path / "images"), *model, "--out", out, "--save", "coco"]) == 0
    cells = json.loads((tmp_path / "predicted/cells.json").read_text())["annotations"]
    wanted = rle.decode([cell["segmentation"] for cell in cells])
    masks, _ = masks_of(tmp_path / "out/cvat/annotations.xml")
    assert same(wanted, ROUND, RING) and same(masks["a"], *wanted)


def test_mirror_images_tell_apart_what_scores_do_not(propose, tmp_path):
    """From the other side, the model does not see the first cell of an image."""
    write(tmp_path / "images/a.tif", (np.zeros(SHAPE, bool), 0.1), (THIN, 0.9))
    write(tmp_path / "images/b.tif", (ROUND, 0.9), (THIN, 0.9))
    status, lines = propose("--for", "fiji")
    assert [row["disagreement"] for row in ranking(tmp_path)] == ["", ""]
    assert any("--mirror may tell them apart" in line for line in lines)
    status, _ = propose("--for", "fiji", "--mirror")
    rows = {row["image"]: float(row["disagreement"]) for row in ranking(tmp_path)}
    assert rows == {"a.tif": 0.0, "b.tif": pytest.approx(1 / 3, abs=1e-4)}  # 1 found, 1 missed: PQ 2/3
    assert ranking(tmp_path)[0]["image"] == "b.tif" and status == 0


def test_pictures_of_deep_images_are_said_and_fit(propose, tmp_path):
    write(tmp_path / "images/day1/a.tif", *ALL)
    grey = np.arange(48 * 64, dtype=np.uint16).reshape(SHAPE) // 13
    grey[0] = 0
    (tmp_path / "images/day2").mkdir()
    tifffile.imwrite(tmp_path / "images/day2/a.tif", grey.astype(np.uint8))
    status, lines = propose("--for", "cvat")
    shutil.copytree(tmp_path / "images", tmp_path / "data")
    shutil.copy(tmp_path / "out/cvat/annotations.xml", tmp_path / "data")
    assert {name: len(masks) for name, masks in trained_on(tmp_path / "data").items()} == {
        "day1/a": 4,
        "day2/a": 0,
    }
    assert any("1 images are shown as copies of 8 bits" in line for line in lines)
    picture = cv2.imread(str(tmp_path / "out/images/day1/a.png"), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (*SHAPE, 3) and picture.dtype == np.uint8
    unchanged = cv2.imread(str(tmp_path / "out/images/day2/a.png"))
    assert (unchanged == grey[..., None]).all()
    names = {
        image.image
        for image in find_reader(tmp_path / "out/cvat/annotations.xml").read(
            tmp_path / "out/cvat/annotations.xml"
        )
    }
    assert names == {"day1/a.png", "day2/a.png"} and status == 0


def test_labelled_images_are_left_out(propose, tmp_path, capsys):
    for name in "abc":
        write(tmp_path / f"images/{name}.tif", *ALL)
    assert propose("--for", "fiji", "--first", 1)[0] == 0
    (tmp_path / "done").mkdir()
    shutil.copy(tmp_path / "images/a.tif", tmp_path / "done")
    shutil.copy(tmp_path / "out/fiji/a.zip", tmp_path / "done")
    tifffile.imwrite(tmp_path / "done/b.tif", draw(ALL)[:, :40])  # another image of this name
    shutil.copy(tmp_path / "out/fiji/a.zip", tmp_path / "done/b.zip")
    status, lines = propose("--for", "fiji", "--labelled", tmp_path / "done")
    assert [row["image"] for row in ranking(tmp_path)] == ["b.tif", "c.tif"]
    assert status == 0 and any("labelled already are left out, 1: a.tif" in line for line in lines)
    for name in "bc":
        shutil.copy(tmp_path / f"images/{name}.tif", tmp_path / "done")
        shutil.copy(tmp_path / "out/fiji/b.zip", tmp_path / f"done/{name}.zip")
    status, (line,) = propose("--for", "fiji", "--labelled", tmp_path / "done")
    assert status == 1 and "all images are labelled already, 3: " in line


def test_frames_of_a_film_are_images_of_their_own(propose, tmp_path):
    (tmp_path / "images").mkdir()
    film = np.stack([draw([(ROUND, 0.9)]), draw([(THIN, 0.5)])])
    tifffile.imwrite(tmp_path / "images/film.tif", film, metadata={"axes": "TYX"}, imagej=True)
    status, lines = propose("--for", "fiji")
    frames = sorted((tmp_path / "out/frames").iterdir())
    assert [path.name for path in frames] == ["film_t0000.tif", "film_t0001.tif"]
    assert (tifffile.imread(frames[1]) == film[1]).all()
    path = tmp_path / "out/fiji/film_t0001.zip"
    (image,) = find_reader(path).read(path)
    assert [cell.time for cell in image.cells] == [None]  # of the frame, which has one time point
    assert status == 0 and any("2 images are out of stacks" in line for line in lines)
    for stem in ("film_t0000", "film_t0001"):
        shutil.copy(tmp_path / f"out/fiji/{stem}.zip", tmp_path / "out/frames")
    assert same(trained_on(tmp_path / "out/frames")["film_t0001"], THIN)
    shutil.copytree(tmp_path / "out/frames", tmp_path / "done")
    (tmp_path / "done/film_t0000.zip").unlink()
    status, lines = propose("--for", "fiji", "--labelled", tmp_path / "done")
    assert [row["image"] for row in ranking(tmp_path)] == ["film_t0000.tif"] and status == 0
    assert any("frames that are labelled already are left out, 1: film_t0001" in line for line in lines)
    shutil.copy(tmp_path / "done/film_t0001.zip", tmp_path / "done/film_t0000.zip")
    status, lines = propose("--for", "fiji", "--labelled", tmp_path / "done")
    assert status == 1 and "all images that could be used are labelled already, 2: " in lines[-1]


def test_images_of_one_name_in_other_folders_are_others(propose, tmp_path):
    films = dict(pos1=[[(ROUND, 0.9)], [(THIN, 0.5)]], pos2=[[(RING, 0.9)], [(ADDED, 0.5)]])
    for pos, cells in films.items():
        write(tmp_path / f"images/{pos}/img.tif", *cells[0])  # as large as the other
        film = np.stack([draw(some) for some in cells])
        tifffile.imwrite(tmp_path / f"images/{pos}/film.tif", film, metadata={"axes": "TYX"}, imagej=True)
    assert propose("--for", "fiji")[0] == 0
    done = tmp_path / "done/images"
    shutil.copytree(tmp_path / "out/frames/pos1", done)
    shutil.copy(tmp_path / "images/pos1/img.tif", done)
    shutil.copytree(tmp_path / "out/fiji/pos1", tmp_path / "done/rois")
    status, lines = propose("--for", "fiji", "--labelled", tmp_path / "done")
    assert status == 0 and {row["image"] for row in ranking(tmp_path)} == {
        "pos2/img.tif",
        "pos2/film_t0000.tif",
        "pos2/film_t0001.tif",
    }
    assert any("images that are labelled already are left out, 1: pos1/img.tif" in line for line in lines)
    assert any("frames that are labelled already are left out, 2: pos1/film_t0000" in line for line in lines)


def test_resume_keeps_corrected_files_and_a_new_run_puts_them_away(propose, tmp_path):
    write(tmp_path / "images/a.tif", *ALL)
    write(tmp_path / "images/b.tif", (ROUND, 0.5))
    assert propose("--for", "fiji,cvat")[0] == 0
    corrected = tmp_path / "out/fiji/a.zip"
    corrected.write_bytes(b"corrected")
    before = (tmp_path / "out/cvat/annotations.xml").read_bytes()
    stamp = (tmp_path / "out/predictions/parts/records/a.npz").stat().st_mtime_ns
    status, lines = propose("--for", "fiji,cvat", "--resume")
    assert status == 0 and any("fiji: kept 2 existing files, which may hold" in line for line in lines)
    assert corrected.read_bytes() == b"corrected"
    assert (tmp_path / "out/cvat/annotations.xml").read_bytes() == before
    assert (tmp_path / "out/predictions/parts/records/a.npz").stat().st_mtime_ns == stamp
    status, lines = propose("--for", "fiji")
    (moved,) = (tmp_path / "out/earlier").glob("*/fiji/a.zip")
    assert moved.read_bytes() == b"corrected" and corrected.read_bytes() != b"corrected"
    assert any("earlier proposals is now in" in line for line in lines)


@pytest.mark.parametrize(
    "moment", ["cellmm.commands.propose.rank_images", "cellmm.labelling.cvat.encode_mask"]
)
def test_stopped_and_resumed_is_the_same_as_one_run(propose, tmp_path, monkeypatch, moment):
    for name in "ab":
        write(tmp_path / f"images/{name}.tif", *ALL)
    options = ("--for", "label-studio,cvat,fiji", "--mirror")
    with monkeypatch.context() as patch:

        def stop(*_, **__):
            raise KeyboardInterrupt

        patch.setattr(moment, stop)
        assert propose(*options)[0] == 130
    assert not (tmp_path / "out/cvat/annotations.xml").exists()
    assert propose(*options, "--resume")[0] == 0
    resumed = files_in(tmp_path / "out")
    assert propose(*options)[0] == 0
    whole = files_in(tmp_path / "out")
    assert resumed == {name: content for name, content in whole.items() if not name.startswith("earlier/")}
    assert {"ranking.csv", "images/a.png", "fiji/b.zip", "label-studio/tasks.json"} <= resumed.keys()


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_bad_images_are_named_and_the_others_proposed(propose, tmp_path):
    write(tmp_path / "images/a.tif", *ALL)
    (tmp_path / "images/cut.tif").write_bytes((tmp_path / "images/a.tif").read_bytes()[:900])
    tifffile.imwrite(tmp_path / "images/dot.tif", np.zeros((1, 1), np.uint16))
    bad = np.full(SHAPE, np.nan, np.float32)
    tifffile.imwrite(tmp_path / "images/nan.tif", bad)
    status, lines = propose("--for", "label-studio")
    assert status == 1
    assert any("cut.tif" in line for line in lines) and any("nan.tif" in line for line in lines)
    tasks = json.loads((tmp_path / "out/label-studio/tasks.json").read_text())
    assert "images/a.png" in tasks[0]["data"]["image"]
    assert not any("nan" in task["data"]["image"] or "cut" in task["data"]["image"] for task in tasks)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("--for", "paint"), "no such program; choose from label-studio, cvat, fiji, qupath"),
        (("--for", "cvat,cvat"), "given twice"),
        (("--for", "cvat", "--first", "0"), "1 or more is needed"),
        (("--for", "cvat", "--score-thr", "2"), "scores are 0 to 1"),
        (("--for", "cvat", "--tolerance", "nan"), "give pixels, 0 or more"),
        (("--for", "cvat", "--save", "rois"), "takes no --save"),
    ],
)
def test_wrong_options_write_nothing(propose, tmp_path, options, part):
    write(tmp_path / "images/a.tif", *ALL)
    status, (line,) = propose(*options)
    assert status == 1 and part in line and not (tmp_path / "out").exists()


def test_other_folders_are_not_touched(propose, model, tmp_path, capsys):
    write(tmp_path / "images/a.tif", *ALL)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    status, (line,) = propose("--for", "cvat")
    assert status == 1 and "not of `cellmm propose`" in line
    (tmp_path / "out/mine.txt").unlink()
    inside = tmp_path / "images"
    argv = ["propose", str(inside), *model, "--for", "cvat", "--out", str(inside / "proposals")]
    assert cli.main(argv) == cli.main([*argv, "--resume"]) == 0  # its own pictures are no images
    assert len((inside / "proposals/ranking.csv").read_text().splitlines()) == 2
    assert cli.main(["propose", str(inside), *model, "--for", "cvat", "--out", str(inside)]) == 1
    assert "where proposals go" in capsys.readouterr().err


def test_the_commands_of_the_page_work_one_after_another(model, tmp_path, monkeypatch):
    text = PAGE.read_text(encoding="utf-8")
    first, second = [shlex.split(line)[1:] for line in re.findall(r"^cellmm propose .+$", text, re.MULTILINE)]
    monkeypatch.chdir(tmp_path)
    for number in range(22):
        write(tmp_path / f"images/{number}.tif", *ALL)

    def run(words: list[str]) -> int:
        at = words.index("--model")
        return cli.main([*words[:at], *words[at + 2 :], *model])

    assert run(first) == 0
    tasks = json.loads((tmp_path / "proposals/label-studio/tasks.json").read_text())
    for task in tasks:
        task["annotations"] = [{"id": 1, "result": task["predictions"][0]["result"]}]
    shutil.copytree(tmp_path / "images", tmp_path / "data/mine")
    (tmp_path / "data/mine/export.json").write_text(json.dumps(tasks))
    assert run(second) == 0
    rows = list(csv.DictReader((tmp_path / "round2/ranking.csv").open()))
    assert len(tasks) == 20 and len(rows) == 2
    assert {row["image"] for row in rows}.isdisjoint(
        Path(task["data"]["image"]).with_suffix(".tif").name for task in tasks
    )
