"""GlaSDataset: the challenge's layout and that of two folders, its splits, Grade.csv, errors."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from cellmm.datasets import GlaSDataset
from cellmm.datasets.transforms import LoadCells, LoadImage
from cellmm.errors import CellMMError

PIPELINE = [LoadImage(color="rgb"), LoadCells(keep_original=True)]


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


@pytest.fixture
def glands(tmp_path):
    """Ten images of four patients to train, three and two to test, as the challenge has them."""
    rng = np.random.default_rng(0)
    for name in (
        *(f"train_{i}" for i in range(1, 11)),
        "testA_1",
        "testA_2",
        "testA_10",
        "testB_1",
        "testB_2",
    ):
        label = np.zeros((12, 16), np.uint8)
        label[1:4, 2:9], label[6:11, 3:5] = 1, 2
        write(tmp_path / f"{name}.bmp", rng.integers(0, 255, (12, 16, 3), np.uint8))
        write(tmp_path / f"{name}_anno.bmp", label)
    lines = ["name, patient ID, grade (GlaS), grade (Sirinukunwattana et al. 2015)"]
    lines += [f"train_{i}, {(i + 2) // 3}, benign, healthy" for i in range(1, 11)]
    (tmp_path / "Grade.csv").write_text("\r\n".join(lines))
    return tmp_path


def names(root, split):
    dataset = GlaSDataset(data_root=root, split=split)
    assert [dataset.get_data_info(i)["img_id"] for i in range(len(dataset))] == list(
        range(1, len(dataset) + 1)
    )
    return [Path(dataset.get_data_info(i)["img_path"]).stem for i in range(len(dataset))]


def test_the_layout_of_the_challenge(glands):
    dataset = GlaSDataset(data_root=glands, split="testA", pipeline=PIPELINE)
    results = dataset[0]
    assert results["img"].shape == (12, 16, 3) and dataset.metainfo["classes"] == ("gland",)
    assert results["gt_layers"].areas().tolist() == [21, 10]
    assert names(glands, "testA") == ["testA_1", "testA_10", "testA_2"]
    assert names(glands, "testB") == ["testB_1", "testB_2"]
    assert names(glands, "test") == [*names(glands, "testA"), *names(glands, "testB")]


def test_no_patient_trains_and_validates(glands):
    train, val = names(glands, "train"), names(glands, "val")
    assert len(val) in (1, 3) and sorted(train + val) == names(glands, "trainval")
    patients = [{(int(name.split("_")[1]) + 2) // 3 for name in split} for split in (train, val)]
    assert patients[0] and patients[1] and not patients[0] & patients[1]


def test_two_folders_without_grades(glands, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("cellmm.datasets.glas.print_log", lambda text, **_: said.append(text))
    root = tmp_path / "folders"
    for path in glands.glob("*.bmp"):
        folder, name = ("labels", path.stem[:-5]) if path.stem.endswith("_anno") else ("images", path.stem)
        write(root / folder / f"{name}.png", cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    val = names(root, "val")
    assert len(val) == 2 and sorted(val + names(root, "train")) == names(glands, "trainval")
    assert len(said) == 2 and "Grade.csv is absent" in said[0] and "copy" in said[0]
    assert names(root, "test") == names(glands, "test") and len(said) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name, grade\ntrain_1, benign", "has the columns name, grade: .*copy"),
        ("name, patient ID\ntrain_1, 1", r"no line for 9: train_10.* of 10 images: copy"),
        (b"\xff\xfe\x00", "cannot be read .*copy"),
    ],
)
def test_grades_that_cannot_be_used(text, message, glands):
    (glands / "Grade.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(CellMMError, match=f"Grade.csv.*{message}"):
        GlaSDataset(data_root=glands)
    assert len(GlaSDataset(data_root=glands, split="trainval")) == 10


def test_splits_that_do_not_exist(glands):
    with pytest.raises(ValueError, match="split is 'testC'; choose among train, val"):
        GlaSDataset(data_root=glands, split="testC")
    lines = ["name, patient ID", *(f"train_{i}, 1" for i in range(1, 11))]
    (glands / "Grade.csv").write_text("\n".join(lines))
    assert len(GlaSDataset(data_root=glands, split="train")) == 10
    with pytest.raises(CellMMError, match="leave none for 'val': take split='trainval'"):
        GlaSDataset(data_root=glands, split="val")


@pytest.mark.parametrize(
    ("split", "images"), [("train", 42), ("val", 8), ("testA", 24), ("testB", 16), ("test", 40)]
)
def test_on_real_glands(split, images, real_data):
    assert len(names(real_data("glas"), split)) == images
