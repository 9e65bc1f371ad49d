import cv2
import numpy as np
import pytest
import tifffile

from cellmm.io.coco_results import write_coco
from cellmm.structures import rle


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("analysis/browse_dataset")


@pytest.fixture
def config(tmp_path):
    """Three images of two planes with two overlapping cells each."""
    masks = np.zeros((2, 24, 32), bool)
    masks[0, 4:14, 4:20] = True
    masks[1, 8:18, 12:28] = True
    images, annotations = [], []
    (tmp_path / "images").mkdir()
    for i in range(1, 4):
        planes = np.random.default_rng(i).integers(0, 900, (2, 24, 32)).astype(np.uint16)
        tifffile.imwrite(tmp_path / "images" / f"{i}.tif", planes)
        images.append(dict(id=i, file_name=f"{i}.tif", height=24, width=32))
        for mask in rle.encode(masks):
            annotations.append(
                dict(id=len(annotations) + 1, image_id=i, category_id=1, segmentation=mask, iscrowd=0)
            )
    write_coco(
        tmp_path / "cells.json",
        dict(images=images, annotations=annotations, categories=[dict(id=1, name="cell")]),
    )
    (tmp_path / "config.py").write_text(f"""
default_scope = 'cellmm'
randomness = dict(seed=3)
dataset = dict(
    type='CellCocoDataset', data_root={str(tmp_path)!r}, ann_file='cells.json', img_dir='images',
    pipeline=[
        dict(type='LoadImage'), dict(type='LoadCells'),
        dict(type='Albumentations', transforms=[dict(type='HorizontalFlip', p=0.5)]),
        dict(type='PackCellInputs'),
    ],
)
train_dataloader = dict(dataset=dataset, sampler=dict(type='DrawSampler', shuffle=True))
test_dataloader = dict(dataset=dataset, sampler=dict(type='DefaultSampler', shuffle=False))
""")
    return tmp_path / "config.py"


def test_draws_of_training_and_one_page(tool, config, tmp_path, capsys):
    out = tmp_path / "out"
    assert tool.main([str(config), "--out", str(out), "--num", "5"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(out / "page.png")
    pictures = sorted(out.glob("0*.png"))
    assert [path.name[:3] for path in pictures] == ["000", "001", "002", "003", "004"]
    first_pass = sorted(path.stem[4:] for path in pictures[:3])
    assert first_pass == ["1", "2", "3"]  # each image once before any comes again
    row = cv2.imread(str(pictures[0]))
    assert row.shape == (22 + 24, 32 + 6 + 32, 3)
    assert (row[22:, :32] != row[22:, 38:]).any()
    assert cv2.imread(str(out / "page.png")).shape == (3 * 46 + 2 * 6, 2 * 70 + 6, 3)


def test_the_same_draws_every_time(tool, config, tmp_path):
    for name in ("a", "b"):
        tool.main([str(config), "--out", str(tmp_path / name), "--num", "3"])
    a, b = (sorted((tmp_path / name).iterdir()) for name in ("a", "b"))
    assert [path.name for path in a] == [path.name for path in b]
    assert all(first.read_bytes() == second.read_bytes() for first, second in zip(a, b, strict=True))


def test_of_the_test_set_all_images_in_order(tool, config, tmp_path):
    assert tool.main([str(config), "--split", "test", "--out", str(tmp_path / "out"), "--num", "9"]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "000_1.png",
        "001_2.png",
        "002_3.png",
        "page.png",
    ]


def test_errors_are_one_line(tool, config, tmp_path, capsys):
    assert tool.main([str(config), "--split", "val"]) == 1
    assert tool.main([str(tmp_path / "absent.py")]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert "config.py: no val_dataloader" in first and "absent.py: no such config" in second
