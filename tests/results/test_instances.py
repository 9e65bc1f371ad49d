"""Instances: labels and layers of cells that overlap."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from cellmm.errors import CellMMError
from cellmm.results import Instances
from cellmm.structures import MaskRuns


@pytest.fixture
def cells():
    """Three cells; the first two share 2 x 2 pixels, the second has the best score."""
    masks = MaskRuns.from_crops(
        [np.ones((4, 4), bool)] * 2 + [np.ones((1, 2), bool)], [(0, 0), (2, 2), (7, 7)], (8, 9)
    )
    return Instances(masks, np.array([0.5, 0.9, 0.5], np.float32), np.zeros(3, np.int64))


def test_the_best_score_is_on_top(cells):
    labels, lost = cells.to_labels()
    assert lost == 4
    assert [int((labels == i).sum()) for i in (1, 2, 3)] == [12, 16, 2]


def test_of_equal_scores_the_first_is_on_top(cells):
    labels, lost = replace(cells, scores=np.full(3, 0.5, np.float32)).to_labels()
    assert lost == 4 and labels[3, 3] == 1


def test_layers_keep_overlap(cells):
    layers = cells.to_layers()
    assert layers.areas().tolist() == [16, 16, 2]
    assert int(layers.overlap().sum()) == 4


def test_select(cells):
    best = cells.select(cells.scores > 0.6)
    assert len(best) == 1
    assert best.masks.boxes().tolist() == [[2, 2, 6, 6]]


def test_saved_and_loaded(cells, tmp_path):
    given = replace(
        cells,
        labels=np.array([0, 1, 0]),
        classes=("cell", "größe 2"),
        category_ids=(7, 3),
        pixel_size=(0.5, 0.25),
        name="plate 1/µ.tif",
    )
    for instances in (cells, given, given.select([])):
        instances.save(tmp_path / "cells.npz")
        first = (tmp_path / "cells.npz").read_bytes()
        back = Instances.load(tmp_path / "cells.npz")
        back.save(tmp_path / "cells.npz")
        assert (tmp_path / "cells.npz").read_bytes() == first
        assert back.masks.to_rles() == instances.masks.to_rles()
        for key in ("shape", "classes", "category_ids", "pixel_size", "name"):
            assert getattr(back, key) == getattr(instances, key)
        for key in ("scores", "labels"):
            np.testing.assert_array_equal(getattr(back, key), getattr(instances, key))
            assert getattr(back, key).dtype == getattr(instances, key).dtype


def test_files_that_are_not_saved_instances(cells, tmp_path):
    with pytest.raises(CellMMError, match=r"none\.npz is absent: check"):
        Instances.load(tmp_path / "none.npz")
    (tmp_path / "a.npz").write_bytes(b"PK nonsense")
    with pytest.raises(CellMMError, match=r"a\.npz is not a file of Instances\.save"):
        Instances.load(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", masks=np.zeros(3))
    with pytest.raises(CellMMError, match=r"b\.npz is not a file of Instances\.save"):
        Instances.load(tmp_path / "b.npz")
    np.save(tmp_path / "c.npy", np.zeros(3))
    with pytest.raises(CellMMError, match=r"c\.npy is not a file of Instances\.save"):
        Instances.load(tmp_path / "c.npy")
    cells.save(tmp_path / "d.npz")
    content = bytearray((tmp_path / "d.npz").read_bytes())
    content[60:70] = b"0123456789"  # within the first array
    (tmp_path / "d.npz").write_bytes(content)
    with pytest.raises(CellMMError, match=r"d\.npz is not a file of Instances\.save"):
        Instances.load(tmp_path / "d.npz")
    with pytest.raises(ValueError, match="end in .npz"):
        cells.save(tmp_path / "cells.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(scores=np.ones(2, np.float32)), "3 masks, 2 scores, 3 labels"),
        (dict(labels=np.array([0, 1, 0])), "labels 0 to 1 for 1 classes"),
        (dict(category_ids=(1, 2)), "category_ids"),
    ],
)
def test_parts_that_do_not_fit(cells, change, message):
    with pytest.raises(ValueError, match=message):
        replace(cells, **change)


def test_picture_for_notebooks(cells):
    picture = cv2.imdecode(np.frombuffer(cells._repr_png_(), np.uint8), cv2.IMREAD_COLOR)
    assert picture.any()
    large = replace(cells, masks=cells.masks.moved(0, 0, (40_000, 30_000)))
    picture = cv2.imdecode(np.frombuffer(large._repr_png_(), np.uint8), cv2.IMREAD_COLOR)
    assert max(picture.shape) <= 1200 and picture.shape[0] > picture.shape[1]
