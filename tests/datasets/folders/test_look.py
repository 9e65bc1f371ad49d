"""The table of layouts: each folder is read to the right masks."""

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cellmm.datasets import AnnotatedFolderDataset
from cellmm.datasets.folders import look_at
from cellmm.errors import CellMMError
from cellmm.io.annotations import LabelMeReader
from cellmm.io.images import read_image
from cellmm.structures import LabelLayers
from cellmm.visualization import save_picture
from tests.datasets.folders import layouts as p

LOAD = [dict(type="LoadImage"), dict(type="LoadCells")]


def as_set(masks: np.ndarray) -> set[bytes]:
    return {np.packbits(mask).tobytes() for mask in masks}


@pytest.mark.parametrize("layout", p.LAYOUTS, ids=lambda layout: layout.name)
def test_a_layout_is_read_to_the_right_masks(tmp_path, layout):
    layout.make(tmp_path)
    contents = look_at(tmp_path)
    assert contents.layout == layout.words
    assert [image.name for image in contents.images] == list(layout.names)
    assert contents.unpaired_images == contents.unpaired_annotations == ()
    assert contents.notes == layout.notes
    assert contents.classes == layout.classes
    dataset = AnnotatedFolderDataset(data_root=tmp_path, pipeline=LOAD)
    assert dataset.metainfo["classes"] == layout.classes
    for i, name in enumerate(p.NAMES):
        results, masks = dataset[i], p.truth(name)
        path = str(results["img_path"])
        image = p.picture(name, path)
        difference = np.abs(results["img"][..., 0] - image.astype(np.float32)).max()
        assert difference <= (20 if path.endswith(".jpg") else 0)
        expected = masks if layout.overlap else LabelLayers.from_label_image(p.label(name)).to_masks()
        assert as_set(results["gt_layers"].to_masks()) == as_set(expected)
        assert (results["gt_layers"].overlap().sum() > 0) == layout.overlap


