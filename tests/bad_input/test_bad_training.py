"""`cellmm train` says in one line what of its data cannot be used, before training where it can be known."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cellmm.commands import cli
from cellmm.structures import rle

H, W = 32, 32
ROOT = Path(__file__).parents[2]
CONFIG = """
_base_ = ["{root}/configs/sparseseunet/brightfield_quickstart.py"]
loader = dict(
    num_workers={workers}, persistent_workers=False, dataset=dict(data_root="{data}", simulation=None)
)
train_dataloader = dict(batch_size=2, **loader)
val_dataloader = loader
test_dataloader = loader
model = dict(
    encoder=dict(widths=(4, 4, 4), stem_stride=1),
    decoder=dict(widths=(4, 4)),
    heads=dict(
        instances=dict(
            _delete_=True, type="IAMHead", num_queries=16, feature_dim=8,
            instance_branch=dict(channels=4, depth=1), mask_branch=dict(channels=4, depth=1, mask_dim=4),
        )
    ),
)
optim_wrapper = dict(_delete_=True, type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-3))
param_scheduler = []
train_cfg = dict(max_iters=3, val_interval=3)
custom_hooks = []
"""


@pytest.fixture
def train(tmp_path, capfd):
    """``train(spoil)``: status, lines on stderr, and what was printed; ``spoil`` gets the training set."""
    cell = rle.encode_one(np.eye(H, W, dtype=np.uint8))
    for split in ("train", "val"):
        (tmp_path / "data" / split / "images").mkdir(parents=True)
        for i in (1, 2, 3):
            noise = np.random.default_rng(i).integers(0, 255, (2, H, W), np.uint8)
            tifffile.imwrite(tmp_path / "data" / split / f"images/{i}.tif", noise)
        coco = {
            "images": [{"id": i, "file_name": f"{i}.tif", "height": H, "width": W} for i in (1, 2, 3)],
            "annotations": [
                {"id": i, "image_id": i, "category_id": 1, "segmentation": cell} for i in (1, 2, 3)
            ],
            "categories": [{"id": 1, "name": "cell"}],
        }
        (tmp_path / "data" / split / "annotations.json").write_text(json.dumps(coco))

    def run(spoil, workers=0):
        spoil(tmp_path / "data" / "train")
        text = CONFIG.format(root=ROOT, data=tmp_path / "data", workers=workers)
        (tmp_path / "tiny.py").write_text(text)
        capfd.readouterr()
        status = cli.main(["train", str(tmp_path / "tiny.py"), "--work-dir", str(tmp_path / "work")])
        out, err = capfd.readouterr()
        lines = [line for line in err.splitlines() if line]
        return status, lines, out

    return run


def unannotate(folder: Path) -> None:
    coco = json.loads((folder / "annotations.json").read_text())
    coco["annotations"].pop()
    (folder / "annotations.json").write_text(json.dumps(coco))


def another_number_of_channels(folder: Path) -> None:
    for path in (folder / "images").iterdir():
        tifffile.imwrite(path, np.zeros((H, W), np.uint8))


KNOWN_BEFORE = {
    "json cut in half": (
        lambda folder: (folder / "annotations.json").write_bytes(
            (folder / "annotations.json").read_bytes()[:200]
        ),
        r"train/annotations\.json is not valid json",
    ),
    "image absent": (
        lambda folder: (folder / "images/3.tif").unlink(),
        r"absent, 1: .*images/3\.tif of 3; check",
    ),
    "image empty": (
        lambda folder: (folder / "images/3.tif").write_bytes(b""),
        r"0 bytes, 1: .*images/3\.tif; copy",
    ),
    "image not annotated": (unannotate, r"without annotation, 1: 3\.tif of 3; set allow_empty=True if"),
    "one channel": (another_number_of_channels, r"\.tif has 1 channels"),
}


@pytest.mark.parametrize("row", KNOWN_BEFORE)
def test_what_is_known_before_training(row, train, tmp_path, check_line):
    spoil, message = KNOWN_BEFORE[row]
    status, lines, out = train(spoil)
    assert status == 1 and len(lines) == 1
    check_line(lines[0], message)
    assert "Iter(train)" not in out and not list(tmp_path.rglob("*.pth"))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_cut_off_is_named_when_it_is_read(workers, train, tmp_path, check_line):
    def spoil(folder: Path) -> None:
        path = folder / "images/3.tif"
        path.write_bytes(path.read_bytes()[:900])

    status, lines, _ = train(spoil, workers)
    assert status == 1 and len(lines) == 1
    check_line(lines[0], r"images/3\.tif is cut off after 900 bytes: copy or export it again")
    assert [path.name for path in tmp_path.rglob(".*") if path.is_file()] in ([], [".lock"])


def test_images_of_two_sizes_are_trained_on_together(train, tmp_path):
    def spoil(folder: Path) -> None:
        coco = json.loads((folder / "annotations.json").read_text())
        coco["images"][0].update(height=17, width=41)
        coco["annotations"][0]["segmentation"] = rle.encode_one(np.eye(17, 41, dtype=np.uint8))
        (folder / "annotations.json").write_text(json.dumps(coco))
        tifffile.imwrite(folder / "images/1.tif", np.ones((2, 17, 41), np.float32))  # constant, too

    status, lines, _ = train(spoil)
    assert (status, lines) == (0, []) and (tmp_path / "work" / "iter_3.pth").is_file()
