"""Labels that cannot be cells are told once for the whole set; cells behind others are left in peace."""

import json

import cv2
import numpy as np
import pytest

from cellmm.datasets import CellCocoDataset, LabelImageDataset, MaskFolderDataset
from cellmm.datasets.to_coco import convert_to_coco
from cellmm.errors import CellMMError
from cellmm.io import label_check as module
from cellmm.simulation import SceneConfig, simulate_scene
from cellmm.structures import rle
from cellmm.structures.label_faults import label_faults


def grid(number=9, start=1, dtype=np.uint16):
    """Cells of 10 x 10 pixels, 10 apart, in an image of 128 x 128."""
    label = np.zeros((128, 128), dtype)
    for i in range(number):
        y, x = 5 + 20 * (i // 6), 5 + 20 * (i % 6)
        label[y : y + 10, x : x + 10] = start + i
    return label


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr("cellmm.io.label_check.print_log", lambda text, **_: lines.append(text))
    return lines


def build(root, *labels):
    for number, label in enumerate(labels):
        for folder in ("images", "labels"):
            (root / folder).mkdir(exist_ok=True)
            cv2.imwrite(str(root / folder / f"{number}.png"), label)
    return LabelImageDataset(data_root=root)


def classes(label):
    return label % 3 + (label > 0)


def test_cells_are_told_apart_from_everything_else(tmp_path, said):
    build(tmp_path, grid(), grid(30), grid(1), np.zeros((128, 128), np.uint16))
    assert said == []


def test_black_and_white_masks_are_refused(tmp_path):
    masks = [(grid(number) > 0).astype(np.uint8) * 255 for number in (9, 12)]
    with pytest.raises(
        CellMMError, match=r"2 of 2 images have one mask in many pieces, 2: labels/0\.png.*; give"
    ):
        build(tmp_path, *masks)


def test_a_few_black_and_white_masks_are_a_warning(tmp_path, said):
    build(tmp_path, grid(), grid(), grid(), (grid(12) > 0).astype(np.uint8))
    assert len(said) == 1 and "in 1 of 4 images most numbers are in several pieces" in said[0]
    assert "1: labels/3.png: classes or a mask" in said[0]


def test_one_number_for_two_cells_is_told_where_no_image_has_more(tmp_path, said):
    near = np.zeros((128, 128), np.uint8)
    near[5:15, 5:15] = near[5:15, 18:28] = 255
    build(tmp_path, near, *[(grid(1) > 0).astype(np.uint8) * 255] * 4)
    assert len(said) == 1 and "in 1 of 5 images most numbers are in several pieces" in said[0]


def test_classes_are_a_warning(tmp_path, said):
    build(tmp_path, classes(grid(18)), classes(grid(24)))
    assert len(said) == 1 and "in 2 of 2 images most numbers are in several pieces" in said[0]


def test_a_background_with_a_number_is_refused_or_told(tmp_path, said):
    turned = np.where(grid(2) == 0, 65535, grid(2))
    line = r"in 2 of 2 images a cell \(number 1: 65535\) covers most.*the background has a number; make it 0"
    with pytest.raises(CellMMError, match=line):
        build(tmp_path, turned, turned)
    build(tmp_path, turned, grid(), grid())
    assert len(said) == 1 and "in 1 of 3 images a cell covers most of the image to all its borders" in said[0]


def test_numbers_that_were_cut_to_8_bit_are_told(tmp_path, said):
    build(tmp_path, *[np.where(grid(30) > 0, (grid(30) - 1) % 24 + 1, 0) for _ in range(2)])
    assert len(said) == 1 and "12 of 48 cells have two pieces or more that are far from each other" in said[0]


def test_what_is_counted_in_an_image():
    faults = label_faults(grid(9))
    assert (faults.ids, faults.scattered, faults.doubled, faults.background) == (9, 0, 0, None)
    cut = np.zeros((60, 60), int)
    cut[20:30, 5:55] = 7  # a long cell, cut in three by two that lie over it
    cut[5:55, 15:25] = 2
    cut[5:55, 35:45] = 3
    assert label_faults(cut).doubled == 0
    far = np.zeros((2, 60, 60), int)
    far[1, :4, :4] = far[1, -4:, -4:] = 5
    far[0, 2:9] = 6
    assert (label_faults(far).ids, label_faults(far).doubled) == (2, 1)


def test_simulated_cells_flattened_into_one_label_image_are_cells():
    crowded = SceneConfig(size=(128, 128), pixel=0.5, cells=(10, 14), min_visible=20, neighbour_share=0.9)
    for seed in range(3):
        cells = simulate_scene(crowded, np.random.default_rng(seed)).cells
        for larger_on_top in (False, True):
            label = np.zeros(cells.shape, np.int32)
            for i in sorted(range(len(cells)), key=cells.areas().__getitem__, reverse=not larger_on_top):
                label[cells.to_masks()[i]] = i + 1
            assert label_faults(label).scattered == 0


def test_the_one_mask_or_annotation_of_an_image_is_looked_at(tmp_path):
    mask = grid(9) > 0
    for number in range(2):
        (tmp_path / f"masks/{number}").mkdir(parents=True)
        (tmp_path / "images").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f"images/{number}.png"), grid())
        cv2.imwrite(str(tmp_path / f"masks/{number}/0.png"), mask * 255)
    with pytest.raises(CellMMError, match=r"2 of 2 images have one mask in many pieces"):
        MaskFolderDataset(data_root=tmp_path)
    cell = dict(category_id=1, segmentation=rle.encode_one(mask))
    content = dict(
        images=[dict(id=i, file_name=f"{i}.png", height=128, width=128) for i in range(2)],
        annotations=[dict(cell, id=i, image_id=i) for i in range(2)],
        categories=[dict(id=1, name="cell")],
    )
    (tmp_path / "cells.json").write_text(json.dumps(content))
    with pytest.raises(CellMMError, match=r"2 of 2 images have one mask in many pieces, 2: images/0\.png"):
        CellCocoDataset(data_root=tmp_path, ann_file="cells.json", img_dir="images")


def test_a_large_set_is_looked_at_in_part_and_by_a_converter_in_all(tmp_path, said, monkeypatch):
    seen = []
    monkeypatch.setattr(module, "MOST_PIXELS", 3 * 128**2)
    monkeypatch.setattr(module.check_labels, "__defaults__", (3 * 128**2,))
    monkeypatch.setattr(module, "label_faults", lambda label: seen.append(1) or label_faults(label))
    dataset = build(tmp_path, *[grid() for _ in range(8)])
    assert len(seen) == 3 and not dataset.all_labels_seen
    seen.clear()
    convert_to_coco(lambda: dataset, tmp_path / "out.json")
    assert len(seen) == 8 and said == []
