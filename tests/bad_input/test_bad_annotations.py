"""COCO files that cannot be used, and odd ones that can, in the layouts of three data sets."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from cellmm.datasets import CellCocoDataset, CellDataset, LIVECellDataset, SimulatedDataset
from cellmm.datasets.transforms import LoadCells, LoadImage, PackCellInputs
from cellmm.structures import rle

H, W = 20, 30
SQUARE = [5, 5, 15, 5, 15, 15, 5, 15]  # 10 x 10 pixels
ANN = {
    CellCocoDataset: "cells.json",
    LIVECellDataset: "livecell_coco_val.json",
    SimulatedDataset: "val/annotations.json",
}
FOLDER = {CellCocoDataset: "images", LIVECellDataset: "images", SimulatedDataset: "val/images"}
AGAIN = "copy or export it again"


def content() -> dict:
    """Two images with one cell each."""
    return {
        "images": [{"id": i, "file_name": f"{i}.png", "height": H, "width": W} for i in (7, 3)],
        "annotations": [{"id": i, "image_id": i, "category_id": 1, "segmentation": [SQUARE]} for i in (7, 3)],
        "categories": [{"id": 1, "name": "cell"}],
    }


def write(root: Path, kind: type[CellDataset], coco: dict | bytes) -> Path:
    """The images and the json in the layout of the class; the folder of the images."""
    folder = root / FOLDER[kind]
    folder.mkdir(parents=True, exist_ok=True)
    for i in (7, 3):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((H, W), i, np.uint8))
    data = coco if isinstance(coco, bytes) else json.dumps(coco).encode()
    (root / ANN[kind]).write_bytes(data)
    return folder


def read(root: Path, kind: type[CellDataset], **options) -> list[list[int]]:
    """The areas of the cells of every image, read by a pipeline as configs have it."""
    pipeline = [LoadImage(), LoadCells(keep_original=True), PackCellInputs()]
    if kind is CellCocoDataset:
        options |= {"ann_file": ANN[kind], "img_dir": FOLDER[kind]}
    else:
        options["split"] = "val"
    dataset = kind(data_root=root, pipeline=pipeline, **options)
    samples = [dataset[i]["data_samples"] for i in range(len(dataset))]
    return [rle.area(sample.eval_instances.masks).tolist() for sample in samples]


def image(**values: object) -> Callable[[dict], None]:
    return lambda coco: coco["images"][0].update(values)


def cell(**values: object) -> Callable[[dict], None]:
    return lambda coco: coco["annotations"][0].update(values)


def polygon(*values: object) -> Callable[[dict], None]:
    return cell(segmentation=[list(values)])


def counts(value: object, size: object = (H, W)) -> Callable[[dict], None]:
    return cell(segmentation={"size": list(size) if isinstance(size, tuple) else size, "counts": value})


def without(key: str, name: str) -> Callable[[dict], None]:
    return lambda coco: coco[key][0].pop(name)


# the bytes of the whole file, and what is said of them
BAD_FILES = {
    "empty": (b"", f"empty.*{AGAIN}"),
    "cut in half": (json.dumps(content()).encode()[:200], f"not valid json.*{AGAIN}"),
    "UTF-16": (json.dumps(content()).encode("utf-16"), "not UTF-8 text.*save it as UTF-8"),
    "Latin-1": (json.dumps("é", ensure_ascii=False).encode("latin-1"), "not UTF-8 text.*save it as UTF-8"),
    "list": (b"[]", "not a COCO annotation file: images.*export"),
    "text": (b'"cells"', "not a COCO annotation file.*export"),
    "null": (b"null", "not a COCO annotation file.*export"),
    "GeoJSON": (b'{"type": "FeatureCollection", "features": []}', "images, annotations, categories absent"),
    "100,000 brackets": (b"[" * 100_000, f"not valid json.*{AGAIN}"),
    "a number of 5,000 digits": (b'{"images": ' + b"9" * 5000 + b"}", f"not valid json.*{AGAIN}"),
}

# what is done to the content, and what is said of it
BAD = {
    "no images": (lambda c: c.pop("images"), "not a COCO annotation file: images absent; export"),
    "images are a number": (lambda c: c.update(images=5), "images is not a list of dicts; export"),
    "images are names": (lambda c: c.update(images=["7.png"]), "images is not a list of dicts; export"),
    "annotations are nothing": (
        lambda c: c.update(annotations=None),
        "annotations is not a list of dicts; export",
    ),
    "no annotation": (lambda c: c.update(annotations=[]), "2 images and 0 annotations: annotate"),
    "image twice": (image(id=3), "same image id, 1: 3; number"),
    "image id is text": (image(id="7"), "image ids have to be integers, not 1: '7'; number"),
    "image id is a fraction": (image(id=7.5), "image ids have to be integers, not 1: 7.5; number"),
    "image id is true": (image(id=True), "image ids have to be integers, not 1: True; number"),
    "image id is a list": (image(id=[7]), r"image ids have to be integers, not 1: \[7\]; number"),
    "image id of 30 digits": (image(id=10**30), "image ids have to be integers, not 1: 10+; number"),
    "no height": (without("images", "height"), "no 'height' in image 1: 7; export"),
    "height 0": (image(height=0), "image 7 has height 0 and.* take them from the image"),
    "height negative": (image(height=-20), "image 7 has height -20.* take them from the image"),
    "height NaN": (image(height=float("nan")), "image 7 has height nan.* take them from the image"),
    "height is text": (image(height="20"), "image 7 has height '20'.* take them from the image"),
    "height 10^9": (image(height=10**9), "1000000000x30 pixels.* correct it"),
    "no file name": (without("images", "file_name"), "image 7 has neither file_name nor.*; export"),
    "file name is empty": (image(file_name=""), "image 7 has neither file_name nor.*; export"),
    "file name is a number": (image(file_name=7), "image 7 has neither file_name nor.*; export"),
    "file names are text": (image(file_names="7.png"), "image 7 has neither file_name nor.*; export"),
    "file absent": (image(file_name="no.png"), r"absent, 1: .*no\.png of 2; check"),
    "absolute path of another computer": (
        image(file_name="/home/other/7.png"),
        "absent, 1: .*7.png of 2; (check|file_name has to be relative)",
    ),
    "path of Windows": (image(file_name="C:\\cells\\7.png"), "absent.*file_name has to be relative"),
    "path above that is absent": (image(file_name="../../no/7.png"), "absent, 1: .*of 2; check"),
    "name of 5,000 letters": (image(file_name="x" * 5000), "absent, 1: .*of 2; check"),
    "name with a NUL": (image(file_name="a\0b.png"), "absent, 1: .*of 2; check"),
    "name with a new line": (image(file_name="a\nb.png"), r"absent, 1: .*a\\nb\.png.* of 2; check"),
    "name with half a letter": (image(file_name="\ud800.png"), "absent, 1: .*of 2; check"),
    "two images of one file": (
        image(file_name="3.png"),
        r"have the same file, 1: 3\.png; join",
    ),
    "annotation twice": (cell(id=3), "same annotation id, 1: 3; number"),
    "annotation id is null": (cell(id=None), "annotation ids have to be integers, not 1: None; number"),
    "unknown image": (cell(image_id=99), "1 annotations of images .*1: 99; remove"),
    "image is a list": (cell(image_id=[7]), r"1 annotations of images .*1: \[7\]; remove"),
    "unknown category": (
        cell(category_id=9),
        "1 annotations of unknown categories.* it has {1: 'cell'}",
    ),
    "no category id": (without("annotations", "category_id"), "no 'category_id' in annotation 1: 7; export"),
    "category twice": (
        lambda c: c["categories"].append(c["categories"][0]),
        "same category id, 1: 1",
    ),
    "category without a name": (
        lambda c: c["categories"][0].update(name=None),
        "have to be text, not 1: None",
    ),
    "two categories of one name": (
        lambda c: c["categories"].append({"id": 2, "name": "cell"}),
        "several categories have the name 1: cell; rename",
    ),
    "image without annotation": (
        lambda c: c["annotations"].pop(0),
        r"images without annotation, 1: 7\.png of 2; set allow_empty=True if",
    ),
    "boxes alone": (without("annotations", "segmentation"), "no 'segmentation' in annotation 1: 7; boxes"),
    "boxes alone, empty lists": (cell(segmentation=[]), "annotation 7 is an empty list of polygons"),
    "segmentation is null": (cell(segmentation=None), "annotation 7 is neither polygons nor an RLE"),
    "segmentation is text": (cell(segmentation="x"), "annotation 7 is neither polygons nor an RLE"),
    "two points": (polygon(1, 1, 9, 9), "annotation 7 is a polygon of fewer than 3 points"),
    "odd number of coordinates": (polygon(*SQUARE, 1), "annotation 7 is a polygon of .* odd number"),
    "one list of numbers": (cell(segmentation=SQUARE), "annotation 7 is one list of numbers"),
    "polygon outside": (polygon(40, 5, 50, 5, 50, 15), r"annotation 7 is a polygon outside of .*\[20, 30\]"),
    "polygon far outside": (polygon(1e9, 5, 2e9, 5, 2e9, 15), "coordinates up to 2e.09 in an image"),
    "NaN coordinate": (polygon(5, 5, float("nan"), 5, 15, 15), "coordinates up to nan in an image"),
    "infinite coordinate": (polygon(5, 5, float("inf"), 5, 15, 15), "coordinates up to inf in an image"),
    "coordinate is text": (polygon(5, 5, "15", 5, 15, 15), "a coordinate that is not a number"),
    "coordinate is null": (polygon(5, 5, None, 5, 15, 15), "a coordinate that is not a number"),
    "coordinate is a list": (polygon(5, 5, [15], 5, 15, 15), "a coordinate that is not a number"),
    "coordinate of 400 digits": (polygon(5, 5, 10**400, 5.5, 15, 15), "a coordinate that is not a number"),
    "coordinate -2^63": (polygon(5, 5, -(2**63), 5, 15, 15), "coordinates up to 9.*e.18"),
    "RLE of another size": (counts("P", (H, W + 1)), r"annotation 7 is an RLE of size \[20, 31\]"),
    "RLE, width first": (counts([W * H], (W, H)), r"annotation 7 is an RLE of size \[30, 20\]"),
    "RLE with the size of a number": (counts([W * H], 600), "annotation 7 is an RLE of size 600"),
    "RLE without size": (cell(segmentation={"counts": [W * H]}), "annotation 7 is neither"),
    "counts overrun": (counts([500, 500]), "annotation 7 is an RLE of 1000 pixels in an image"),
    "counts fall short": (counts([1, 2]), "annotation 7 is an RLE of 3 pixels in an image"),
    "counts negative": (counts([-5, 605]), "annotation 7 is an RLE with counts that are not whole"),
    "counts of fractions": (counts([0.5, 599.5]), "annotation 7 is an RLE with counts that are not whole"),
    "counts 10^30": (counts([10**30]), "annotation 7 is an RLE with counts that are not whole"),
    "counts garbage": (counts("no RLE at all"), "annotation 7 is an RLE that has damaged 'counts'"),
    "counts empty": (counts(""), "annotation 7 is an RLE that has empty 'counts'"),
    "counts of another image": (counts("1112"), "annotation 7 is an RLE that has runs of .* damaged"),
    "counts letters of other languages": (counts("κύτταρο"), "annotation 7 is an RLE that has damaged"),
    "counts are a number": (counts(600), "annotation 7 is an RLE with the counts 600"),
    "area negative": (cell(area=-3), "annotation 7 has area -3, not a number of at least 0"),
    "area NaN": (cell(area=float("nan")), "annotation 7 has area nan, not a number of at least 0"),
    "area is text": (cell(area="big"), "annotation 7 has area 'big', not a number of at least 0"),
    "iscrowd is text": (cell(iscrowd="no"), "annotation 7 has iscrowd 'no', not 0 or 1"),
}


def squares(number: int) -> Callable[[dict], None]:
    """So many cells in the first image, of 2 x 2 pixels."""

    def act(coco: dict) -> None:
        coco["annotations"].pop(0)
        for i in range(number):
            x, y = 2 * (i % 15), 2 * (i // 15 % 10)
            part = [x, y, x + 2, y, x + 2, y + 2, x, y + 2]
            coco["annotations"].append(
                {"id": 100 + i, "image_id": 7, "category_id": 1, "segmentation": [part]}
            )

    return act


# what is done to the content, and the areas of the cells of the two images
GOOD = {
    "nothing": (lambda c: None, [[100], [100]]),
    "image id 0": (lambda c: (image(id=0)(c), cell(image_id=0)(c)), [[100], [100]]),
    "annotation id 0": (cell(id=0), [[100], [100]]),
    "category id 0": (
        lambda c: (
            c["categories"][0].update(id=0),
            [entry.update(category_id=0) for entry in c["annotations"]],
        ),
        [[100], [100]],
    ),
    "dicts in place of lists": (
        lambda c: c.update({key: {str(entry["id"]): entry for entry in c[key]} for key in c}),
        [[100], [100]],
    ),
    "height 20.0": (image(height=20.0), [[100], [100]]),
    "path above": (image(file_name="../images/7.png"), [[100], [100]]),
    "polygon over the edge": (polygon(25, 5, 45, 5, 45, 15, 25, 15), [[50], [100]]),
    "polygon around the image": (polygon(-9, -9, 50, -9, 50, 50, -9, 50), [[H * W], [100]]),
    "polygon that crosses itself": (polygon(5, 5, 15, 15, 15, 5, 5, 15), [[50], [100]]),
    "polygon of no area": (polygon(5, 5, 10, 5, 15, 5), [[0], [100]]),
    "cell in two parts": (cell(segmentation=[SQUARE, [20, 5, 25, 5, 25, 10, 20, 10]]), [[125], [100]]),
    "cell in two parts, one outside": (cell(segmentation=[SQUARE, [50, 5, 55, 5, 55, 10]]), [[100], [100]]),
    "empty RLE": (counts([H * W]), [[0], [100]]),
    "full RLE": (counts([0, H * W]), [[H * W], [100]]),
    "iscrowd null": (cell(iscrowd=None), [[100], [100]]),
    "area null": (cell(area=None), [[100], [100]]),
    "5,000 cells": (squares(5000), [[4] * 5000, [100]]),
    "the same cell 50 times": (
        lambda c: c["annotations"].extend([c["annotations"][0] | {"id": 100 + i} for i in range(49)]),
        [[100] * 50, [100]],
    ),
}


@pytest.fixture(params=list(ANN), ids=lambda kind: kind.__name__)
def kind(request) -> type[CellDataset]:
    return request.param


@pytest.mark.parametrize("row", BAD_FILES)
def test_a_file_that_is_refused(row, kind, tmp_path, refused):
    data, message = BAD_FILES[row]
    write(tmp_path, kind, data)
    refused(lambda: read(tmp_path, kind), f"{ANN[kind]}.*{message}")


@pytest.mark.parametrize("row", BAD)
def test_content_that_is_refused(row, kind, tmp_path, refused):
    spoil, message = BAD[row]
    coco = content()
    spoil(coco)
    write(tmp_path, kind, coco)
    refused(lambda: read(tmp_path, kind), ANN[kind], message)


def test_another_size_than_the_file_has(kind, tmp_path, refused):
    coco = content()
    image(height=H + 1)(coco)
    write(tmp_path, kind, coco)
    refused(lambda: read(tmp_path, kind), r"7\.png is \(20, 30\)", r"annotation says \(21, 30\): .*export")


@pytest.mark.parametrize("row", GOOD)
def test_content_that_is_read(row, kind, tmp_path):
    change, areas = GOOD[row]
    coco = content()
    change(coco)
    if row == "path above" and kind is LIVECellDataset:
        coco = content()  # it looks for names in a tree
    write(tmp_path, kind, coco)
    assert read(tmp_path, kind) == areas


def test_a_byte_order_mark_is_read(kind, tmp_path):
    write(tmp_path, kind, json.dumps(content()).encode("utf-8-sig"))
    assert read(tmp_path, kind) == [[100], [100]]


def test_names_in_any_letters_and_links_are_read(kind, tmp_path):
    name = "Zelle 1 (Ö) 細胞.png"
    coco = content()
    coco["images"][0]["file_name"] = name
    folder = write(tmp_path, kind, coco)
    (folder / name).symlink_to("7.png")
    assert read(tmp_path, kind) == [[100], [100]]


def test_an_absolute_path_that_is_there_is_read(tmp_path):
    coco = content()
    folder = write(tmp_path, CellCocoDataset, coco)
    coco["images"][0]["file_name"] = str(folder / "7.png")
    write(tmp_path, CellCocoDataset, coco)
    assert read(tmp_path, CellCocoDataset) == [[100], [100]]


def test_two_categories_of_one_name_can_be_one_class(kind, tmp_path):
    coco = content()
    coco["categories"].append({"id": 2, "name": "cell"})
    write(tmp_path, kind, coco)
    assert read(tmp_path, kind, class_agnostic=True) == [[100], [100]]


def test_images_without_cells_where_that_is_meant(kind, tmp_path):
    coco = content()
    coco["annotations"].pop(0)
    write(tmp_path, kind, coco)
    assert read(tmp_path, kind, allow_empty=True) == [[], [100]]


def test_the_json_is_absent_or_a_folder(kind, tmp_path, refused):
    write(tmp_path, kind, content())
    path = tmp_path / ANN[kind]
    path.unlink()
    refused(lambda: read(tmp_path, kind), f"{ANN[kind]} is absent: check")
    path.mkdir()
    refused(lambda: read(tmp_path, kind), f"{ANN[kind]} is a folder: check")


def test_the_folder_of_images_is_absent_or_a_file(kind, tmp_path, refused):
    folder = write(tmp_path, kind, content())
    folder.rename(tmp_path / "elsewhere")
    refused(lambda: read(tmp_path, kind), FOLDER[kind], "absent, 2|is not a folder", "check")
    folder.write_text("x")
    refused(lambda: read(tmp_path, kind), FOLDER[kind], "absent, 2|is not a folder", "check")


def test_a_json_that_may_not_be_read(tmp_path, monkeypatch, check_line):
    write(tmp_path, CellCocoDataset, content())

    def refuse(path, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(ValueError) as caught:
        read(tmp_path, CellCocoDataset)
    check_line(str(caught.value), r"cells\.json cannot be read \(Permission denied\): get the right")


@pytest.mark.parametrize("data", [b"", b"[]", b'{"key": 1', b"\xff\xfe", b'{"key": null}'])
def test_a_damaged_index_beside_the_json_is_made_anew(data, tmp_path):
    write(tmp_path, CellCocoDataset, content())
    assert read(tmp_path, CellCocoDataset, cache_index=True) == [[100], [100]]
    kept = tmp_path / ".cells.json.index.json"
    good = kept.read_bytes()
    kept.write_bytes(data)
    assert read(tmp_path, CellCocoDataset, cache_index=True) == [[100], [100]]
    assert kept.read_bytes() == good


def test_a_full_disk_keeps_no_index_and_reads_on(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    write(tmp_path, CellCocoDataset, content())
    monkeypatch.setattr("os.fsync", full)
    assert read(tmp_path, CellCocoDataset, cache_index=True) == [[100], [100]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells.json", "images"]
