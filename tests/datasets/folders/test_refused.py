"""The table of folders that leave a question open: each is refused in one line with the cure."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from cellmm.datasets import AnnotatedFolderDataset
from cellmm.errors import CellMMError
from cellmm.structures import LabelLayers
from tests.datasets.folders import layouts as p


def both(*makers: Callable[[Path], object]) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        for maker in makers:
            maker(root)

    return make


def layout(name: str) -> Callable[[Path], object]:
    return next(row.make for row in p.LAYOUTS if row.name == name)


def add(path: str, content: object) -> Callable[[Path], None]:
    save = p.save if isinstance(content, np.ndarray) else p.write
    return lambda root: save(root / path, content)


def color(name: str) -> np.ndarray:
    return cv2.applyColorMap((p.label(name) * 40).astype(np.uint8), cv2.COLORMAP_JET)


def film(labels: np.ndarray | None, frames: int = 2) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        image = np.stack([PIXELS] * frames)
        tifffile.imwrite(root / "film.tif", image, imagej=True, metadata=dict(axes="TYX"))
        if labels is not None:
            tifffile.imwrite(root / "film_mask.tif", labels, photometric="minisblack", **p.STACK)

    return make


def with_background(name: str) -> np.ndarray:
    label = LabelLayers.from_masks(p.truth(name)[:2]).layers.max(0).astype(np.uint16)
    label[label == 0] = 65535
    return label


def boxes(name: str) -> dict:
    return p.p.labelme(p.p.lm_shape([[1, 1], [9, 9]], "rectangle"), imagePath=f"{name}.tif")


def rois_of_frames(root: Path) -> None:
    found = [p.p.polygon_roi(p.truth("a")[0], t_position=time) for time in (0, 2, 2)]
    p.p.roi_zip(*found)(root).rename(root / "film_RoiSet.zip")


def layers_of_cells(root: Path) -> None:
    masks = p.truth("a")[:2]
    layers = (masks * np.array([1, 2])[:, None, None]).astype(np.uint16)
    tifffile.imwrite(root / "film_mask.tif", layers, photometric="minisblack", metadata=None)


PIXELS = p.scenes()["a"][0]
DOTS = np.zeros(p.SIZE, np.uint8)
DOTS[4:7, 4::12] = DOTS[24:27, 4::12] = 255
REFUSED = {
    "no folder": (
        lambda root: root.rmdir(),
        "ROOT is not a folder: name the folder that holds the images",
    ),
    "an empty folder": (lambda root: None, "ROOT holds no image: put the images there, as TIFF or PNG"),
    "annotations without images": (
        add("a.geojson", p.geojson("a")),
        "ROOT holds 1 annotation files and no image: put the images there, as TIFF or PNG",
    ),
    "images without annotations": (
        p.images,
        "ROOT holds 2 images and no annotation: add label images in a folder labels, or annotations of "
        "another program (",
    ),
    "an unknown format": (
        both(p.images, add("a.json", dict(shapes=3))),
        "ROOT holds 2 images and no annotation; not in a known format: 1: a.json: add label images in",
    ),
    "two label images of an image": (
        both(layout("images and labels"), add("masks/a.png", p.label("a"))),
        "ROOT: images/a.tif is annotated in labels/a.tif and in masks/a.png: move one of them away",
    ),
    "two images of a label image": (
        both(layout("images and labels"), add("images/a.png", PIXELS)),
        "ROOT: labels/a.tif: it may belong to images/a.png or to images/a.tif: give each image and its "
        "annotation a name of their own, or move one image away",
    ),
    "two layouts": (
        both(layout("images and labels"), add("images/a.geojson", p.geojson("a"))),
        "ROOT holds annotations of several kinds, QuPath GeoJSON (1: images/a.geojson) and label image (2: "
        "labels/a.tif, ...): move all but one away, or choose with layout='QuPath GeoJSON'",
    ),
    "two COCO jsons of an image": (
        both(layout("COCO json"), add("more.json", p.coco("a"))),
        "ROOT: images/a.tif is annotated in cells.json and in more.json: move one of them away",
    ),
    "COCO of other images": (
        both(p.images, add("cells.json", p.coco(p.NAMES, "x{n}.png"))),
        "ROOT: cells.json names images that are not in the folder, 2: xa.png, xb.png; the folder has 2: "
        "a.tif, b.tif: put these images there",
    ),
    "names that have nothing in common": (
        lambda root: p.each(root, "images/{n}.tif", "labels/x{n}.tif", p.label),
        "ROOT: no image has the name of an annotation; the images are 2: images/a.tif, images/b.tif, the "
        "annotations 2: labels/xa.tif, labels/xb.tif: give both the same names, as a.tif and a_mask.tif",
    ),
    "numbers from 0 and from 1": (
        lambda root: (
            p.each(root, "t{i}.tif", "labels/{i}.tif", p.label) or (root / "t2.tif").rename(root / "t0.tif")
        ),
        "ROOT: no image has the name of an annotation; the images are 2: t0.tif, t1.tif, the annotations 2: "
        "labels/1.tif, labels/2.tif: give both the same names, as a.tif and a_mask.tif",
    ),
    "a label image of another name in a subfolder": (
        both(add("train/images/x.tif", PIXELS), add("train/labels/y.tif", p.label("a"))),
        "ROOT: no image has the name of an annotation; the images are 1: train/images/x.tif, the annotations "
        "1: train/labels/y.tif: give both the same names, as a.tif and a_mask.tif",
    ),
    "labels of other conditions": (
        both(add("ctrl_1.tif", PIXELS), add("masks/drug_1.tif", p.label("a"))),
        "ROOT: no image has the name of an annotation; the images are 1: ctrl_1.tif, the annotations 1: "
        "masks/drug_1.tif: give both the same names, as a.tif and a_mask.tif",
    ),
    "a broken link": (
        both(p.images, lambda root: (root / "c.tif").symlink_to(root / "absent.tif")),
        "ROOT/c.tif is a link to a file that is absent: remove the link",
    ),
    "an annotation with the name of another image": (
        both(layout("LabelMe"), add("a.json", p.labelme("b"))),
        "ROOT: a.json has the name of a.tif, but says that its image is b.tif: rename it, or correct that "
        "name in it",
    ),
    "labels in colours": (
        lambda root: p.each(root, "{n}.tif", "{n}_mask.png", color),
        "ROOT/a_mask.png is a colour image of shape (36, 52, 3), not a label image: save the ids as 16 bit",
    ),
    "labels as JPEG": (
        lambda root: p.each(root, "{n}.tif", "{n}_mask.jpg", lambda name: p.label(name).astype(np.uint8)),
        "ROOT/a_mask.jpg: JPEG changes the numbers of cells; save label images as PNG or TIFF",
    ),
    "a file in place of a folder": (
        both(lambda root: root.rmdir(), lambda root: root.write_bytes(b"x")),
        "ROOT is not a folder: name the folder that holds the images",
    ),
    "two kinds of annotation of Cellpose": (
        both(layout("Cellpose _seg.npy"), add("a_cp_masks.png", p.label("a"))),
        "ROOT holds annotations of several kinds, Cellpose _seg.npy (2: a_seg.npy, ...) and label image (1: "
        "a_cp_masks.png): move all but one away, or choose with layout='Cellpose _seg.npy'",
    ),
    "gold and silver truth": (
        both(layout("Cell Tracking Challenge"), add("01_ST/SEG/man_seg001.tif", p.label("b"))),
        "ROOT: 01/t001.tif is annotated in 01_GT/SEG/man_seg001.tif and in 01_ST/SEG/man_seg001.tif: move "
        "one of them away",
    ),
    "a name that fits images in two folders": (
        both(
            lambda root: p.images(root, "day1/{n}.tif"),
            lambda root: p.images(root, "day2/{n}.tif"),
            add("cells.json", p.coco(p.NAMES)),
        ),
        "ROOT: cells.json: a.tif may be day1/a.tif or day2/a.tif: give these images names of their own, or "
        "move one away (1 more)",
    ),
    "a folder of masks that fits two images": (
        both(layout("folder of masks per image"), add("images/a.png", PIXELS)),
        "ROOT: masks/a: it may belong to images/a.png or to images/a.tif: give each image a name of its own, "
        "or move one away",
    ),
    "an image twice in one file": (
        both(
            p.images,
            add(
                "via.json", [*p.label_studio(p.p.ls_polygon), p.label_studio(p.p.ls_polygon)[0] | dict(id=9)]
            ),
        ),
        "ROOT: a.tif is annotated twice in via.json: move one of them away",
    ),
    "ROIs without a frame in a film": (
        both(film(None), rois_of_frames),
        "ROOT/film_RoiSet.zip: 1 of 3 cells belong to no frame of ROOT/film.tif: give each its frame (in "
        "Fiji by Properties of the ROI manager, in a label stack by the axes TYX), or remove these",
    ),
    "layers of cells beside a film": (
        both(film(None), layers_of_cells),
        "ROOT/film_mask.tif: 2 of 2 cells belong to no frame of ROOT/film.tif: give each its frame (in Fiji "
        "by Properties of the ROI manager, in a label stack by the axes TYX), or remove these",
    ),
    "a film without positions": (
        both(film(None), add("film.geojson", p.geojson("a"))),
        "ROOT/film.tif is a film of 2 frames, and film.geojson does not say which cell is in which frame: "
        "save a label stack of as many pages, or ROIs with their positions",
    ),
    "a film of fewer frames than its labels": (
        film(np.stack([p.label("a")] * 3)),
        "ROOT/film_mask.tif has 3 time points, but its image ROOT/film.tif 2: save both with the same number "
        "of pages",
    ),
    "time points of an image without": (
        both(
            add("film.tif", PIXELS),
            lambda root: tifffile.imwrite(
                root / "film_mask.tif", np.stack([p.label("a")] * 3), photometric="minisblack"
            ),
        ),
        "ROOT/film_mask.tif has 3 time points, but its image ROOT/film.tif 1: save both with the same number "
        "of pages",
    ),
    "ROIs of frames that the image lacks": (
        both(layout("film with Fiji ROIs"), add("film.tif", PIXELS)),
        "ROOT/film_RoiSet.zip has 2 time points, but its image ROOT/film.tif 1: save both with the same "
        "number of pages",
    ),
    "a COCO json that is cut off": (
        both(p.images, lambda root: p.write(root / "c.json", json.dumps(p.coco(p.NAMES))[:-40])),
        "ROOT/c.json is not valid json (",
    ),
    "a ROI zip that is cut off": (
        both(p.images, lambda root: p.write(root / "a_RoiSet.zip", p.roi_zip("a")[:-40])),
        "ROOT/a_RoiSet.zip",
    ),
    "a label image of 0 bytes": (
        both(p.images, add("a_mask.tif", b"")),
        "ROOT/a_mask.tif is empty (0 bytes): copy or export it again",
    ),
    "an image of 0 bytes": (
        both(layout("images and labels"), add("images/a.tif", b"")),
        "ROOT/images/a.tif is empty (0 bytes): copy or export it again",
    ),
    "boxes only": (
        lambda root: p.each(root, "{n}.tif", "{n}.json", boxes),
        "ROOT/a.json holds no area of a cell, just 1 boxes; a box does not say which pixels a cell has: "
        "draw ",
    ),
    "COCO without a cell": (
        both(p.images, add("c.json", p.coco(p.NAMES) | dict(annotations=[]))),
        "ROOT: images without a cell, 2: a, b of 2; set allow_empty=True if they hold no cell",
    ),
    "a mask of several values in a folder of masks": (
        both(layout("folder of masks per image"), add("masks/a/1.png", p.label("a"))),
        "ROOT/masks/a/1.png holds ",
    ),
    "a background of 65535": (
        lambda root: p.each(root, "{n}.tif", "{n}_mask.png", with_background),
        "ROOT: in 2 of 2 images a cell (number 1: 65535) covers most of the image to all its borders, 2: "
        "a_mask.png, b_mask.png: the background has a number; make it 0",
    ),
    "one mask of all cells": (
        lambda root: p.each(root, "{n}.tif", "{n}_mask.png", lambda name: DOTS),
        "ROOT: 2 of 2 images have one mask in many pieces, 2: a_mask.png, b_mask.png: not a number per "
        "cell; ",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_folder_is_refused_in_one_line(tmp_path, name):
    make, message = REFUSED[name]
    root = tmp_path / "data"
    root.mkdir()
    make(root)
    with pytest.raises(CellMMError) as info:
        AnnotatedFolderDataset(data_root=root)
    text = str(info.value).replace(str(root), "ROOT")
    assert text.startswith(message) and "\n" not in text


def test_an_unknown_layout_names_those_that_there_are(tmp_path):
    layout("images and labels")(tmp_path)
    with pytest.raises(CellMMError, match="no layout 'COCO'; it has label image$"):
        AnnotatedFolderDataset(data_root=tmp_path, layout="COCO")


def test_a_layout_is_chosen_by_its_name_or_its_words(tmp_path):
    both(layout("images and labels"), add("images/a.geojson", p.geojson("a")))(tmp_path)
    for name, number in (("label image", 2), ("Label Image, a file per image", 2), ("QuPath GeoJSON", 1)):
        assert len(AnnotatedFolderDataset(data_root=tmp_path, layout=name)) == number


def test_images_and_split_file_exclude_each_other(tmp_path):
    with pytest.raises(CellMMError, match="has images and split_file: leave one of them out"):
        AnnotatedFolderDataset(data_root=tmp_path, images=["a"], split_file="a.txt")
