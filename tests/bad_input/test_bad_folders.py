"""Label images, masks in files, BBBC010 and DSB2018 that cannot be used, and odd ones that can."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from cellmm.datasets import (
    BBBC010Dataset,
    CellDataset,
    DSB2018Dataset,
    LabelImageDataset,
    MaskFolderDataset,
    SimulatedDataset,
)
from cellmm.datasets.transforms import LoadCells, LoadImage, PackCellInputs
from cellmm.errors import CellMMError
from cellmm.io.layered_tiff import write_layered_tiff
from cellmm.structures import LabelLayers, rle

H, W = 20, 30
CELL = np.zeros((H, W), np.uint8)
CELL[2:6, 3:8] = 255  # 20 pixels
LABEL = np.where(CELL > 0, 5, 0).astype(np.uint8)
NOISE = np.random.default_rng(0).integers(0, 255, (H, W), np.uint8)
AGAIN = "copy or export it again"
# where each class looks for image number i and the annotation of it
IMAGES = {
    LabelImageDataset: "images/{i}.tif",
    MaskFolderDataset: "images/{i}.tif",
    BBBC010Dataset: "images/17_B0{i}_w2_x.tif",
    DSB2018Dataset: "{i}/images/{i}.png",
}
CELLS = {
    LabelImageDataset: "labels/{i}.tif",
    MaskFolderDataset: "masks/{i}/1.png",
    BBBC010Dataset: "masks/B0{i}_01_ground_truth.png",
    DSB2018Dataset: "{i}/masks/1.png",
}
SPLIT = {"train": ["B01", "B02"]}


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, image) if path.suffix == ".tif" else cv2.imwrite(str(path), image)


def write(root: Path, kind: type[CellDataset]) -> tuple[Path, Path]:
    """Two images with one cell each; the first image and its annotation."""
    for i in (1, 2):
        save(root / IMAGES[kind].format(i=i), NOISE)
        save(root / CELLS[kind].format(i=i), LABEL if kind is LabelImageDataset else CELL)
    if kind is BBBC010Dataset:
        (root / "split.json").write_text(json.dumps(SPLIT))
    return root / IMAGES[kind].format(i=1), root / CELLS[kind].format(i=1)


def read(root: Path, kind: type[CellDataset], **options) -> list[list[int]]:
    """The areas of the cells of every image, read by a pipeline as configs have it."""
    pipeline = [LoadImage(), LoadCells(keep_original=True), PackCellInputs()]
    dataset = kind(data_root=root, pipeline=pipeline, **options)
    samples = [dataset[i]["data_samples"] for i in range(len(dataset))]
    return [rle.area(sample.eval_instances.masks).tolist() for sample in samples]


@pytest.fixture(params=list(IMAGES), ids=lambda kind: kind.__name__)
def kind(request) -> type[CellDataset]:
    return request.param


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def as_dead_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("gone")


# what is done to the first image of any set, and what is said
BAD_IMAGE = {
    "empty": (lambda path: path.write_bytes(b""), "0 bytes.*copy or export them again"),
    "cut": (cut, AGAIN),
    "text": (lambda path: path.write_text("no image"), AGAIN),
    "link to nothing": (as_dead_link, "is a link to gone, which is absent: copy"),
    "of another size": (lambda path: save(path, NOISE[1:]), r"\(20, 30\).*\(19, 30\): one of them was"),
}
# what is done to the annotation of the first image of any set, and what is said
BAD_CELLS = {
    "empty": (lambda path: path.write_bytes(b""), f"0 bytes.*{AGAIN}"),
    "cut": (cut, AGAIN),
    "text": (lambda path: path.write_text("no image"), AGAIN),
    "NumPy file": (lambda path: np.save(path.open("wb"), CELL), AGAIN),
    "link to nothing": (as_dead_link, "is a link to gone, which is absent: copy"),
    "of another size": (lambda path: save(path, CELL[:, 1:]), r"\(20, 29\).*\(20, 30\): one of them was"),
    "in colour": (lambda path: save(path, np.dstack([CELL, CELL, 255 - CELL])), "save|one grey image"),
}


@pytest.mark.parametrize("row", BAD_IMAGE)
def test_an_image_that_is_refused(row, kind, tmp_path, refused):
    spoil, message = BAD_IMAGE[row]
    spoil(write(tmp_path, kind)[0])
    refused(lambda: read(tmp_path, kind), IMAGES[kind].format(i=1), message)


@pytest.mark.parametrize("row", BAD_CELLS)
def test_an_annotation_that_is_refused(row, kind, tmp_path, refused):
    spoil, message = BAD_CELLS[row]
    spoil(write(tmp_path, kind)[1])
    refused(lambda: read(tmp_path, kind), CELLS[kind].format(i=1), message)


@pytest.mark.parametrize("in_its_place", ["nothing", "a folder"])
def test_a_missing_image(in_its_place, kind, tmp_path, refused):
    image, _ = write(tmp_path, kind)
    image.unlink()
    if in_its_place == "a folder":
        image.mkdir()
    refused(lambda: read(tmp_path, kind), "no image (for|of)|masks without an image", r"1: B?0?1\b")


def test_a_missing_annotation(kind, tmp_path, refused):
    write(tmp_path, kind)[1].unlink()
    refused(lambda: read(tmp_path, kind), "no (label image|mask) for 1: B?0?1 of 2 images")


def test_missing_folders(kind, tmp_path, refused):
    image, cells = write(tmp_path, kind)
    refused(lambda: read(tmp_path / "nowhere", kind), "nowhere.* is (not a folder|absent): (check|write)")
    for path in (image.parent, cells.parent):
        path.rename(path.with_name("elsewhere"))
        refused(lambda: read(tmp_path, kind), "is not a folder|no mask for|masks without an image")
        path.with_name("elsewhere").rename(path)
    assert read(tmp_path, kind) == [[20], [20]]


def test_empty_folders(kind, tmp_path, refused):
    write(tmp_path, kind)
    for file in [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "split.json"]:
        file.unlink()
    refused(
        lambda: read(tmp_path, kind), "holds no file: put|none of its files .* matches the pattern.*; check"
    )


def test_a_folder_that_is_a_file(kind, tmp_path, refused):
    (tmp_path / "set").write_text("x")
    refused(lambda: read(tmp_path / "set", kind), "set(/[a-z.]*)? (is not a folder|cannot be read).*: check")


def test_a_link_to_a_folder_that_holds_it(kind, tmp_path, refused):
    image, _ = write(tmp_path, kind)
    (image.parent / "more").symlink_to(tmp_path, target_is_directory=True)
    refused(lambda: read(tmp_path, kind), "more is a link to a folder that holds it: remove the link")


def test_a_folder_elsewhere_that_is_linked(kind, tmp_path):
    image, _ = write(tmp_path / "set", kind)
    shutil.move(image.parent, tmp_path / "elsewhere")
    image.parent.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert read(tmp_path / "set", kind) == [[20], [20]]


def test_a_folder_that_may_not_be_read(kind, tmp_path, monkeypatch, check_line):
    """The tests may run as root, who may read everything."""
    write(tmp_path, kind)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch, pytest.raises(CellMMError) as caught:
        patch.setattr(os, "scandir", refuse)
        read(tmp_path, kind)
    check_line(str(caught.value), r"cannot be read \(Permission denied\): get the right")


def test_a_pattern_that_is_none(tmp_path, refused):
    write(tmp_path, MaskFolderDataset)
    refused(lambda: read(tmp_path, MaskFolderDataset, mask_pattern="(?P<image"), "not a regular expression: ")
    refused(lambda: read(tmp_path, MaskFolderDataset, mask_pattern=".*"), r"put \(\?P<image>\.\.\.\) around")


def one_two(first: object, second: object, dtype: type) -> np.ndarray:
    """The upper half of the image and the two rows below it."""
    image = np.zeros((H, W), dtype)
    image[: H // 2], image[H // 2 : H // 2 + 2] = first, second
    return image


PARTS = one_two(0, 0, np.uint8)
PARTS[:2], PARTS[10:12] = 4, 4
TWICE = np.stack([one_two(1, 0, np.uint8), one_two(0, 1, np.uint8)])
MANY = np.arange(5000, dtype=np.uint16).reshape(50, 100) + 1
HALF = H * W // 2

BAD_LABELS = {
    "negative": (one_two(-3, 1, np.int16), "label -3 is negative: 0 is background"),
    "fractions": (one_two(0.5, 1, np.float32), "fractions or NaN.*: save the ids as 16 bit"),
    "NaN": (one_two(np.nan, 1, np.float32), "fractions or NaN.*: save the ids as 16 bit"),
    "infinite": (one_two(np.inf, 1, np.float64), "fractions or NaN.*: save the ids as 16 bit"),
    "complex": (one_two(1, 2, np.complex64), "not complex64: save the ids as 16 bit"),
    "one id on two pages": (TWICE, r"label 1 \(1 such\) is on 2 layers: number"),
    "four axes": (np.zeros((2, 3, H, W), np.uint8), "label image has shape .*not"),
}
GOOD_LABELS = {
    "gaps in the ids": (one_two(40_000, 7, np.uint16), [2 * W, HALF]),
    "ids of 64 bit": (one_two(2**40, 2**62, np.int64), [HALF, 2 * W]),
    "whole numbers as float": (one_two(2, 1, np.float32), [2 * W, HALF]),
    "bool": (one_two(True, False, bool), [HALF]),
    "one cell in two parts": (PARTS, [4 * W]),
    "no cell": (np.zeros((H, W), np.uint8), []),
    "one cell all over": (np.ones((H, W), np.uint8), [H * W]),
    "pages that overlap": (
        np.stack([one_two(1, 0, np.uint8), one_two(2, 2, np.uint8)]),
        [HALF, HALF + 2 * W],
    ),
}


@pytest.mark.parametrize("row", BAD_LABELS)
def test_labels_that_are_refused(row, tmp_path, refused):
    image, message = BAD_LABELS[row]
    _, path = write(tmp_path, LabelImageDataset)
    tifffile.imwrite(path, image, photometric="minisblack")
    refused(lambda: read(tmp_path, LabelImageDataset), "labels/1.tif: ", message)


@pytest.mark.parametrize("row", GOOD_LABELS)
def test_labels_that_are_read(row, tmp_path):
    image, areas = GOOD_LABELS[row]
    _, path = write(tmp_path, LabelImageDataset)
    tifffile.imwrite(path, image, photometric="minisblack")
    assert read(tmp_path, LabelImageDataset) == [areas, [20]]


def test_labels_as_jpeg(tmp_path, refused):
    _, path = write(tmp_path, LabelImageDataset)
    path.unlink()
    cv2.imwrite(str(path.with_suffix(".jpg")), LABEL)
    refused(lambda: read(tmp_path, LabelImageDataset), r"1\.jpg: JPEG changes .*; save label images as PNG")


def test_5000_labels(tmp_path):
    image, path = write(tmp_path, LabelImageDataset)
    tifffile.imwrite(image, MANY)
    tifffile.imwrite(path, MANY)
    assert read(tmp_path, LabelImageDataset) == [[1] * 5000, [20]]


def test_labels_with_empty_cells_of_our_own_files(tmp_path):
    _, path = write(tmp_path, LabelImageDataset)
    write_layered_tiff(path, LabelLayers(one_two(1, 3, np.uint8), num=4))
    assert read(tmp_path, LabelImageDataset) == [[HALF, 0, 2 * W, 0], [20]]


def to_png(image: np.ndarray) -> Callable[[Path], None]:
    return lambda path: cv2.imwrite(str(path), image)


GOOD_MASKS = {
    "all zero": (to_png(0 * CELL), [0]),
    "all one": (to_png(np.ones_like(CELL)), [H * W]),
    "0 and 1": (to_png(CELL // 255), [20]),
    "0 and 65535": (to_png(CELL.astype(np.uint16) * 257), [20]),
    "grey as RGB": (to_png(np.dstack([CELL] * 3)), [20]),
    "grey as RGBA": (to_png(np.dstack([CELL] * 3 + [np.full_like(CELL, 255)])), [20]),
    "two parts": (to_png(CELL | CELL[::-1]), [40]),
}


@pytest.mark.parametrize("row", GOOD_MASKS)
@pytest.mark.parametrize("kind", [MaskFolderDataset, BBBC010Dataset, DSB2018Dataset])
def test_masks_that_are_read(row, kind, tmp_path):
    save_mask, areas = GOOD_MASKS[row]
    save_mask(write(tmp_path, kind)[1])
    assert read(tmp_path, kind) == [areas, [20]]


def test_a_mask_of_several_values(tmp_path, refused):
    _, path = write(tmp_path, MaskFolderDataset)
    cv2.imwrite(str(path), NOISE)
    refused(lambda: read(tmp_path, MaskFolderDataset), "masks/1/1.png holds .* values.*: threshold it")


@pytest.mark.parametrize(
    ("dtype", "value"), [(np.int8, -1), (bool, True), (np.float32, 0.5), (np.int64, 2**40)]
)
def test_masks_of_odd_types(dtype, value, tmp_path):
    _, path = write(tmp_path, MaskFolderDataset)
    path.unlink()
    tifffile.imwrite(path.with_suffix(".tif"), np.where(CELL > 0, value, 0).astype(dtype))
    assert read(tmp_path, MaskFolderDataset) == [[20], [20]]


def test_a_mask_of_nan(tmp_path, refused):
    _, path = write(tmp_path, MaskFolderDataset)
    path.unlink()
    tifffile.imwrite(path.with_suffix(".tif"), np.where(CELL > 0, np.nan, 0))
    refused(lambda: read(tmp_path, MaskFolderDataset), r"masks/1/1\.tif holds .*: threshold it")


def test_masks_that_are_all_the_same(tmp_path):
    """Most likely a mistake, but one that cannot be known: cells lie over one another."""
    _, path = write(tmp_path, MaskFolderDataset)
    for i in range(2, 71):
        shutil.copy(path, path.with_name(f"{i}.png"))
    assert read(tmp_path, MaskFolderDataset) == [[20] * 70, [20]]


# what split.json holds, and what is said
BAD_SPLITS = {
    "cut": (b'{"train": ["B0', "not valid json.*: write it again"),
    "empty": (b"", "not valid json.*: write it again"),
    "UTF-16": (json.dumps(SPLIT).encode("utf-16"), "not valid json.*: write it again"),
    "list": (b'["B01"]', 'not a dict of splits: write {"train"'),
    "numbers": (b'{"train": [1, 2]}', "'train' lists 1: wells are names"),
    "lists of lists": (b'{"train": [["B01"]]}', r"'train' lists \['B01'\]: wells are names"),
    "other splits": (b'{"test": ["B01"]}', "no split 'train'; it has test, all"),
    "nothing": (b'{"train": []}', "no image"),
    "other wells": (b'{"train": ["B01", "C09"]}', "no image for 1: C09 of 2 wells .* lists in 'train'"),
}


@pytest.mark.parametrize("row", BAD_SPLITS)
def test_a_split_of_bbbc010_that_is_refused(row, tmp_path, refused):
    data, message = BAD_SPLITS[row]
    write(tmp_path, BBBC010Dataset)
    (tmp_path / "split.json").write_bytes(data)
    refused(lambda: read(tmp_path, BBBC010Dataset), message)


def test_a_split_that_is_absent_a_folder_or_has_a_mark(tmp_path, refused):
    write(tmp_path, BBBC010Dataset)
    path = tmp_path / "split.json"
    path.write_bytes(json.dumps(SPLIT).encode("utf-8-sig"))
    assert read(tmp_path, BBBC010Dataset) == [[20], [20]]
    path.unlink()
    refused(lambda: read(tmp_path, BBBC010Dataset), r"split\.json is absent: write it")
    path.mkdir()
    refused(lambda: read(tmp_path, BBBC010Dataset), r"split\.json cannot be read .*: check split_file")


def test_two_images_of_one_name(tmp_path, refused):
    image, _ = write(tmp_path / "bowl", DSB2018Dataset)
    shutil.copy(image, image.with_name("again.png"))
    refused(lambda: read(tmp_path / "bowl", DSB2018Dataset), "several files.*again.png.*; make")
    image, _ = write(tmp_path / "wells", BBBC010Dataset)
    shutil.copy(image, image.with_name("18_B01_w2_x.tif"))
    refused(lambda: read(tmp_path / "wells", BBBC010Dataset), "several files.*18_B01_w2_x.tif; make")


def test_simulation_in_the_place_of_a_file(tmp_path, refused):
    (tmp_path / "data").write_text("x")
    simulation = dict(splits=dict(train=1), scene="small")
    options = dict(split="train", simulation=simulation)
    refused(lambda: read(tmp_path / "data", SimulatedDataset, **options), "data has no train/ann.*: put")
    refused(lambda: read(tmp_path / "data/set", SimulatedDataset, **options), "data/set: cannot write")


def test_no_simulation_into_a_folder_that_is_there(tmp_path, refused):
    (tmp_path / "data").mkdir()
    options = dict(split="train", simulation=dict(splits=dict(train=1), scene="small"))
    refused(
        lambda: read(tmp_path / "data", SimulatedDataset, **options),
        "data has no train/annotations.json: .* remove the",
    )
