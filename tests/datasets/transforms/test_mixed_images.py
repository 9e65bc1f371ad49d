"""Mosaic, CutMix and MixUp: every pixel and every cell comes from where the image comes from."""

import numpy as np
import pytest
import tifffile

from cellmm.datasets import LabelImageDataset
from cellmm.datasets.transforms.mixed_images import Part, join_images
from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS
from cellmm.structures import LabelLayers
from cellmm.testing import check_dataset, generated

LOAD = [dict(type="LoadImage"), dict(type="LoadCells"), dict(type="LoadNuclei")]
NAMES = ("Mosaic", "CutMix", "MixUp")
SIZES = ((48, 64), (48, 64), (30, 80))


@pytest.fixture
def dataset(tmp_path):
    """Pixels of image n are 1000 n, and 10 k more in cell k; nuclei are the upper halves of cells."""
    for number, (height, width) in enumerate(SIZES, 1):
        label, nuclei = np.zeros((2, height, width), np.uint16)
        for k, (y, x) in enumerate([(2, 2), (2, 30), (18, 6), (18, 40)], 1):
            label[y : y + 10, x : x + 12] = k
            nuclei[y : y + 5, x : x + 12] = k
        image = (1000 * number + 10 * label).astype(np.uint16)
        for folder, pixels in dict(images=image, labels=label, nuclei=nuclei).items():
            (tmp_path / folder).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / folder / f"{number}.tif", pixels)

    def build(*steps, **options):
        return LabelImageDataset(data_root=tmp_path, nuclei_dir="nuclei", pipeline=[*LOAD, *steps], **options)

    return build


