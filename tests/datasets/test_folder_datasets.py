import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from cellmm.datasets import BBBC010Dataset, DSB2018Dataset, LabelImageDataset, MaskFolderDataset
from cellmm.datasets.transforms.loading import LoadCells, LoadImage
from cellmm.errors import CellMMError

H, W = 12, 16
PIPELINE = [LoadImage(), LoadCells()]


def write(path: Path, value: int = 0, rows: slice = slice(0, 0)) -> None:
    """An image of ``value`` in some rows, 0 elsewhere."""
    image = np.zeros((H, W), np.uint8)
    image[rows] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


@pytest.fixture
def labels(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"images/{name}.png")
        write(tmp_path / f"labels/{name}.png", 5, slice(2, 4))
    return tmp_path


def test_label_images(labels):
    dataset = LabelImageDataset(data_root=labels, pipeline=PIPELINE)
    assert [Path(dataset.get_data_info(i)["img_path"]).name for i in range(2)] == ["a.png", "b.png"]
    assert [dataset.get_data_info(i)["img_id"] for i in range(2)] == [1, 2]
    results = dataset[0]
    assert results["gt_layers"].areas().tolist() == [2 * W]
    assert results["gt_labels"].tolist() == [0] and results["gt_ignore"].tolist() == [False]


def test_label_layers_with_overlap(labels):
    pages = np.zeros((2, H, W), np.uint16)
    pages[0, :6], pages[1, 3:9] = 1, 2
    (labels / "labels/a.png").unlink()
    tifffile.imwrite(labels / "labels/a.tif", pages)
    results = LabelImageDataset(data_root=labels, pipeline=PIPELINE)[0]
    assert results["gt_layers"].areas().tolist() == [6 * W, 6 * W]
    assert results["gt_layers"].overlap().sum() == 3 * W


def test_two_focal_planes(labels):
    for name in ("a", "b"):
        write(labels / f"planes/{name}_low.tif", 1, slice(None))
        write(labels / f"planes/{name}_high.tif", 2, slice(None))
    options = {"data_root": labels, "img_dir": "planes", "img_suffix": ["_low.tif", "_high.tif"]}
    dataset = LabelImageDataset(**options, pipeline=PIPELINE)
    assert dataset[0]["img"][0, 0].tolist() == [1, 2]
    (labels / "planes/b_high.tif").unlink()
    with pytest.raises(CellMMError, match=r"planes: no file .*_high.* for 1: b of 2 images"):
        LabelImageDataset(**options)


