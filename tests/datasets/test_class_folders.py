"""A folder per image with a label image per class."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cellmm.datasets import AnnotatedFolderDataset, ClassBalancedDataset, ClassFolderDataset, ConcatDataset
from cellmm.datasets.transforms.loading import LoadCells, LoadImage
from cellmm.errors import CellMMError

SHAPE = 12, 16
PIPELINE = [LoadImage(), LoadCells(keep_original=True)]


def save(path: Path, cells: dict[int, tuple], dtype: type = np.uint8) -> None:
    """A label image with a number in each of some regions."""
    label = np.zeros(SHAPE, dtype)
    for number, region in cells.items():
        label[region] = number
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, label)


@pytest.fixture
def root(tmp_path):
    """a: classes 1 and 3, whose cells touch, overlap and share numbers; b: class 2 as floats; c: no cell."""
    for name in "abc":
        (tmp_path / name).mkdir()
        tifffile.imwrite(tmp_path / name / "image.tif", np.full((*SHAPE, 3), 9, np.uint8), photometric="rgb")
    save(tmp_path / "a/class1.tif", {1: np.s_[:4, :4], 7: np.s_[:4, 4:8]})  # they touch
    save(tmp_path / "a/class3.tif", {1: np.s_[2:6, :4], 2: np.s_[4:6, 4:8]})  # one overlaps, one touches
    save(tmp_path / "b/class2.tif", {300: np.s_[:2]}, np.float64)
    save(tmp_path / "b/class4.tif", {})
    return tmp_path


def test_cells_are_told_apart_by_class_and_number(root):
    dataset = ClassFolderDataset(data_root=root, pipeline=PIPELINE, allow_empty=True)
    assert dataset.metainfo["classes"] == ("class1", "class2", "class3", "class4")
    a, b, c = (dataset[i] for i in range(3))
    assert a["gt_labels"].tolist() == [0, 0, 2, 2]
    assert a["gt_layers"].areas().tolist() == [16, 16, 16, 8]
    assert int(a["gt_layers"].overlap().sum()) == 8
    masks = a["gt_layers"].to_masks()
    assert masks[0, :4, :4].all() and masks[1, :4, 4:8].all() and masks[2, 2:6, :4].all()
    assert b["gt_labels"].tolist() == [1] and b["gt_layers"].areas().tolist() == [32]
    assert len(c["gt_layers"]) == 0 and c["gt_labels"].shape == (0,) and c["gt_layers"].shape == SHAPE
    assert c["eval_instances"]["masks"] == []
    assert [dataset.get_data_info(i)["img_id"] for i in range(3)] == [1, 2, 3]


def test_classes_have_the_names_and_files_of_the_config(root):
    shutil.rmtree(root / "b")
    names = dict(class_files=("class3.tif", "class1.tif"), metainfo=dict(classes=("long", "round")))
    dataset = ClassFolderDataset(data_root=root, images=["a"], pipeline=PIPELINE, **names)
    assert dataset.metainfo["classes"] == ("long", "round")
    assert dataset[0]["gt_labels"].tolist() == [0, 0, 1, 1]
    dataset.take_class_order(("round", "long"), "a checkpoint")
    assert dataset[0]["gt_labels"].tolist() == [1, 1, 0, 0]
    one = ClassFolderDataset(data_root=root, pipeline=PIPELINE, class_agnostic=True, allow_empty=True)
    assert one.metainfo["classes"] == ("cell",) and one[0]["gt_labels"].tolist() == [0, 0, 0, 0]
    with pytest.raises(CellMMError, match=r"metainfo.classes .* give a name for each file"):
        ClassFolderDataset(data_root=root, metainfo=dict(classes=("round",)))
    with pytest.raises(CellMMError, match="a file of its own"):
        ClassFolderDataset(data_root=root, class_files=("class1.tif", "class1.tif"))


def test_a_split_names_folders(root):
    (root / "train.txt").write_text("b\na\n")
    dataset = ClassFolderDataset(data_root=root, split_file="train.txt")
    assert [Path(dataset.get_data_info(i)["img_path"]).parent.name for i in range(2)] == ["b", "a"]
    assert [dataset.get_data_info(i)["img_id"] for i in range(2)] == [2, 1]
    (root / "train.txt").write_text("d\n")
    with pytest.raises(CellMMError, match=r"train.txt names images that .* 1: d; it has 3: a, b, c"):
        ClassFolderDataset(data_root=root, split_file="train.txt")


def test_what_is_missing_or_unknown_is_told(root, monkeypatch):
    with pytest.raises(CellMMError, match=r"no class file for 1: c of 3 images; set allow_empty=True"):
        ClassFolderDataset(data_root=root)
    save(root / "a/class5.tif", {})
    with pytest.raises(CellMMError, match=r"a: 1: class5.tif not in class_files"):
        ClassFolderDataset(data_root=root, allow_empty=True)
    (root / "a/class5.tif").rename(root / "a/notes.tif")
    told = []
    monkeypatch.setattr("cellmm.datasets.class_folders.print_log", lambda text, *_, **__: told.append(text))
    ClassFolderDataset(data_root=root, allow_empty=True)
    assert "not used: 1: a/notes.tif" in told[0] and "3 images, 1 without a class file" in told[1]
    (root / "b/image.tif").unlink()
    with pytest.raises(CellMMError, match=r"b has class2.tif and no image.tif"):
        ClassFolderDataset(data_root=root, allow_empty=True)
    with pytest.raises(CellMMError, match=r"no folder holds picture.tif"):
        ClassFolderDataset(data_root=root / "c", image_file="picture.tif")
    with pytest.raises(CellMMError, match=r"absent is not a folder"):
        ClassFolderDataset(data_root=root / "absent")


def test_a_class_file_of_another_size_or_of_a_mask(root):
    tifffile.imwrite(root / "a/class1.tif", np.ones((4, 4), np.uint8))
    dataset = ClassFolderDataset(data_root=root, pipeline=PIPELINE, allow_empty=True)
    with pytest.raises(CellMMError, match=r"class1.tif is \(4, 4\) pixels"):
        dataset[0]
    for name in "ab":  # all cells of a class have the same number
        for path in (root / name).glob("class*.tif"):
            path.unlink()
        label = np.zeros((64, 64), np.uint8)
        label[4:12, 4:12] = label[40:52, 40:52] = label[4:12, 40:52] = label[40:52, 4:12] = 1
        tifffile.imwrite(root / name / "class1.tif", label)
    with pytest.raises(CellMMError, match="one mask in many pieces"):
        ClassFolderDataset(data_root=root, allow_empty=True)


def test_images_with_rare_classes_count_more(root):
    dataset = ClassFolderDataset(data_root=root, allow_empty=True)
    balanced = ClassBalancedDataset(dataset=dataset, oversample_thr=1.0)
    assert [balanced.indices.count(i) for i in range(3)] == [2, 2, 1]
    both = ConcatDataset(datasets=[dataset, dataset])
    assert len(both) == 6 and both.metainfo["classes"][3] == "class4"


def test_a_folder_of_any_layout_keeps_the_class_of_a_single_file(root):
    """An image in which only one class is present is not of a class 'cell'."""
    (root / "b").rename(root / "b1")
    dataset = AnnotatedFolderDataset(data_root=root, pipeline=[LoadImage(), LoadCells()])
    assert dataset.metainfo["classes"] == ("class1", "class2", "class3")
    assert dataset[0]["gt_labels"].tolist() == [0, 0, 2, 2]
    assert dataset[1]["gt_labels"].tolist() == [1]
