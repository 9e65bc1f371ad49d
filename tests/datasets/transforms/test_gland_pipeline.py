"""The pipelines of configs/glas/unet.py: 512x512 with proportions kept, averaged pixels, flips and crops."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cellmm.config.load import load_config
from cellmm.registry import DATASETS

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "configs/glas/unet.py"
SHAPES = ((522, 775), (433, 574))
CROP, SIDE = 400, 24


@pytest.fixture(scope="module")
def glands(tmp_path_factory) -> Path:
    """Two images with a pattern of single pixels, and a square gland in each, where every crop shows it."""
    root = tmp_path_factory.mktemp("glands")
    for number, (height, width) in enumerate(SHAPES, start=1):
        image = np.zeros((height, width, 3), np.uint8)
        image[::2, 1::2] = image[1::2, ::2] = 200
        image[0, 0] = 90  # not two values alone, as a mask has
        label = np.zeros((height, width), np.uint8)
        label[200 : 200 + SIDE, 375 : 375 + SIDE] = 1
        for part in ("train", "testA"):
            assert cv2.imwrite(str(root / f"{part}_{number}.bmp"), image)
            assert cv2.imwrite(str(root / f"{part}_{number}_anno.bmp"), label)
    return root


def dataset(glands: Path, loader: str, **options):
    return DATASETS.build(dict(load_config(CONFIG)[loader].dataset, data_root=str(glands), **options))


def test_proportions_are_kept_and_the_rest_is_filled(glands):
    images = dataset(glands, "test_dataloader")
    for i, (height, width) in enumerate(SHAPES):
        item = images[i]
        assert item["inputs"].shape == (3, 512, 512)
        rows = round(512 * height / width)
        assert not item["inputs"][:, rows:].any() and item["inputs"][:, :rows].any()
        side, top = 512 / width, item["data_samples"].to_original[0, 0]
        assert top == pytest.approx(1 / side)
        # the pattern of single pixels becomes grey: without averages it would stay, coarser
        inside = item["inputs"][:, 1 : rows - 1, 1:-1]
        assert inside.std() < 0.75


def test_glands_stay_square_in_training_whatever_is_drawn(glands):
    images = dataset(glands, "train_dataloader", split="trainval")
    sides = [(SIDE * 512 / width, SIDE * 512 / CROP) for _, width in SHAPES]  # in whole images and in crops
    found, places = [set(), set()], set()
    for draw in range(24):
        item = images[draw % 2, draw]
        assert item["inputs"].shape == (3, 512, 512)
        target = item["data_samples"].gt_semantic.cytoplasm
        assert target.shape == (512, 512)
        rows, columns = (torch.nonzero(target.any(dim)).flatten() for dim in (1, 0))
        assert abs(len(rows) - len(columns)) <= 1
        near = [side for side in sides[draw % 2] if abs(len(rows) - side) <= 1]
        assert len(near) == 1
        found[draw % 2].update(near)
        places.add((int(rows[0]), int(columns[0])))
    assert found == list(map(set, sides)) and len(places) > 8


def test_the_same_draw_is_the_same_image(glands):
    images = dataset(glands, "train_dataloader", split="trainval")
    assert torch.equal(images[0, 5]["inputs"], images[0, 5]["inputs"])
    assert any(not torch.equal(images[0, 5]["inputs"], images[0, draw]["inputs"]) for draw in (6, 7, 8))
