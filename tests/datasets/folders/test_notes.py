"""What looks wrong in a folder is said once, with the names of files."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cellmm.datasets import AnnotatedFolderDataset
from cellmm.datasets.folders import look_at
from cellmm.errors import CellMMError
from tests.datasets.folders import layouts as p
from tests.datasets.folders.test_refused import add, both, layout


def crowds() -> dict:
    content = p.coco(p.NAMES)
    content["annotations"] = [cell | dict(iscrowd=1) for cell in content["annotations"]]
    return content


def some_frames(root: Path) -> None:
    for path, pixels in (("film.tif", p.scenes()["a"][0]), ("film_mask.tif", p.label("a"))):
        frames = np.stack([pixels * 0, pixels, pixels])
        tifffile.imwrite(root / path, frames, photometric="minisblack", **p.STACK)


def film_of_stacks(root: Path) -> None:
    frames = np.stack([np.stack([p.scenes()[name][0]] * 3) for name in p.NAMES])
    tifffile.imwrite(root / "film.tif", frames, imagej=True, metadata=dict(axes="TZYX"))
    labels = np.stack([p.label(name) for name in p.NAMES])
    tifffile.imwrite(root / "film_mask.tif", labels, photometric="minisblack", **p.STACK)


NOTES: dict[str, tuple[Callable[[Path], object], str]] = {
    "labels of another size": (
        both(layout("images and labels"), add("labels/a.tif", p.label("a")[:-1])),
        "annotations of another size than their image, 1: ROOT/labels/a.tif (35, 52) instead of (36, 52): "
        "one of them was cropped, resized or turned, export it again",
    ),
    "outlines of another size": (
        both(layout("LabelMe"), add("a.json", p.labelme("a") | dict(imageHeight=72))),
        "annotations of another size than their image, 1: a.json (72, 52) instead of (36, 52): one of them "
        "was cropped, resized or turned, export it again",
    ),
    "crowds only": (
        both(p.images, add("cells.json", crowds())),
        "all {cells} cells are iscrowd, which are not learned: set iscrowd to 0 where a mask is one cell",
    ),
    "images that are absent": (
        both(layout("COCO json"), lambda root: (root / "images/b.tif").unlink()),
        "cells.json names images that are not in the folder, 1: b.tif; put them there",
    ),
    "pictures made from the images": (
        both(
            layout("Cellpose _masks.tif"),
            add("a_flows.tif", p.label("a")),
            add("overlays/b.png", p.label("b")),
        ),
        "pictures made from the images, not used: 2: a_flows.tif, overlays/b.png",
    ),
    "lines and points": (
        both(
            layout("LabelMe"),
            add(
                "a.json",
                p.p.labelme(
                    p.p.lm_shape(p.p.ring(p.truth("a")[0])),
                    p.p.lm_shape([[1, 1]], "point"),
                    imagePath="a.tif",
                ),
            ),
        ),
        "left out, 1 points, in 1: a.json",
    ),
    "a format that is not known": (
        both(layout("images and labels"), add("notes.json", dict(day=3))),
        "files in no known format, not read: 1: notes.json",
    ),
    "frames without a cell": (
        some_frames,
        "ROOT/film.tif: frames without a cell are left out, numbers from 0, 1: 0",
    ),
    "frames of several planes": (
        film_of_stacks,
        "ROOT/film.tif: each frame is the maximum of its focal planes; to learn from a plane, save only that",
    ),
    "numbers in pieces": (
        lambda root: p.each(root, "{n}.tif", "{n}_mask.png", lambda name: PAIRS),
        "in 2 of 2 images most numbers are in several pieces apart from each other, 2: a_mask.png, "
        "b_mask.png: classes or a mask, not cells; give each cell a number of its own (scipy.ndimage.label; "
        "in Fiji: Analyze Particles, Show: Count Masks), or one mask file per cell",
    ),
}
PAIRS = np.zeros(p.SIZE, np.uint8)
PAIRS[4:7, 4::12], PAIRS[24:27, 4::12] = 1, 2


@pytest.mark.parametrize("name", NOTES)
def test_what_looks_wrong_is_said_once(tmp_path, name, monkeypatch):
    make, note = NOTES[name]
    make(tmp_path)
    note = note.format(cells=sum(len(p.truth(name)) for name in p.NAMES))
    contents = look_at(tmp_path)
    assert [text.replace(str(tmp_path), "ROOT") for text in contents.notes] == [note]
    assert contents.notes[0] in contents.describe().splitlines()
    said = []
    for module in ("io.label_check", "datasets.folders.annotated_folder_dataset"):
        monkeypatch.setattr(
            f"cellmm.{module}.print_log", lambda text, level=logging.INFO, **_: said.append((text, level))
        )
    AnnotatedFolderDataset(data_root=tmp_path)
    assert said == [(f"{tmp_path}: {contents.notes[0]}", logging.WARNING)]


@pytest.mark.parametrize("name", ["labels of another size", "outlines of another size"])
def test_cells_of_another_size_are_not_learned(tmp_path, name):
    NOTES[name][0](tmp_path)
    dataset = AnnotatedFolderDataset(
        data_root=tmp_path, pipeline=[dict(type="LoadImage"), dict(type="LoadCells")]
    )
    with pytest.raises(CellMMError, match="one of them was cropped, resized or turned, export it again"):
        dataset[0]
