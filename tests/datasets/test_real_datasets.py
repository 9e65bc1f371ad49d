"""Every dataset on the real folder, with the counts that its README states."""

import cv2
import numpy as np
import pytest
import tifffile

from cellmm.datasets import (
    BBBC010Dataset,
    CellCocoDataset,
    CellDataset,
    DSB2018Dataset,
    LabelImageDataset,
    LIVECellDataset,
)
from cellmm.datasets.transforms.loading import LoadCells, LoadImage


def count(dataset: CellDataset, key: str) -> tuple[int, int]:
    """Images and annotated cells."""
    return len(dataset), sum(len(dataset.get_data_info(i)[key]) for i in range(len(dataset)))


def pipeline(**options) -> list:
    return [LoadImage(**options), LoadCells(keep_original=True)]


def test_bbbc010(real_data):
    root = real_data("bbbc010")
    assert len(list((root / "masks").iterdir())) == 1407  # of 100 wells, three of which have no image here
    counts = {
        split: count(BBBC010Dataset(data_root=root, split=split), "mask_paths") for split in ("train", "test")
    }
    assert counts == {"train": (50, 710), "test": (47, 658)}
    assert count(BBBC010Dataset(data_root=root, split="all"), "mask_paths") == (97, 1407 - 39)
    results = BBBC010Dataset(data_root=root, split="test", pipeline=pipeline(num_channels=1))[0]
    assert results["img"].shape == (520, 696, 1) and 255 < results["img"].max() < 4096
    pixels = [np.count_nonzero(cv2.imread(path, cv2.IMREAD_GRAYSCALE)) for path in results["mask_paths"]]
    assert results["gt_layers"].areas().tolist() == pixels
    assert results["gt_layers"].overlap().any()


def test_dsb2018_json(real_data):
    root = real_data("dsb2018")
    options = {"data_root": root, "img_dir": "images", "pipeline": pipeline(color="rgb", num_channels=3)}
    parts = [
        CellCocoDataset(ann_file=f"instances_{split}.json", **options) for split in ("train", "val", "test")
    ]
    counts = [count(part, "instances") for part in parts]
    assert counts == [(399, 17387), (133, 6509), (132, 5090)]
    assert tuple(map(sum, zip(*counts, strict=True))) == (664, 28986)
    for part in parts:
        results = part[1]
        assert results["gt_layers"].areas().tolist() == results["gt_areas"].tolist()


def test_dsb2018_original_layout(real_data):
    root = real_data("dsb2018") / "stage1_sample"
    dataset = DSB2018Dataset(data_root=root, pipeline=pipeline(color="grayscale", num_channels=1))
    assert count(dataset, "mask_paths") == (30, 556)
    results = dataset[3]
    assert len(results["gt_layers"]) == len(results["mask_paths"])
    assert (results["gt_layers"].areas() > 0).all()


@pytest.mark.parametrize(
    ("pattern", "images"), [("train_*", 50), ("testA_*", 24), ("testB_*", 16), ("*", 90)]
)
def test_glas(real_data, pattern, images):
    dataset = LabelImageDataset(
        data_root=real_data("glas"), pattern=pattern, pipeline=pipeline(num_channels=3), img_suffix=".png"
    )
    assert len(dataset) == images
    results = dataset[0]
    ids, sizes = np.unique(tifffile.imread(results["label_path"]), return_counts=True)
    assert ids[0] == 0 and results["gt_layers"].areas().tolist() == sizes[1:].tolist()


def test_livecell(real_data):
    root = real_data("livecell_mini")
    datasets = [
        LIVECellDataset(data_root=root, split=split, pipeline=pipeline()) for split in ("val", "test")
    ]
    counts = [count(dataset, "instances") for dataset in datasets]
    assert counts == [(5, 1243), (15, 3285)]
    assert sum(cells for _, cells in counts) == 4528
    sizes = [len(dataset.get_data_info(i)["instances"]) for dataset in datasets for i in range(len(dataset))]
    assert (min(sizes), max(sizes)) == (42, 768)
    results = datasets[1][int(np.argmin(sizes[5:]))]
    assert results["img"].shape == (520, 704, 1)  # LZW
    areas = results["gt_layers"].areas()
    assert np.abs(areas / results["gt_areas"] - 1).max() < 0.2  # pixels against the area inside the polygon
