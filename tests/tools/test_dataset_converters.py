"""The converters, in process, on the real folders; what they write is read back by CellCocoDataset."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from pycocotools.coco import COCO

from cellmm.datasets import CellCocoDataset
from cellmm.datasets.transforms.loading import LoadCells, LoadImage

SCRIPTS = Path(__file__).parents[2] / "tools" / "dataset_converters"


@pytest.fixture
def convert(monkeypatch, tmp_path):
    def convert(script: str, *args: object) -> dict:
        out = tmp_path / "made" / "cells.json"
        monkeypatch.setattr(sys, "argv", [script, *map(str, args[:1]), str(out), *map(str, args[1:])])
        runpy.run_path(str(SCRIPTS / script), run_name="__main__")
        assert [path.name for path in out.parent.iterdir()] == ["cells.json"]
        return json.loads(out.read_text())

    return convert


def counts(coco: dict) -> tuple[int, int]:
    assert [cell["id"] for cell in coco["annotations"]] == list(range(1, len(coco["annotations"]) + 1))
    return len(coco["images"]), len(coco["annotations"])


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


@pytest.fixture
def small(tmp_path):
    """Two images of 10 x 12 with two cells that overlap, as masks and (without the overlap) as labels."""
    for name in ("a", "b"):
        masks = np.zeros((2, 10, 12), np.uint8)
        masks[0, 1:5], masks[1, 4:8] = 255, 255
        write(tmp_path / f"images/{name}.png", masks[0])
        for i, mask in enumerate(masks):
            write(tmp_path / f"masks/{name}_{i}.png", mask)
        write(
            tmp_path / f"labels/{name}.png",
            np.where(masks[0] > 0, 1, np.where(masks[1] > 0, 2, 0)).astype(np.uint8),
        )
    return tmp_path


def test_masks(convert, small, tmp_path):
    coco = convert(
        "masks_to_coco.py", small, "--mask-pattern", r"(?P<image>.+)_[0-9]\.png", "--class-name", "worm"
    )
    assert counts(coco) == (2, 4)
    assert coco["images"][1] == {"id": 2, "height": 10, "width": 12, "file_name": "b.png"}
    assert coco["categories"] == [{"id": 1, "name": "worm"}]
    second = coco["annotations"][1]
    assert (second["image_id"], second["category_id"], second["iscrowd"]) == (1, 1, 0)
    assert (second["area"], second["bbox"]) == (48.0, [0.0, 4.0, 12.0, 4.0])
    api = COCO(str(tmp_path / "made/cells.json"))
    assert api.annToMask(api.anns[2]).sum() == 48
    dataset = CellCocoDataset(
        data_root=small, ann_file="made/cells.json", img_dir="images", pipeline=[LoadImage(), LoadCells()]
    )
    assert dataset[0]["gt_layers"].overlap().sum() == 12


def test_label_images(convert, small):
    coco = convert("label_images_to_coco.py", small, "--pattern", "b")
    assert counts(coco) == (1, 2)
    assert [cell["area"] for cell in coco["annotations"]] == [48.0, 36.0]


def test_planes_become_file_names(convert, small):
    for name in ("a", "b"):
        for plane in ("low", "high"):
            write(small / f"planes/{name}_{plane}.tif", np.zeros((10, 12), np.uint16))
    coco = convert(
        "label_images_to_coco.py", small, "--img-dir", "planes", "--img-suffix", "_low.tif", "_high.tif"
    )
    assert coco["images"][0]["file_names"] == ["a_low.tif", "a_high.tif"]


def test_an_error_is_one_line_and_leaves_no_file(convert, small, tmp_path):
    (small / "labels/a.png").unlink()
    with pytest.raises(SystemExit, match=r"^error: .*labels: no label image for 1: a of 2 images; .*$"):
        convert("label_images_to_coco.py", small)
    assert not (tmp_path / "made").exists()


def test_bbbc010(convert, real_data):
    coco = convert("bbbc010_to_coco.py", real_data("bbbc010"), "--split", "test")
    assert counts(coco) == (47, 658)
    assert coco["categories"] == [{"id": 1, "name": "worm"}]
    assert counts(convert("bbbc010_to_coco.py", real_data("bbbc010"), "--first", "5")) == (5, 75)


def test_dsb2018(convert, real_data):
    coco = convert("dsb2018_to_coco.py", real_data("dsb2018") / "stage1_sample")
    assert counts(coco) == (30, 556)
    assert (real_data("dsb2018") / "stage1_sample" / coco["images"][0]["file_name"]).is_file()


def test_glas(convert, real_data):
    coco = convert(
        "label_images_to_coco.py", real_data("glas"), "--pattern", "testB_*", "--class-name", "gland"
    )
    assert counts(coco)[0] == 16
    assert {cell["image_id"] for cell in coco["annotations"]} == set(range(1, 17))


def test_glas_by_its_own_splits(convert, real_data):
    coco = convert("glas_to_coco.py", real_data("glas"), "--split", "val")
    assert counts(coco)[0] == 8 and coco["categories"] == [{"id": 1, "name": "gland"}]
    assert all(image["file_name"].startswith("train_") for image in coco["images"])


def test_livecell(convert, real_data):
    coco = convert("livecell_to_coco.py", real_data("livecell_mini"), "--split", "val")
    assert counts(coco) == (5, 1243)
    assert coco["images"][0]["id"] == 512647
    assert coco["images"][0]["file_name"] == "livecell_train_val_images/MCF7_Phase_G4_2_02d16h00m_1.tif"


def test_images_are_read_as_asked_for(convert, small):
    """The planes of a z-stack, by the option of LoadImage."""
    for name in ("a", "b"):
        (small / f"images/{name}.png").unlink()
        image = np.zeros((4, 10, 12), np.uint16)
        options = dict(photometric="minisblack", metadata={"axes": "ZYX"})
        tifffile.imwrite(small / f"images/{name}.tif", image, **options)
    masks = (small, "--mask-pattern", r"(?P<image>.+)_[0-9]\.png")
    with pytest.raises(SystemExit, match=r"^error: .*a\.tif has 4 focal planes: choose --z max"):
        convert("masks_to_coco.py", *masks)
    assert counts(convert("masks_to_coco.py", *masks, "--load-image", "z=max")) == (2, 4)
    assert counts(convert("label_images_to_coco.py", small, "--load-image", "z=1")) == (2, 4)


@pytest.mark.parametrize(
    ("script", "more"),
    [
        ("label_images_to_coco.py", []),
        ("masks_to_coco.py", ["--mask-pattern", r"(?P<image>.+)_[0-9]\.png"]),
    ],
)
def test_in_a_process_of_its_own(script, more, small):
    """As users run them: without a config that was loaded before."""
    out = small / "made.json"
    command = [sys.executable, SCRIPTS / script, small, out, *more, "--load-image", "level=0"]
    subprocess.run(list(map(str, command)), check=True)
    assert len(json.loads(out.read_text())["images"]) == 2


def test_class_folders(convert, tmp_path):
    masks = np.zeros((2, 10, 12), np.uint8)
    masks[0, 1:5], masks[1, 4:8] = 9, 9
    for name in "ab":
        write(tmp_path / "set" / name / "image.tif", masks[0])
    write(tmp_path / "set/a/class1.tif", masks[0])
    write(tmp_path / "set/a/class4.tif", masks[1])
    names = ("round", "long", "grainy", "large")
    coco = convert("class_folders_to_coco.py", tmp_path / "set", "--allow-empty", "--classes", *names)
    assert counts(coco) == (2, 2)
    assert [image["file_name"] for image in coco["images"]] == ["a/image.tif", "b/image.tif"]
    assert [category["name"] for category in coco["categories"]] == list(names)
    assert [cell["category_id"] for cell in coco["annotations"]] == [1, 4]
    dataset = CellCocoDataset(
        data_root=tmp_path,
        ann_file="made/cells.json",
        img_dir="set",
        allow_empty=True,
        pipeline=[LoadImage(), LoadCells()],
    )
    assert dataset[0]["gt_layers"].overlap().sum() == 12 and dataset[0]["gt_labels"].tolist() == [0, 3]
    assert len(dataset[1]["gt_layers"]) == 0
