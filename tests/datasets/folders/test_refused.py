"""The table of folders that leave a question open: each is refused in one line with the cure."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from cellmm.datasets import AnnotatedFolderDataset
from cellmm.errors import CellMMError
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
