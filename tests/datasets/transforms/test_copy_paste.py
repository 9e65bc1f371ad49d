"""CopyPaste between the images of a dataset: what it adds, and that only the seed and the draw decide."""

import numpy as np
import pytest
import tifffile
from torch.utils.data import DataLoader

from cellmm.datasets import LabelImageDataset
from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS
from cellmm.testing import check_dataset, generated

LOAD = [dict(type="LoadImage"), dict(type="LoadCells"), dict(type="LoadNuclei")]
PASTE = dict(type="CopyPaste", prob=1.0, cells=(3, 3))
EXACT = dict(rotate=(0, 0), scale=(1, 1), flip=0, elastic_magnitude=0, blur=0)
SIZE = (48, 64)


@pytest.fixture
def dataset(tmp_path):
    """Two images of four cells with a nucleus each; in image n, cell k is brighter by 10 n + k than 100."""
    for number in (1, 2):
        label, nuclei = np.zeros((2, *SIZE), np.uint16)
        for k, (y, x) in enumerate([(4, 4), (24, 8), (8, 40), (28, 36)], 1):
            label[y : y + 6 + number, x : x + 9] = k
            nuclei[y + 2 : y + 4, x + 2 : x + 5] = k
        image = np.where(label, 100 + 10 * number + label, 100).astype(np.uint16)
        for folder, pixels in dict(images=image, labels=label, nuclei=nuclei).items():
            (tmp_path / folder).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / folder / f"{number}.tif", pixels)

    def build(*steps, **options):
        return LabelImageDataset(data_root=tmp_path, nuclei_dir="nuclei", pipeline=[*LOAD, *steps], **options)

    return build


def test_pasted_cells_come_whole_with_their_nuclei_labels_and_intensities(dataset):
    sources = set()
    for draw in range(8):
        results = dataset(dict(PASTE, **EXACT))[0, draw]
        cells, nuclei = results["gt_layers"].to_masks(), results["gt_nuclei"].to_masks()
        num = len(cells)
        assert num + results["num_unplaced"] == 7
        assert all(len(results[key]) == num for key in ("gt_labels", "gt_ignore", "gt_areas"))
        assert np.isnan(results["gt_areas"]).all() and not results["gt_ignore"].any()
        added = results["img"][..., 0] - 100
        before = dataset()[0]["img"][..., 0] - 100
        for mask, nucleus in zip(cells[4:], nuclei[4:], strict=True):
            alone = mask & (cells.sum(0) == 1)
            excess = set(added[alone].tolist())
            assert len(excess) == 1  # of one cell of one image
            sources |= excess
            assert mask.sum() == (63 if excess.pop() < 20 else 72)
            assert nucleus.sum() == 6 and not nucleus[~mask].any()
            before = before + mask * added[alone][0]
        assert np.array_equal(added, before)  # where cells overlap, all of them add up
    assert {value // 10 for value in sources} == {1, 2}  # of both images


def test_any_number_of_workers_and_any_order_give_the_same(dataset):
    steps = (dict(type="RandomWarp"), PASTE, dict(type="PackCellInputs"))
    draws = [(0, 0), (1, 1), (1, 2), (0, 3)]
    alone = [dataset(*steps, seed=5)[pair] for pair in draws]
    options = dict(sampler=draws, batch_size=None, collate_fn=lambda sample: sample)
    shared = list(DataLoader(dataset(*steps, seed=5), num_workers=2, **options))
    again = dataset(*steps, seed=5)
    backwards = [again[pair] for pair in reversed(draws)][::-1]
    for sample in zip(alone, shared, backwards, strict=True):
        layers = [one["data_samples"].gt_layers for one in sample]
        assert all((one["inputs"] == sample[0]["inputs"]).all() for one in sample)
        assert all((one == layers[0]).all() for one in layers)
    assert (dataset(*steps, seed=6)[0, 0]["inputs"] != alone[0]["inputs"]).any()


def test_a_dataset_with_it_follows_the_contract(dataset):
    check_dataset(
        dict(
            type="LabelImageDataset",
            data_root=dataset().data_root,
            nuclei_dir="nuclei",
            pipeline=[*LOAD, PASTE, dict(type="PackCellInputs")],
        )
    )


def test_what_its_border_cuts_and_crowds_are_not_copied():
    """The source's cells are all crowd regions, or beside pixels that do not show it."""

    class Crowds(generated.OneImage):
        def get_data_info(self, index):
            results = super().get_data_info(index)
            return results | dict(gt_ignore=np.ones(len(results["gt_layers"]), bool))

    class Outside(generated.OneImage):
        def get_data_info(self, index):
            results = super().get_data_info(index)
            return results | dict(ignore=np.ones(results["img_shape"], bool))

    step = TRANSFORMS.build(dict(PASTE, overlap=(0, 1)))
    before = generated.results()
    for source, number in ((Crowds, 0), (Outside, 0), (generated.OneImage, 1)):
        results = step(generated.results() | dict(dataset=source(step)))
        found = len(results["gt_layers"]) + results["num_unplaced"] - len(before["gt_layers"])
        assert (found > 0) == number


def test_prob_0_changes_nothing(dataset):
    before, after = dataset()[0], dataset(dict(type="CopyPaste", prob=0))[0]
    assert np.array_equal(before["img"], after["img"]) and len(after["gt_layers"]) == 4


def test_where_it_cannot_work(dataset, tmp_path):
    with pytest.raises(CellMMError, match="in the training pipeline of a dataset of cellmm"):
        TRANSFORMS.build(PASTE)(generated.results())
    with pytest.raises(CellMMError, match="not inside another step"):
        dataset(PASTE, dict(type="RandomApply", transforms=[PASTE], prob=1.0))[0]
    with pytest.raises(CellMMError, match="comes after ReferencePoints, whose gt_points"):
        dataset(dict(type="ReferencePoints"), PASTE)[0]
    for first, text in (
        ([LOAD[0]], "put LoadCells before it"),
        ([LOAD[0], dict(LOAD[1], keep_original=True)], "leave it out of test pipelines"),
    ):
        with pytest.raises(CellMMError, match=text):
            LabelImageDataset(data_root=tmp_path, pipeline=[*first, PASTE])[0]
    tifffile.imwrite(tmp_path / "images/2.tif", np.zeros((2, *SIZE), np.uint16))
    with pytest.raises(CellMMError, match="2.tif has 2 channels, .*1.tif 1: choose"):
        [dataset(PASTE)[0, draw] for draw in range(9)]


@pytest.mark.parametrize(
    "wrong",
    [
        dict(prob=2),
        dict(cells=(5, 2)),
        dict(scale=(0.01, 1)),
        dict(rotate=90),
        dict(blur=-1),
        dict(background="mean"),
        dict(overlap=(0, 2)),
        dict(mode="mix"),
    ],
)
def test_wrong_values_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TRANSFORMS.build(dict(type="CopyPaste", **wrong))
