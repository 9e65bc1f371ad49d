"""Annotations from which training would learn little or nothing: counted before the first step."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from cellmm.datasets import CellCocoDataset
from cellmm.engine.preflight import alignment
from cellmm.engine.preflight.cell_counts import Annotated, check_findable, check_learnable, count_cells
from cellmm.errors import CellMMError
from cellmm.simulation import make_dataset
from cellmm.structures import rle

EMPTY, FULL = (rle.encode_one(np.full((9, 7), value, bool)) for value in (False, True))
POLYGONS = dict(outside=[[-5, -5, -1, -5, -1, -1]], inside=[[1, 1, 5, 1, 5, 5, 1, 5]])


class Images:
    """A data set of these annotations: lists of (segmentation, iscrowd)."""

    def __init__(self, *images: list[tuple]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def get_data_info(self, i: int) -> dict:
        instances = [dict(segmentation=mask, iscrowd=crowd, label=0) for mask, crowd in self.images[i]]
        return dict(img_path=f"{i}.tif", img_id=i, height=9, width=7, instances=instances)


def test_cells_crowds_and_empty_masks_are_counted():
    dataset = Images(
        [(FULL, 0), (EMPTY, 0), (FULL, 1), (EMPTY, 1)],
        [(POLYGONS["outside"], 0), (POLYGONS["inside"], 0)],
        [(dict(size=[9, 7], counts=[63]), 0), (dict(size=[9, 7], counts=[0, 63]), 0)],
        [],
    )
    assert count_cells(dataset) == [
        Annotated("0.tif", [0, 0], num_crowd=2, num_empty=1),
        Annotated("1.tif", [0, 0], num_empty=1),
        Annotated("2.tif", [0, 0], num_empty=1),
        Annotated("3.tif", []),
    ]


REFUSED = {
    "crowds alone": (
        [[(FULL, 1)], [(FULL, 1), (FULL, 1)]],
        r"2 images has 3 crowd regions \(iscrowd=1\) and nothing else, so .* nothing; .* set iscrowd to 0",
    ),
    "empty masks alone": ([[(EMPTY, 0)]], r"1 images has 1 empty masks and .*; export one mask per cell$"),
    "both": ([[(EMPTY, 0), (FULL, 1)]], r"has 1 crowd regions \(iscrowd=1\) and 1 empty masks and nothing"),
    "no annotation": ([[], []], r"2 images has no cell and nothing else, so .*; export one mask per cell$"),
}


@pytest.mark.parametrize("row", REFUSED)
def test_nothing_to_learn_from(row):
    images, says = REFUSED[row]
    with pytest.raises(CellMMError, match=rf"^train_dataloader\.dataset: .*{says}"):
        check_learnable(count_cells(Images(*images)))


WARNED = {
    "many crowds": ([[(FULL, 1), (FULL, 0)]] * 3, "3 of 6 annotations are crowd regions (iscrowd=1)"),
    "an empty mask": ([[(EMPTY, 0)] + [(FULL, 0)] * 9], "1 of 10 cells have no pixel and are left out"),
    "most images without": ([[(FULL, 0)], [], []], "2 of 3 images have no cell, such as 1.tif; annotate"),
    "a crowd among many": ([[(FULL, 1)] + [(FULL, 0)] * 9], None),
    "half of the images without": ([[(FULL, 0)], []], None),
}


@pytest.mark.parametrize("row", WARNED)
def test_little_to_learn_from(row, logged):
    images, says = WARNED[row]
    check_learnable(count_cells(Images(*images)))
    assert [says in line for line in logged] == [True] * (says is not None)


def test_nothing_to_find(logged):
    check_findable(count_cells(Images([(FULL, 1)], [])), "val_dataloader")
    assert len(logged) == 1 and "none of the 2 images has an annotated cell (1 crowd regions)" in logged[0]
    check_findable(count_cells(Images([(FULL, 1)], [(FULL, 0)])), "val_dataloader")
    check_findable([], "val_dataloader")
    assert len(logged) == 1


# labels on what the images show


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> list[tuple[np.ndarray, np.ndarray]]:
    """(image, layers) of six simulated images of 96x96 pixels."""
    root = tmp_path_factory.mktemp("scenes") / "data"
    scene = dict(size=(96, 96), pixel=0.5, cells=(3, 5), min_visible=20)
    make_dataset(root, splits=dict(train=6), scene=scene, seed=1)
    steps = [dict(type="LoadImage"), dict(type="LoadCells")]
    dataset = CellCocoDataset(
        data_root=root, ann_file="train/annotations.json", img_dir="train/images", pipeline=steps
    )
    found = [dataset[i] for i in range(len(dataset))]
    return [(results["img"], results["gt_layers"].layers) for results in found]


def dataset_of(pairs) -> SimpleNamespace:
    """A data set that gives these pairs."""

    class Pairs:
        pipeline = SimpleNamespace(transforms=[])

        def __len__(self) -> int:
            return len(pairs)

        def get_data_info(self, i: int) -> dict:
            image, layers = pairs[i]
            return dict(img_path=f"{i}.tif", img=image, gt_layers=SimpleNamespace(layers=layers))

    return Pairs()


def test_labels_that_fit_are_not_told(scenes, logged):
    alignment.check_alignment(dataset_of(scenes))
    assert logged == []


@pytest.mark.parametrize("shift", [(12, 0), (-9, 16)])
def test_shifted_labels(shift, scenes, logged):
    alignment.check_alignment(
        dataset_of([(image, np.roll(layers, shift, (1, 2))) for image, layers in scenes])
    )
    assert len(logged) == 1
    assert f"moved by {-shift[0]} pixels down and {-shift[1]} to the right: they seem shifted" in logged[0]


def test_labels_of_other_images(scenes, logged):
    alignment.check_alignment(dataset_of([(image, scenes[i - 1][1]) for i, (image, _) in enumerate(scenes)]))
    assert len(logged) == 1 and "no more often than by chance: labels may be of other images" in logged[0]


def test_too_little_to_tell(scenes, logged):
    wrong = [(image, scenes[i - 1][1]) for i, (image, _) in enumerate(scenes)]
    alignment.check_alignment(dataset_of(wrong[:3]))
    flat = [(np.zeros_like(image), layers) for image, layers in scenes]
    alignment.check_alignment(dataset_of(flat))
    assert logged == []


def test_label_images_without_a_cell(scenes, logged):
    alignment.check_alignment(dataset_of([(image, np.zeros_like(layers)) for image, layers in scenes]))
    assert Counter("none of 6 training images that were looked at has a cell" in line for line in logged) == {
        True: 1
    }