@pytest.mark.parametrize("name", NAMES[:2])
def test_cells_lie_where_the_pixels_of_their_image_are(dataset, name):
    images, areas = set(), set()
    for draw in range(30):
        results = dataset(dict(type=name, prob=1.0))[0, draw]
        pixels, cells = results["img"][..., 0], results["gt_layers"]
        assert pixels.shape == SIZES[0] and len(results["gt_labels"]) == len(cells)
        assert not cells.overlap().any() and np.array_equal(cells.covered(), pixels % 1000 > 0)
        for mask, nucleus in zip(cells.to_masks(), results["gt_nuclei"].to_masks(), strict=True):
            assert len(np.unique(pixels[mask])) == 1  # one cell of one image
            assert not nucleus[~mask].any()
        ignored = results.get("ignore", np.zeros(SIZES[0], bool))
        assert np.array_equal(ignored, pixels == 0)
        images |= set((pixels // 1000).ravel().astype(int).tolist())
        areas |= set(cells.areas().tolist())
    # 0: where an image is too small for its corner
    assert images == ({0, 1, 2, 3} if name == "Mosaic" else {1, 2, 3})
    assert 120 in areas and len(areas) > 3  # whole cells, and cells that end at a seam


def test_the_share_of_cutmix_is_that_of_its_distribution(dataset):
    """With alpha far above 1 half of the area is cut, less what lies outside; at 1 it varies."""
    shares = {
        alpha: [
            (
                dataset(dict(type="CutMix", prob=1.0, alpha=alpha), indices=[1, 0])[0, draw]["img"] < 2000
            ).mean()
            for draw in range(60)
        ]
        for alpha in (1.0, 1e6)
    }
    assert max(shares[1e6]) <= 0.52 and 0.1 < np.mean(shares[1e6]) < 0.5
    assert max(shares[1.0]) > 0.7 and min(shares[1.0]) == 0


def test_mixup_is_the_weighted_mean_with_the_cells_of_both(dataset):
    own, shares = dataset()[0], []
    first = own["img"][..., 0]
    for draw in range(10):
        results = dataset(dict(type="MixUp", prob=1.0), indices=[0, 1])[0, draw]
        masks, pixels = results["gt_layers"].to_masks(), results["img"][..., 0]
        assert len(masks) == 8 and "ignore" not in results
        assert np.array_equal(masks[:4], own["gt_layers"].to_masks())
        shares.append((pixels - first)[40, 0] / 1000)  # 0 where the other image is this one again
        cell = masks[4:].argmax(0) + masks[4:].any(0)
        second = 2000 + 10 * cell if shares[-1] else first
        np.testing.assert_allclose(pixels, first + shares[-1] * (second - first), atol=0.01)
    assert 0 < max(shares) < 1 and len(set(shares)) > 3


def test_parts_are_laid_on_each_other():
    """By hand: a cell below stays, ends, or is gone; ids, labels and crowds go with their cells."""

    def image(value, layers, crowd):
        cells = LabelLayers(np.array(layers, np.int32))
        return dict(
            img=np.full((2, 4, 1), value, np.float32),
            gt_layers=cells,
            gt_labels=np.arange(len(cells)) + int(value),
            gt_ignore=np.full(len(cells), crowd),
            gt_areas=np.ones(len(cells)),
        )

    below = image(10, [[1, 1, 2, 2], [1, 1, 0, 0]], False)
    above = image(20, [[1, 1, 1, 1], [2, 2, 2, 2]], True)
    whole, right = (slice(0, 2), slice(0, 4)), (slice(0, 2), slice(2, 4))
    row = slice(0, 1)
    parts = [Part(below, whole, whole), Part(above, (row, right[1]), (row, right[1]))]

    results = dict(below)
    join_images(results, parts, keeps_below=False)
    assert results["gt_layers"].layers.tolist() == [[[1, 1, 2, 2], [1, 1, 0, 0]]]
    assert results["gt_labels"].tolist() == [10, 20] and results["gt_ignore"].tolist() == [False, True]
    assert results["img"][..., 0].tolist() == [[10, 10, 20, 20], [10, 10, 10, 10]]
    assert "ignore" not in results and np.isnan(results["gt_areas"]).all()

    results = dict(below)
    join_images(results, parts, keeps_below=True, weight=0.25)
    assert results["gt_layers"].count().tolist() == [[1, 1, 2, 2], [1, 1, 0, 0]]
    assert results["gt_labels"].tolist() == [10, 11, 20]
    assert results["img"][..., 0].tolist() == [[10, 10, 12.5, 12.5], [10, 10, 10, 10]]

    results = dict(below)
    join_images(results, parts[1:], keeps_below=False)
    assert results["ignore"].tolist() == [[True, True, False, False], [True] * 4]


@pytest.mark.parametrize("name", NAMES)
def test_a_dataset_with_it_follows_the_contract(dataset, name):
    """Any number of workers gives the same, among others."""
    warp = dict(type="RandomWarp", size=(48, 48))
    check_dataset(
        dict(
            type="LabelImageDataset",
            data_root=dataset().data_root,
            nuclei_dir="nuclei",
            pipeline=[*LOAD, dict(type=name, prob=1.0), warp, dict(type="PackCellInputs")],
        )
    )


@pytest.mark.parametrize("name", NAMES)
def test_prob_and_where_it_cannot_work(dataset, name):
    before, after = dataset()[0], dataset(dict(type=name, prob=0))[0]
    assert np.array_equal(before["img"], after["img"]) and len(after["gt_layers"]) == 4
    with pytest.raises(CellMMError, match=f"{name} needs results"):
        TRANSFORMS.build(dict(type=name, prob=1.0))(generated.results())
    with pytest.raises(CellMMError, match=f"{name} comes after ReferencePoints, whose gt_points"):
        dataset(dict(type="ReferencePoints"), dict(type=name))[0]
    with pytest.raises(ValueError, match="prob must be from 0 to 1, got 2"):
        TRANSFORMS.build(dict(type=name, prob=2))


def test_arguments_out_of_range():
    for config, text in (
        (dict(type="Mosaic", center_ratio_range=(0.7, 0.2)), "center_ratio_range must be"),
        (dict(type="CutMix", alpha=0), "CutMix: alpha must be above 0, got 0"),
        (dict(type="MixUp", alpha=-1), "MixUp: alpha must be above 0, got -1"),
    ):
        with pytest.raises(ValueError, match=text):
            TRANSFORMS.build(config)