def test_images_and_labels_in_one_folder(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.tif")
        write(tmp_path / f"{name}_masks.tif", 1, slice(0, 2))
    options = {"data_root": tmp_path, "img_dir": "", "label_dir": ""}
    dataset = LabelImageDataset(**options, img_suffix=".tif", label_suffix="_masks.tif", pipeline=PIPELINE)
    assert len(dataset) == 2 and len(dataset[1]["gt_layers"]) == 1
    with pytest.raises(CellMMError, match="tell them apart"):
        LabelImageDataset(**options)


def test_pattern_chooses_images(labels):
    assert len(LabelImageDataset(data_root=labels, pattern="b*")) == 1
    with pytest.raises(CellMMError, match="images: no image has a name like 'c"):
        LabelImageDataset(data_root=labels, pattern="c*")


def test_label_images_that_do_not_match(labels):
    write(labels / "images/c.png")
    with pytest.raises(CellMMError, match="labels: no label image for 1: c of 3 images"):
        LabelImageDataset(data_root=labels)
    (labels / "images/c.png").unlink()
    (labels / "images/a.png").unlink()
    with pytest.raises(CellMMError, match="images: no image for 1: a of 2 label images"):
        LabelImageDataset(data_root=labels)
    with pytest.raises(CellMMError, match="nowhere is not a folder"):
        LabelImageDataset(data_root=labels, img_dir="nowhere")
    write(labels / "images/b.tif")
    with pytest.raises(CellMMError, match="images: 1 images have several files"):
        LabelImageDataset(data_root=labels)
    with pytest.raises(CellMMError, match="none of its files"):
        LabelImageDataset(data_root=labels, img_suffix=".bmp")


def test_label_image_of_another_size(labels):
    cv2.imwrite(str(labels / "labels/a.png"), np.zeros((H, W + 1), np.uint8))
    with pytest.raises(CellMMError, match=r"labels/a\.png is \(12, 17\).*images/a\.png \(12, 16\)"):
        LabelImageDataset(data_root=labels, pipeline=PIPELINE)[0]


@pytest.fixture
def masks(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"images/{name}.png")
        for i in range(3):
            write(tmp_path / f"masks/{name}/{i}.png", 255, slice(2 * i, 2 * i + 3))
    return tmp_path


def test_masks_in_a_folder_an_image(masks):
    dataset = MaskFolderDataset(data_root=masks, pipeline=PIPELINE)
    results = dataset[1]
    assert results["img_id"] == 2
    assert results["gt_layers"].areas().tolist() == [3 * W] * 3
    assert results["gt_layers"].overlap().sum() == 2 * W  # rows 2 and 4


def test_masks_with_the_image_in_the_name(tmp_path):
    for name in ("a_1", "b"):
        write(tmp_path / f"images/{name}.png")
        write(tmp_path / f"masks/{name}_01.png", 1, slice(0, 2))
        write(tmp_path / f"masks/{name}_02.png", 1, slice(2, 4))
    dataset = MaskFolderDataset(data_root=tmp_path, mask_pattern=r"(?P<image>.+)_\d+\.png")
    assert [len(dataset.get_data_info(i)["mask_paths"]) for i in range(2)] == [2, 2]


def test_masks_that_do_not_match(masks):
    write(masks / "images/c.png")
    with pytest.raises(CellMMError, match="masks: no mask for 1: c of 3 images; set allow_empty"):
        MaskFolderDataset(data_root=masks)
    dataset = MaskFolderDataset(data_root=masks, allow_empty=True, pipeline=PIPELINE)
    assert len(dataset) == 3 and len(dataset[2]["gt_layers"]) == 0 and dataset[2]["gt_layers"].shape == (H, W)
    (masks / "images/c.png").unlink()
    (masks / "images/b.png").unlink()
    with pytest.raises(CellMMError, match="masks: 3 masks without an image in .*images, 1: b"):
        MaskFolderDataset(data_root=masks)
    with pytest.raises(CellMMError, match="names no image"):
        MaskFolderDataset(data_root=masks, mask_pattern=".*")


def test_files_that_are_no_masks_are_told(masks, monkeypatch):
    said = []
    monkeypatch.setattr("cellmm.datasets.mask_folders.print_log", lambda text, **_: said.append(text))
    (masks / "masks/notes.txt").write_text("x")
    MaskFolderDataset(data_root=masks)
    assert len(said) == 1 and "1: notes.txt" in said[0]


def test_mask_of_another_size(masks):
    cv2.imwrite(str(masks / "masks/a/1.png"), np.zeros((H + 1, W), np.uint8))
    with pytest.raises(CellMMError, match=r"masks/a/1\.png is \(13, 16\)"):
        MaskFolderDataset(data_root=masks, pipeline=PIPELINE)[0]


def test_images_and_labels_in_subfolders_are_pairs(labels, monkeypatch):
    said = []
    monkeypatch.setattr("cellmm.io.file_index.print_log", lambda text, **_: said.append(text))
    write(labels / "images/day2/c.TIF")
    write(labels / "labels/day2/c.png", 3, slice(1, 2))
    dataset = LabelImageDataset(data_root=labels, pipeline=PIPELINE)
    assert len(dataset) == 3 and len(dataset[2]["gt_layers"]) == 1
    assert len(LabelImageDataset(data_root=labels, pattern="c*")) == 1
    write(labels / "images/day3/d.png")
    assert len(LabelImageDataset(data_root=labels)) == 3
    assert len(said) == 1 and "left out, 1: day3/d;" in said[0]
    (labels / "labels").rename(labels / "images/labels")
    assert len(LabelImageDataset(data_root=labels, label_dir="images/labels")) == 3


def test_masks_in_subfolders_are_pairs(masks, monkeypatch):
    said = []
    monkeypatch.setattr("cellmm.io.file_index.print_log", lambda text, **_: said.append(text))
    write(masks / "images/day2/c.TIF")
    write(masks / "masks/day2/c/1.PNG", 1, slice(0, 2))
    write(masks / "images/previews/a.jpg")
    dataset = MaskFolderDataset(data_root=masks, pipeline=PIPELINE)
    assert len(dataset) == 3 and len(dataset[2]["gt_layers"]) == 1
    assert len(said) == 1 and "left out, 1: previews/a;" in said[0]


def test_a_set_of_masks_without_any_cell_is_read_if_allowed(tmp_path):
    write(tmp_path / "images/a.png")
    (tmp_path / "masks").mkdir()
    dataset = MaskFolderDataset(data_root=tmp_path, allow_empty=True, pipeline=PIPELINE)
    assert len(dataset) == 1 and len(dataset[0]["gt_layers"]) == 0
    write(tmp_path / "masks/a_01.png", 1, slice(0, 2))
    with pytest.raises(
        CellMMError, match="none of its files .1: a_01.png. matches the pattern .*; set mask_pat"
    ):
        MaskFolderDataset(data_root=tmp_path, allow_empty=True)


def test_data_science_bowl_layout(tmp_path):
    for name in ("x1", "x2"):
        write(tmp_path / f"{name}/images/{name}.png")
        write(tmp_path / f"{name}/masks/1.png", 255, slice(0, 2))
        write(tmp_path / f"{name}/masks/2.png", 255, slice(4, 6))
    dataset = DSB2018Dataset(data_root=tmp_path, pipeline=PIPELINE)
    assert len(dataset) == 2 and len(dataset[0]["gt_layers"]) == 2
    assert dataset.metainfo["classes"] == ("nucleus",)


@pytest.fixture
def worms(tmp_path):
    for well in ("A01", "A02", "B01"):
        for channel in ("w1", "w2"):
            write(tmp_path / f"images/17_B_{well}_{channel}_0FA.tif", int(channel[1]), slice(None))
        write(tmp_path / f"masks/{well}_01_ground_truth.png", 255, slice(0, 2))
    write(tmp_path / "masks/C01_01_ground_truth.png", 255, slice(0, 2))
    (tmp_path / "split.json").write_text(json.dumps({"note": "x", "train": ["A02", "A01"], "test": ["B01"]}))
    return tmp_path


def test_bbbc010(worms, monkeypatch):
    said = []
    monkeypatch.setattr("cellmm.datasets.bbbc010.print_log", lambda text, **_: said.append(text))
    train = BBBC010Dataset(data_root=worms, pipeline=PIPELINE)
    assert len(said) == 1 and "1: C01: their 1 masks are not used" in said[0]
    assert "A01_w2" in train.get_data_info(0)["img_path"] and train.get_data_info(0)["img_id"] == 1
    assert train[0]["img"].max() == 2
    assert [len(BBBC010Dataset(data_root=worms, split=split)) for split in ("train", "test", "all")] == [
        2,
        1,
        3,
    ]
    assert BBBC010Dataset(data_root=worms, channel=["w1", "w2"], pipeline=PIPELINE)[0]["img"][
        0, 0
    ].tolist() == [1, 2]


def test_bbbc010_mismatches(worms):
    with pytest.raises(CellMMError, match=r"split\.json: no split 'val'; it has train, test, all"):
        BBBC010Dataset(data_root=worms, split="val")
    (worms / "images/17_B_A02_w2_0FA.tif").unlink()
    with pytest.raises(CellMMError, match=r"no image for 1: A02 of 2 wells"):
        BBBC010Dataset(data_root=worms)
    (worms / "split.json").unlink()
    with pytest.raises(CellMMError, match=r"split\.json is absent: write"):
        BBBC010Dataset(data_root=worms)
