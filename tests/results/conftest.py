"""Cells of every shape, for the tests of results."""

import numpy as np
import pytest

from cellmm.results import Instances
from cellmm.structures import MaskRuns
from cellmm.testing.writers import ArraySource

CLASSES, CATEGORY_IDS = ("worm", "größe/2 & <b>"), (7, 3)


def instances(crops, origins, shape, **fields):
    num = len(crops)
    fields = (
        dict(
            scores=np.linspace(0.9, 0.3, num, dtype=np.float32) if num else np.zeros(0, np.float32),
            labels=np.arange(num, dtype=np.int64) % 2,
            classes=CLASSES,
            category_ids=CATEGORY_IDS,
            pixel_size=(0.5, 0.25),
            name="plate 1/µ a.tif",
        )
        | fields
    )
    return Instances(MaskRuns.from_crops(crops, origins, shape), **fields)


def odd_cells():
    """Overlaps, a hole, holes in parts, parts, tips, one pixel, all borders; the last cell is the best."""
    ring = np.ones((7, 7), bool)
    ring[1:6, 1:6] = False
    ring[3, 3] = True  # an island in the hole, a part of its own
    tips = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 1], [0, 0, 1, 0]], bool)
    crops = [
        np.ones((12, 9), bool),
        np.ones((9, 14), bool),
        ring,
        tips,
        np.ones((1, 1), bool),
        np.ones((30, 2), bool),
    ]
    origins = [(0, 0), (5, 4), (8, 6), (20, 10), (29, 39), (0, 38)]
    return instances(crops, origins, (30, 40), scores=np.array([0.4, 0.5, 0.5, 0.3, 0.2, 0.9], np.float32))


CASES = {
    "odd cells": odd_cells(),
    "no cells": instances([], [], (30, 40)),
    "one pixel": instances([np.ones((1, 1), bool)] * 2, [(0, 0)] * 2, (1, 1), pixel_size=None, name=""),
    "wide": instances(
        [np.ones((3, 5), bool), odd_cells().masks.crop(2)[0]], [(0, 69_995), (2, 69_990)], (12, 70_000)
    ),
    "noise": instances(list(np.random.default_rng(0).random((6, 35, 33)) < 0.7), [(0, 7)] * 6, (35, 40)),
}


@pytest.fixture(params=CASES)
def cells(request):
    return CASES[request.param]


@pytest.fixture
def odd():
    return CASES["odd cells"]


@pytest.fixture
def masks_of():
    """``masks_of(instances)``: bool (N, H, W)."""

    def decode(cells):
        masks = np.zeros((len(cells), *cells.shape), bool)
        for i, mask in enumerate(masks):
            crop, (top, left) = cells.masks.crop(i)
            mask[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
        return masks

    return decode


@pytest.fixture
def source():
    rng = np.random.default_rng(0)
    return ArraySource(rng.integers(0, 4000, (30, 40, 2)).astype(np.uint16))
