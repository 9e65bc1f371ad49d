"""Results as programs write them: each layout gives the same masks, and nothing is left out in silence."""

import json

import numpy as np
import pytest
import tifffile
from roifile import ImagejRoi, roiwrite

from cellmm.commands.compare import main, split_name, thresholds
from cellmm.comparison import compare, read_result_set, read_truth
from cellmm.config.names import find_config
from cellmm.errors import CellMMError
from cellmm.simulation import make_dataset
from cellmm.structures import rle
from cellmm.zoo import shipped_models

SHAPE = (24, 40)
NAMES = ("well 01", "well 02", "well 03")
BOXES = {"well 01": [(2, 3, 8, 9), (12, 20, 7, 10)], "well 02": [(5, 5, 10, 10)], "well 03": []}  # y, x, h, w


def masks_of(name: str) -> np.ndarray:
    masks = np.zeros((len(BOXES[name]), *SHAPE), bool)
    for mask, (y, x, height, width) in zip(masks, BOXES[name], strict=True):
        mask[y : y + height, x : x + width] = True
    return masks


def label_of(name: str) -> np.ndarray:
    return sum((number * mask for number, mask in enumerate(masks_of(name), 1)), np.zeros(SHAPE, np.uint16))


def corners(box) -> np.ndarray:
    y, x, height, width = box
    return np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], float)


@pytest.fixture
def truth(tmp_path):
    """A COCO json with its images beside it."""
    folder = tmp_path / "truth"
    folder.mkdir()
    images, annotations = [], []
    for number, name in enumerate(NAMES, start=11):
        tifffile.imwrite(folder / f"{name}.tif", np.arange(24 * 40, dtype=np.uint16).reshape(SHAPE))
        images.append(dict(id=number, file_name=f"{name}.tif", height=SHAPE[0], width=SHAPE[1]))
        for mask in masks_of(name):
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=number,
                    category_id=1,
                    segmentation=rle.encode_one(mask),
                    iscrowd=0,
                    area=float(mask.sum()),
                )
            )
    content = dict(images=images, annotations=annotations, categories=[dict(id=1, name="cell")])
    (folder / "cells.truth.json").write_text(json.dumps(content))
    return read_truth(str(folder / "cells.truth.json"))


def label_images(folder, ending):
    for name in NAMES:
        tifffile.imwrite(folder / f"{name}{ending}", label_of(name))


def arrays(folder):
    for name in NAMES:
        np.save(folder / f"{name}.npy", label_of(name))


def cellpose_seg(folder):
    for name in NAMES:
        content = {"masks": label_of(name), "filename": f"/home/a/{name}.tif"}
        np.save(folder / f"{name}_seg.npy", content, allow_pickle=True)


def yolo(folder):
    for name in NAMES[:2]:  # no file where nothing is found
        shares = [(corners(box) / SHAPE[::-1]).ravel().tolist() for box in BOXES[name]]
        lines = [" ".join(map(str, [0, *some, 0.75])) for some in shares]
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")


def rois(folder):
    for name in NAMES[:2]:
        some = [ImagejRoi.frompoints(corners(box)) for box in BOXES[name]]
        roiwrite(folder / f"{name}_rois.zip", some, mode="w")


LAYOUTS = {
    "Cellpose, Omnipose": (lambda folder: label_images(folder, "_cp_masks.tif"), "label image", 0),
    "StarDist": (lambda folder: label_images(folder, ".tif"), "label image", 0),
    "InstanSeg": (lambda folder: label_images(folder, "_instanseg_prediction.tiff"), "label image", 0),
    "CellProfiler": (lambda folder: label_images(folder, "_Nuclei.tiff"), "label image", 0),
    "arrays": (arrays, "NumPy label array", 0),
    "Cellpose _seg.npy": (cellpose_seg, "Cellpose _seg.npy", 0),
    "YOLO": (yolo, "YOLO segmentation txt", 1),
    "Fiji": (rois, "Fiji ROIs", 1),
}


@pytest.mark.parametrize("program", LAYOUTS)
def test_layouts(program, truth, tmp_path):
    folder = tmp_path / "results of a program"
    folder.mkdir()
    write, kind, missing = LAYOUTS[program]
    write(folder)
    found = read_result_set(program, str(folder), truth)
    assert [result["image_id"] for result in found.results] == [11, 11, 12]
    expected = [rle.encode_one(mask) for name in NAMES for mask in masks_of(name)]
    assert [result["segmentation"] for result in found.results] == expected
    assert found.has_scores is (program == "YOLO")
    scores = [result["score"] for result in found.results]
    assert scores == ([0.75] * 3 if program == "YOLO" else pytest.approx([0.72, 0.7, 1.0]))  # areas / 100
    text = " | ".join(found.notes)
    assert f"read as {kind}" in text and ("no scores: AP ranks" in text) is not found.has_scores
    assert ("1 of 3 images have no file and count as empty: well 03.tif" in text) is bool(missing)
    scored = compare(truth, [found], resamples=0).entries[0]
    assert scored.scores["AP"].value == scored.scores["S"].value == 1
    assert scored.score_thr == (0.3 if found.has_scores else 0)