def test_the_table_of_the_docs_lists_the_layouts():
    page = Path(__file__).parents[3] / "docs/how_to/annotation_folders.md"
    rows = re.findall(r"^\| ([^|]+?) \| ", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows[1:] == [layout.name for layout in p.LAYOUTS]


@pytest.fixture
def folder(tmp_path):
    p.each(tmp_path, "images/{n}.tif", "labels/{n}.tif", p.label)
    return tmp_path


def names(dataset):
    return [Path(dataset.get_data_info(i)["img_path"]).stem for i in range(len(dataset))]


def test_images_are_chosen_by_name(folder):
    (folder / "train.txt").write_text("images/b\n\n")
    assert names(AnnotatedFolderDataset(data_root=folder, images=["images/b", "images/a"])) == ["b", "a"]
    train = AnnotatedFolderDataset(data_root=folder, split_file="train.txt")
    assert names(train) == ["b"] and train.get_data_info(0)["img_id"] == 2
    assert names(AnnotatedFolderDataset(data_root=folder, split_file=folder / "train.txt")) == ["b"]


def test_a_split_that_does_not_fit_names_what_is_wrong(folder):
    split = folder / "train.txt"
    for text, message in (
        (
            "images/c\nimages/a",
            "lacks or that have no annotation, 1: images/c; it has 2: images/a, images/b: ",
        ),
        ("images/a\nimages/a", "names images twice, 1: images/a: name each once"),
        ("\n", "train.txt names no image: name at least one of 2: images/a, images/b"),
    ):
        split.write_text(text)
        with pytest.raises(CellMMError, match=message):
            AnnotatedFolderDataset(data_root=folder, split_file="train.txt")
    split.write_text("images/a\nimages/b")
    (folder / "images/b.tif").unlink()
    with pytest.raises(CellMMError, match=r"lacks or that have no annotation, 1: images/b; it has"):
        AnnotatedFolderDataset(data_root=folder, split_file="train.txt")
    split.unlink()
    with pytest.raises(CellMMError, match=r"train\.txt is absent: write the names"):
        AnnotatedFolderDataset(data_root=folder, split_file="train.txt")


def test_what_has_no_partner_is_named(folder, monkeypatch):
    p.save(folder / "images/c.tif", p.scenes()["a"][0])
    p.save(folder / "labels/d.tif", p.label("a"))
    contents = look_at(folder)
    assert [path.name for path in contents.unpaired_images] == ["c.tif"]
    assert [path.name for path in contents.unpaired_annotations] == ["d.tif"]
    assert contents.describe().splitlines() == [
        f"{folder}: label image, a file per image",
        "2 annotated images in 2 groups; classes 1: cell",
        "images without an annotation, not used: 1: images/c.tif",
        "annotations without an image, not used: 1: labels/d.tif",
    ]
    said = []
    module = "cellmm.datasets.folders.annotated_folder_dataset"
    monkeypatch.setattr(f"{module}.print_log", lambda text, **_: said.append(text))
    AnnotatedFolderDataset(data_root=folder, images=["images/a"])
    assert said == []
    AnnotatedFolderDataset(data_root=folder)
    assert said == [f"{folder}: {line}" for line in contents.unpaired()] and len(said) == 2


def test_hidden_files_and_results_of_cellmm_are_left_out(folder):
    for name in (
        ".hidden.tif",
        "labels/.a.tif",
        "__MACOSX/images/a.tif",
        "results/.cellmm-predict",
        "run/last_checkpoint",
    ):
        p.write(folder / name, b"")
    for name in ("results", "run"):
        p.save(folder / name / "labels/a.tif", p.label("a"))
    for name in ("Thumbs.db", "images/Thumbs.db", ".DS_Store", "labels/desktop.ini", "README.txt"):
        p.write(folder / name, b"x")
    contents = look_at(folder)
    assert len(contents.images) == 2
    assert contents.unpaired_images == contents.unpaired_annotations == contents.notes == ()


def test_a_changed_file_is_looked_at_again(folder):
    assert len(look_at(folder).images) == 2
    assert look_at(folder) is look_at(folder)
    p.save(folder / "images/c.tif", p.scenes()["b"][0])
    p.save(folder / "labels/c.tif", p.label("b"))
    assert len(look_at(folder).images) == 3


def test_the_annotation_of_another_folder_is_not_taken(tmp_path):
    """b of day 1 has no label image, and b of day 2 no image."""
    for day, name, folder in ((1, "a", "images"), (1, "b", "images"), (2, "a", "images")):
        p.save(tmp_path / f"day{day}/{folder}/{name}.tif", p.scenes()[name][0])
    for day, name in ((1, "a"), (2, "a"), (2, "b")):
        p.save(tmp_path / f"day{day}/labels/{name}.tif", p.label(name))
    contents = look_at(tmp_path)
    assert [image.name for image in contents.images] == ["day1/images/a", "day2/images/a"]
    assert [image.group for image in contents.images] == ["day1", "day2"]
    assert [path.parent.parent.name for path in contents.unpaired_images] == ["day1"]
    assert [path.parent.parent.name for path in contents.unpaired_annotations] == ["day2"]


def test_an_annotation_file_is_read_once(tmp_path, monkeypatch):
    p.each(tmp_path, "{n}.tif", "{n}.json", p.labelme)
    read, original = [], LabelMeReader.read
    monkeypatch.setattr(
        LabelMeReader, "read", lambda self, path: read.append(path.name) or original(self, path)
    )
    look_at(tmp_path)
    for name in p.NAMES:
        assert len(AnnotatedFolderDataset(data_root=tmp_path, images=[name], pipeline=LOAD)[0]["gt_layers"])
    assert read == ["a.json", "b.json"]


def two_classes(root):
    p.images(root)
    for name, labels in zip(p.NAMES, (["worm", "egg"], ["worm", "worm"]), strict=True):
        shapes = [p.p.lm_shape(p.p.ring(mask), label=labels[i % 2]) for i, mask in enumerate(p.truth(name))]
        p.write(root / f"{name}.json", p.p.labelme(*shapes, imagePath=f"{name}.tif"))


def test_classes_are_those_of_the_folder_in_the_order_of_the_training_set(tmp_path):
    two_classes(tmp_path)
    dataset = AnnotatedFolderDataset(data_root=tmp_path, images=["b"], pipeline=LOAD)
    assert dataset.metainfo["classes"] == ("egg", "worm")
    assert set(dataset[0]["gt_labels"].tolist()) == {1}
    dataset.take_class_order(("worm", "egg"), "the training set")
    assert set(dataset[0]["gt_labels"].tolist()) == {0}
    with pytest.raises(CellMMError, match="its classes are .*: use the same names in both"):
        dataset.take_class_order(("worm", "larva"), "the training set")


def test_classes_of_the_config(tmp_path):
    two_classes(tmp_path)
    set_to = dict(data_root=tmp_path, pipeline=LOAD, images=["a"])
    wanted = AnnotatedFolderDataset(**set_to, metainfo=dict(classes=["worm", "larva", "egg"]))
    assert wanted[0]["gt_labels"].tolist()[:2] == [0, 2]
    merged = AnnotatedFolderDataset(**set_to, class_agnostic=True)
    assert set(merged[0]["gt_labels"].tolist()) == {0} and merged.metainfo["classes"] == ("cell",)
    with pytest.raises(CellMMError, match=r"metainfo.classes \['worm'\] leave out \['egg'\]: add"):
        AnnotatedFolderDataset(**set_to, metainfo=dict(classes=["worm"]))


def test_frames_of_a_film_are_one_group(tmp_path):
    next(row for row in p.LAYOUTS if row.name == "film with label stack").make(tmp_path)
    images = look_at(tmp_path).images
    assert [image.group for image in images] == ["film", "film"]
    assert [image.image.time for image in images] == [0, 1] and images[0].is_frame


def test_a_stated_folder_counts_more_than_a_suffix(tmp_path):
    """Pictures for CVAT have another suffix than the images: day1/a.png is that of day1/a.tif."""
    for name in ("day1/a.tif", "day2/a.png"):
        path = tmp_path / name
        path.parent.mkdir()
        save_picture(path, np.full((8, 9, 3), 7, np.uint8))
    shape = '<polygon label="cell" points="1,1;5,1;5,5;1,5"/>'
    image = f'<image id="0" name="day1/a.png" width="9" height="8">{shape}</image>'
    (tmp_path / "cells.xml").write_text(f"<annotations><version>1.1</version>{image}</annotations>")
    contents = look_at(tmp_path)
    assert [image.name for image in contents.images] == ["day1/a"]
    assert contents.unpaired_images == (tmp_path / "day2/a.png",)


def test_slices_are_read_again_as_they_were_learned(tmp_path):
    """As the pictures of a validation read them, from file and ``read_options``."""
    planes = np.stack([p.scenes()[name][0] for name in p.NAMES])
    for name, pages in (("s.tif", planes), ("s_mask.tif", np.stack([p.label(name) for name in p.NAMES]))):
        tifffile.imwrite(tmp_path / name, pages.astype(np.uint16), imagej=True, metadata=dict(axes="ZYX"))
    steps = [dict(type="LoadImage"), dict(type="LoadCells"), dict(type="PackCellInputs")]
    dataset = AnnotatedFolderDataset(data_root=tmp_path, pipeline=steps)
    for item, plane in zip(dataset, planes, strict=True):
        sample = item["data_samples"]
        np.testing.assert_array_equal(item["inputs"][0], plane)
        np.testing.assert_array_equal(read_image(sample.img_path, sample.read_options)[..., 0], plane)
