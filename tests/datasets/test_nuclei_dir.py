"""Nuclei beside the images of each kind of dataset."""

import json

import cv2
import numpy as np
import pytest
import tifffile

from cellmm.datasets import CellCocoDataset, LabelImageDataset, MaskFolderDataset, SimulatedDataset
from cellmm.errors import CellMMError

LOAD = [dict(type="LoadImage"), dict(type="LoadCells"), dict(type="LoadNuclei")]
SHAPE = (12, 16)


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image.astype(np.uint16))


@pytest.fixture
def folder(tmp_path):
    """Two images of two cells each, left and right, annotated in three ways; the nuclei as .tif and .png."""
    left, right = np.zeros((2, *SHAPE), bool)
    left[2:10, 1:7] = right[2:10, 9:15] = True
    core = np.zeros(SHAPE, bool)
    core[5:7, 3:13] = True
    images, annotations = [], []
    for number, name in enumerate("ab", start=1):
        save(tmp_path / f"images/{name}.png", left * 7)
        save(tmp_path / f"labels/{name}.png", left * 3 + right * 8)
        for order, mask in enumerate((left, right)):
            save(tmp_path / f"masks/{name}/{order}.png", mask * 255)
            x = 1 + 8 * order
            polygon = [x, 2, x + 6, 2, x + 6, 10, x, 10]
            annotations.append(dict(id=len(annotations), image_id=number, category_id=1))
            annotations[-1]["segmentation"] = [polygon]
        images.append(dict(id=number, file_name=f"{name}.png", height=SHAPE[0], width=SHAPE[1]))
        end = ".tif" if name == "a" else ".png"
        save(tmp_path / f"of_labels/{name}{end}", core * (left * 3 + right * 8))
        save(tmp_path / f"nuclei/{name}{end}", core * (left * 1 + right * 2))
    content = dict(images=images, annotations=annotations, categories=[dict(id=1, name="cell")])
    (tmp_path / "cells.json").write_text(json.dumps(content))
    return tmp_path


KINDS = dict(
    labels=(LabelImageDataset, dict(nuclei_dir="of_labels")),
    masks=(MaskFolderDataset, dict(nuclei_dir="nuclei")),
    coco=(CellCocoDataset, dict(nuclei_dir="nuclei", ann_file="cells.json", img_dir="images")),
)


def build(kind, root, **more):
    dataset, options = KINDS[kind]
    return dataset(data_root=root, **dict(options, **more))


@pytest.mark.parametrize("kind", KINDS)
def test_nuclei_come_with_their_cells(folder, kind):
    dataset = build(kind, folder, pipeline=LOAD)
    assert len(dataset) == 2
    for i in range(2):
        results = dataset[i]
        cells, nuclei = results["gt_layers"].to_masks(), results["gt_nuclei"].to_masks()
        assert nuclei.sum((1, 2)).tolist() == [8, 8] and (nuclei <= cells).all()
    assert "nuclei_path" not in build(kind, folder, nuclei_dir=None).get_data_info(0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_missing_is_one_line(folder, kind):
    (folder / "nuclei/b.png").unlink()
    (folder / "of_labels/b.png").unlink()
    words = (
        "no nuclei for 1: b of 2 images; put <image name>.tif or .png there, .* or do without nuclei \\(no"
    )
    with pytest.raises(CellMMError, match=words) as info:
        build(kind, folder)
    assert "\n" not in str(info.value)


def test_two_files_of_nuclei_or_two_images_of_one_name(folder):
    save(folder / "nuclei/b.tif", np.zeros(SHAPE))
    with pytest.raises(CellMMError, match="nuclei: several files for one image, 2: b.*, b.*; keep one"):
        build("masks", folder)
    save(folder / "images/more/a.png", np.zeros(SHAPE))
    content = json.loads((folder / "cells.json").read_text())
    content["images"][1]["file_name"] = "more/a.png"
    (folder / "cells.json").write_text(json.dumps(content))
    with pytest.raises(CellMMError, match="several images are called 1: a; .* give each a name of its own"):
        build("coco", folder)


def test_planes_have_the_name_of_the_first(folder):
    for name in "ab":
        for plane in ("low", "high"):
            save(folder / f"planes/{name}_{plane}.tif", np.ones(SHAPE))
        tifffile.imwrite(folder / f"of_labels/{name}_low.tif", np.zeros(SHAPE, np.uint8))
    dataset = build("labels", folder, img_dir="planes", img_suffix=["_low.tif", "_high.tif"], pipeline=LOAD)
    assert dataset.get_data_info(1)["nuclei_path"] == str(folder / "of_labels/b_low.tif")
    assert not dataset[1]["gt_nuclei"].layers.any()


def test_without_nuclei_dir_load_nuclei_says_what_to_set(folder):
    with pytest.raises(CellMMError, match="no nuclei_path: set nuclei_dir of the dataset"):
        build("masks", folder, nuclei_dir=None, pipeline=LOAD)[0]


def test_a_named_folder_of_nuclei_is_the_one_of_a_simulated_set(folder):
    (folder / "train").mkdir()
    (folder / "cells.json").rename(folder / "train" / "annotations.json")
    (folder / "images").rename(folder / "train" / "images")
    options = dict(data_root=folder, split="train", nuclei=True)
    with pytest.raises(CellMMError, match="train has no nuclei: put the nuclei of each image into nuclei/"):
        SimulatedDataset(**options)
    dataset = SimulatedDataset(**options, nuclei_dir="nuclei")
    assert dataset.get_data_info(0)["nuclei_path"] == str(folder / "nuclei" / "a.tif")
    with pytest.raises(CellMMError, match="nope: no nuclei for 2: a, b"):
        SimulatedDataset(**options, nuclei_dir="nope")


@pytest.mark.parametrize("end", [".TIF", ".tiff", ".PNG", ".bmp"])
def test_nuclei_have_any_suffix_in_any_case(folder, end):
    for name in ("a.tif", "b.png"):
        (folder / "nuclei" / name).rename((folder / "nuclei" / name).with_suffix(end))
    assert build("coco", folder).get_data_info(0)["nuclei_path"] == str(folder / f"nuclei/a{end}")


def test_nuclei_in_subfolders_as_the_images_are(folder):
    for kind in ("images", "labels", "of_labels"):
        (path,) = (folder / kind).glob("b.*")
        (folder / kind / "more").mkdir()
        path.rename(folder / kind / "more" / f"a{path.suffix}")
    dataset = build("labels", folder)
    paths = [dataset.get_data_info(i)["nuclei_path"] for i in range(2)]
    assert paths == [str(folder / "of_labels/a.tif"), str(folder / "of_labels/more/a.png")]