def coco(image_ids=(11, 11, 12), **more) -> list[dict]:
    masks = [mask for name in NAMES for mask in masks_of(name)]
    return [
        dict(image_id=image_id, category_id=1, segmentation=rle.encode_one(mask), score=0.5, **more)
        for image_id, mask in zip(image_ids, masks, strict=True)
    ]


@pytest.mark.parametrize(
    "content",
    [
        coco(),
        dict(results=coco()),
        coco(("well 01", "well 01", "well 02.tif")),  # as YOLO names images
        [dict(result, category_id=0) for result in coco()],  # the only class, whatever its number
        [
            {k: v for k, v in r.items() if k != "image_id"} | {"well": w}
            for r, w in zip(coco(), ("01", "01", "02"), strict=True)
        ],
        [
            dict(result, segmentation=[corners(box).ravel().tolist()])
            for result, box in zip(coco(), [box for name in NAMES for box in BOXES[name]], strict=True)
        ],
    ],
    ids=["list", "results", "names", "category 0", "well", "polygons"],
)
def test_coco_results(content, truth, tmp_path):
    (tmp_path / "r.json").write_text(json.dumps(content))
    found = read_result_set("a", str(tmp_path / "r.json"), truth)
    assert found.has_scores and [result["image_id"] for result in found.results] == [11, 11, 12]
    assert compare(truth, [found], resamples=0).entries[0].scores["AP"].value == 1
    (note,) = found.notes
    assert note.startswith("1 of 3 images have no result and count as empty") and "well 03.tif" in note


def test_names_that_are_numbers(truth, tmp_path):
    for number, sample in enumerate(truth.samples):
        sample["img_path"] = f"0{number}7.png"
    (tmp_path / "r.json").write_text(json.dumps(coco((7, 7, 17))))
    found = read_result_set("yolo", str(tmp_path / "r.json"), truth)
    assert [result["image_id"] for result in found.results] == [11, 11, 12]


def test_annotations_with_scores_are_results(truth, tmp_path):
    content = json.loads((tmp_path / "truth/cells.truth.json").read_text())
    for cell in content["annotations"]:
        cell["score"] = 0.25
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "cells.json").write_text(json.dumps(content))  # as cellmm predict writes
    found = read_result_set("a", str(folder), truth)
    assert found.has_scores and [result["score"] for result in found.results] == [0.25] * 3


def test_what_is_left_out_is_said(truth, tmp_path):
    (tmp_path / "r.json").write_text(json.dumps([*coco(), *coco((99, 99, 98))]))
    notes = read_result_set("a", str(tmp_path / "r.json"), truth).notes
    assert "3 results of images that the truth lacks are left out, 2: 99, 98" in notes
    folder = tmp_path / "labels"
    folder.mkdir()
    label_images(folder, ".tif")
    tifffile.imwrite(folder / "other.tif", label_of("well 01"))
    notes = read_result_set("a", str(folder), truth).notes
    assert "files of images that the truth lacks are left out, 1: other.tif" in notes


def test_several_kinds_need_a_choice(truth, tmp_path):
    folder = tmp_path / "both"
    folder.mkdir()
    label_images(folder, "_cp_masks.tif")
    cellpose_seg(folder)
    with pytest.raises(CellMMError, match="several kinds.*--layout"):
        read_result_set("a", str(folder), truth)
    assert len(read_result_set("a", str(folder), truth, layout="cellpose _seg.npy").results) == 3
    with pytest.raises(CellMMError, match="no results of the kind 'x'"):
        read_result_set("a", str(folder), truth, layout="x")


def wrong_size(folder):
    tifffile.imwrite(folder / "well 01_masks.tif", np.pad(label_of("well 01"), 1))


def one_number(folder):
    for name in NAMES:
        label = np.zeros(SHAPE, np.uint8)
        label[2:20:6, 2:38:6] = label[3:20:6, 2:38:6] = label[2:20:6, 3:38:6] = label[3:20:6, 3:38:6] = 255
        tifffile.imwrite(folder / f"{name}_masks.tif", label)


