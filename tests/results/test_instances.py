"""Instances: labels and layers of cells that overlap."""

import numpy as np
import pytest

from cellmm.results import Instances
from cellmm.structures import MaskRuns


@pytest.fixture
def cells():
    """Three cells; the first two share 2 x 2 pixels, the second has the best score."""
    masks = MaskRuns.from_crops(
        [np.ones((4, 4), bool)] * 2 + [np.ones((1, 2), bool)], [(0, 0), (2, 2), (7, 7)], (8, 9)
    )
    return Instances(masks, np.array([0.5, 0.9, 0.5], np.float32), np.zeros(3, np.int64))


def test_the_best_score_is_on_top(cells, monkeypatch):
    for many in (1, 50_000_000):
        monkeypatch.setattr("cellmm.results.instances.MANY", many)
        labels, lost = cells.to_labels()
        assert lost == 4
        assert [int((labels == i).sum()) for i in (1, 2, 3)] == [12, 16, 2]


def test_layers_keep_overlap(cells):
    layers = cells.to_layers()
    assert layers.areas().tolist() == [16, 16, 2]
    assert int(layers.overlap().sum()) == 4


def test_select(cells):
    best = cells.select(cells.scores > 0.6)
    assert len(best) == 1
    assert best.masks.boxes().tolist() == [[2, 2, 6, 6]]
