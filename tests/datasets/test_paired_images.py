"""Pairs of images by their names, cropped alike and packed in [-1, 1]."""

import numpy as np
import pytest
import tifffile

from cellmm.datasets import LabelImageDataset, PairedImageDataset
from cellmm.datasets.transforms import PackImagePair
from cellmm.errors import CellMMError
from cellmm.simulation import SceneConfig
from cellmm.structures import to_counts

LOAD = dict(type="LoadImage")
PACK = dict(type="PackImagePair", inputs=1, white=65535)
SIZE = (20, 30)


def place(shape=SIZE):
    """An image in which each pixel says where it is."""
    return np.arange(np.prod(shape)).reshape(shape).astype(np.uint16)


@pytest.fixture
def root(tmp_path):
    """Phase 1000 above its place, two planes 2000 and 3000 above it, and a mask of the upper half."""
    for name in ("a", "day2/b"):
        for folder, image in dict(
            phase=place() + 1000,
            images=np.stack([place() + 2000, place() + 3000]),
            low=place() + 2000,
            masks=(np.indices(SIZE)[0] < 10).astype(np.uint8),
        ).items():
            path = tmp_path / folder / f"{name}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            options = dict(metadata={"axes": "CYX"}) if image.ndim == 3 else {}
            tifffile.imwrite(path, image, **options)
    return tmp_path


def test_pairs_come_by_their_names(root):
    dataset = PairedImageDataset(data_root=root)
    assert [
        [path.removeprefix(f"{root}/") for path in dataset.get_data_info(i)["img_path"]]
        for i in range(len(dataset))
    ] == [["phase/a.tif", "images/a.tif"], ["phase/day2/b.tif", "images/day2/b.tif"]]
    assert [dataset.get_data_info(i)["img_id"] for i in (0, 1)] == [1, 2]
    assert len(PairedImageDataset(data_root=root, pattern="b")) == 1


def test_crops_are_the_same_for_input_and_target_and_counts_come_back(root):
    crop = dict(type="RandomCrop", crop_size=(8, 8), allow_negative_crop=True)
    flip = dict(type="RandomFlip", prob=0.5, direction="horizontal")
    dataset = PairedImageDataset(data_root=root, pipeline=[LOAD, crop, flip, PACK])
    seen = set()
    for draw in range(8):
        packed = dataset[0, draw]
        sample = packed["data_samples"]
        phase, low, high = (
            to_counts(image.numpy(), sample.white).astype(int)
            for image in (*packed["inputs"], *sample.gt_image)
        )
        assert phase.shape == (8, 8) and sample.white == 65535
        assert np.array_equal(phase - 1000, low - 2000) and np.array_equal(low + 1000, high)
        assert set((phase - 1000).ravel()) <= set(place().ravel())
        seen.add(int(phase[0, 0]))
        again = dataset[0, draw]
        assert (again["inputs"] == packed["inputs"]).all()
    assert len(seen) > 4


def test_a_mask_becomes_the_input(root):
    steps = [
        LOAD,
        dict(type="LoadCells"),
        dict(type="RandomCrop", crop_size=(30, 12)),
        dict(PACK, inputs="mask"),
    ]
    dataset = LabelImageDataset(data_root=root, label_dir="masks", pipeline=steps)
    packed = dataset[0, 3]
    low = to_counts(packed["data_samples"].gt_image[0].numpy()).astype(int) - 2000
    expected = np.where(low // SIZE[1] < 10, 1, -1)
    assert packed["data_samples"].gt_image.shape == (2, 12, 30)
    assert np.array_equal(packed["inputs"][0].numpy(), expected) and {-1, 1} == set(expected.ravel())


def test_several_files_of_a_target(root):
    for name in ("a_low", "a_high"):
        (root / "planes").mkdir(exist_ok=True)
        tifffile.imwrite(root / "planes" / f"{name}.tif", place())
    dataset = PairedImageDataset(
        data_root=root,
        target_dir="planes",
        target_suffix=["_low.tif", "_high.tif"],
        pattern="a",
        pipeline=[LOAD, PACK],
    )
    assert [path.rpartition("/")[2] for path in dataset.get_data_info(0)["img_path"]] == [
        "a.tif",
        "a_low.tif",
        "a_high.tif",
    ]
    assert dataset[0]["data_samples"].gt_image.shape == (2, *SIZE)


def test_a_missing_partner_is_named(root):
    (root / "images" / "a.tif").unlink()
    with pytest.raises(CellMMError, match=r"images: no partner for 1: a of 2 inputs and 1 targets; add"):
        PairedImageDataset(data_root=root)


def test_one_folder_needs_suffixes(root):
    with pytest.raises(CellMMError, match="tell them apart by input_suffix and target_suffix"):
        PairedImageDataset(data_root=root, target_dir="phase")


def test_simulated_pairs(tmp_path):
    scene = SceneConfig(size=(64, 64), pixel=0.5, cells=(2, 3), min_visible=20)
    dataset = PairedImageDataset(
        data_root=tmp_path / "set",
        input_dir="train/phase",
        target_dir="train/images",
        simulation=dict(splits=dict(train=1), scene=scene),
        pipeline=[LOAD, dict(PACK, white=4095)],
    )
    packed = dataset[0]
    assert packed["inputs"].shape == (1, 64, 64) and packed["data_samples"].gt_image.shape == (2, 64, 64)
    assert packed["inputs"].min() > -1 and packed["inputs"].abs().max() <= 1


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([LOAD, dict(PACK, inputs=3)], "none is left for the target"),
        ([LOAD, dict(PACK, white=2000)], r"a\.tif.*white is 2000"),
        ([LOAD, dict(PACK, inputs="mask")], "LoadCells"),
        ([LOAD, dict(type="Normalize"), PACK], "white"),
    ],
)
def test_what_cannot_be_packed_names_the_file(root, steps, message):
    with pytest.raises(CellMMError, match=message):
        PairedImageDataset(data_root=root, pipeline=steps)[0]


@pytest.mark.parametrize("wrong", [dict(inputs=0), dict(white=0), dict(white=(1, 2, 3))])
def test_arguments_out_of_range(wrong):
    with pytest.raises(ValueError):
        PackImagePair(**wrong)