def other_images(folder):
    tifffile.imwrite(folder / "x_masks.tif", label_of("well 01"))


def fractions(folder):
    np.save(folder / "well 01.npy", label_of("well 01") / 2)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (wrong_size, "is of an image of 26x42 pixels, well 01.tif has 24x40: save"),
        (one_number, "one mask in many pieces.*give each cell a number"),
        (other_images, "belong to none of the images.*give them the names"),
        (fractions, "type float64, not a label image.*save whole numbers"),
        (lambda folder: None, "holds no results that can be read"),
    ],
)
def test_folders_that_cannot_be_used(write, message, truth, tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    write(folder)
    with pytest.raises(CellMMError, match=message):
        read_result_set("a", str(folder), truth)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (coco((99, 99, 98)), "results of images 2: 99, 98, none of the 3 images"),
        ([dict(image_id=11, category_id=1, bbox=[0, 0, 1, 1], score=1)], "1 of 1 results lack .*not boxes"),
        ([*coco()[:2], dict(coco()[2], score=None)], "1 of 3 results have no score: give each"),
        ([dict(coco()[0], score="high")], "score 'high', no number"),
        ([dict(coco()[0], category_id=1), dict(coco()[1], category_id=7)], r"category_id \[7\]: the ids"),
        ([dict(coco()[0], segmentation=dict(size=[3, 3], counts="12"))], "well 01.tif: .*export it again"),
    ],
)
def test_coco_results_that_cannot_be_used(content, message, truth, tmp_path):
    (tmp_path / "r.json").write_text(json.dumps(content))
    with pytest.raises(CellMMError, match=message):
        read_result_set("a", str(tmp_path / "r.json"), truth)


def test_a_model_is_run(tmp_path):
    scene = dict(
        size=(128, 128), pixel=0.5, cells=(3, 4), min_visible=40, coherence=0.05
    )  # as it was trained on
    make_dataset(tmp_path / "sim", splits=dict(test=1), scene=scene, seed=0)
    truth = read_truth(str(tmp_path / "sim/test/annotations.json"))
    model = shipped_models()["cells-simulated"]
    sources = ("cells-simulated", f"{find_config(model.config)}:{model.weights}")
    first, second = (read_result_set("ours", source, truth) for source in sources)
    assert first.has_scores and first.results == second.results
    assert compare(truth, [first], resamples=0).entries[0].scores["AP50"].value > 0.2


def test_a_config_or_weights_alone(truth, tmp_path):
    config = tmp_path / "a.py"
    config.write_text("model = dict()")
    for source in (str(config), "absent.pth"):
        with pytest.raises(CellMMError, match="give CONFIG.py:WEIGHTS"):
            read_result_set("a", source, truth)
    with pytest.raises(CellMMError, match="no such file, folder or model"):
        read_result_set("a", "absent", truth)


def test_the_command(truth, tmp_path, capsys):
    (tmp_path / "r 1.json").write_text(json.dumps(coco()))
    folder = tmp_path / "star dist"
    folder.mkdir()
    label_images(folder, ".tif")
    arguments = ["--truth", truth.name, "--out", str(tmp_path / "out"), "--resamples", "20"]
    main([f"our model={tmp_path / 'r 1.json'}", str(folder), *arguments, "--score-thr", "our model=0.6"])
    out = capsys.readouterr().out
    assert "3 images, 3 cells of" in out and "| our model | 1.000" in out and "| star dist | 1.000" in out
    assert "our model: 3 of 3 predictions score less than 0.6" in out
    assert "star dist: no scores: AP ranks its cells by area" in out
    assert "not shown" not in (tmp_path / "out/index.html").read_text()  # the images are there
    main([str(folder), *arguments[:-1], "0", "--worst", "0"])
    assert "Difference" not in capsys.readouterr().out


def test_words_of_the_command():
    assert split_name("a b=c d") == ("a b", "c d")
    assert thresholds(["0.5", "b=0.2"], ["a", "b"]) == {"a": 0.5, "b": 0.2}
    for call in (lambda: split_name("=x"), lambda: split_name("x="), lambda: thresholds(["a=b"], ["a"])):
        with pytest.raises(CellMMError, match="give"):
            call()
    for text, message in (("absent.json", "absent"), ("diskmask/bbbc010_cpu:train", "no split 'train'")):
        with pytest.raises(CellMMError, match=message):
            read_truth(text)
    with pytest.raises(SystemExit):
        main(["a=b", "--truth", "c.json", "--worst", "-1"])
