"""The second plug-in: a ResNet, centre offsets with targets of their own, outlines of Fiji, and AJI."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cellmm import testing
from cellmm.commands import cli
from cellmm.errors import CellMMError
from cellmm.structures import LabelLayers, rle

EXAMPLE = Path(__file__).parents[1] / "examples" / "cellmm_offsets"
TINY = """
_base_ = ["{base}"]
loader = dict(batch_size=2, num_workers=0, persistent_workers=False)
train_dataloader = dict(loader, dataset=dict(data_root="{data}/train"))
val_dataloader = dict(loader, dataset=dict(data_root="{data}/val"))
test_dataloader = dict(loader, dataset=dict(data_root="{data}/test"))
train_cfg = dict(max_iters=2, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=1))
"""


@pytest.fixture(scope="module")
def example():
    """The example's module; ``custom_imports`` of its config finds it, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLE))
        yield importlib.import_module("cellmm_offsets")


@pytest.fixture(scope="module")
def data_script(load_tool):
    return load_tool("../examples/simulate_data")


@pytest.fixture(scope="module")
def fiji(tiny_data, data_script, tmp_path_factory) -> Path:
    """The tiny images with a RoiSet.zip each."""
    folder = tmp_path_factory.mktemp("fiji")
    data_script.write_fiji(tiny_data, folder)
    return folder


def test_all_of_it_in_one_config_trains_and_tests(example, fiji, tmp_path):
    config, work = tmp_path / "tiny.py", tmp_path / "work"
    config.write_text(TINY.format(base=EXAMPLE / "configs" / "offsets.py", data=fiji))
    assert cli.main(["train", str(config), "--work-dir", str(work)]) == 0
    assert cli.main(["test", str(config), str(work / "iter_2.pth"), "--work-dir", str(work)]) == 0
    weights = torch.load(work / "iter_2.pth", weights_only=True)["state_dict"]
    assert weights["encoder.levels.0.0.weight"].shape == (64, 2, 7, 7)  # the images have two channels
    assert {"AJI", "AP"} <= set(json.loads((work / "metrics.json").read_text()))


def test_the_data_script_replaces_nothing(data_script, tmp_path):
    (tmp_path / "fiji").mkdir()
    with pytest.raises(SystemExit, match="fiji exists; remove or rename it first"):
        data_script.main(tmp_path)
    assert not (tmp_path / "wells").exists()


def test_it_follows_the_contracts(example, fiji):
    steps = [dict(type="OffsetTargets"), dict(type="PackCellInputs", keys=("gt_offsets",))]
    testing.check_encoder(dict(type="FourMapResNet"))
    testing.check_transform(dict(type="OffsetTargets"))
    testing.check_head(dict(type="OffsetHead"), steps=steps)
    testing.check_dataset(dict(type="FijiDataset", data_root=str(fiji / "train")))
    testing.check_metric(dict(type="AJIMetric"))


def test_it_is_short():
    """Lines with something on them, the config, comments and docstrings included."""
    lines = [line for path in EXAMPLE.rglob("*.py") for line in path.read_text().splitlines() if line.strip()]
    assert len(lines) < 150


def test_outlines_by_hand(example, data_script, tmp_path):
    roi = data_script.roi
    square = [3.0, 2, 9, 2, 9, 7, 3, 7]
    assert example.outline(roi(square), tmp_path) == square
    with pytest.raises(CellMMError, match="draw it with the polygon"):
        example.outline(roi(square, kind=2), tmp_path)  # an oval
    (tmp_path / "a.tif").touch()
    with pytest.raises(CellMMError, match=r"a\.tif: no outlines; .*a\.zip"):
        example.read_rois(tmp_path / "a.tif")
    (tmp_path / "a.roi").write_bytes(roi(square))
    assert example.read_rois(tmp_path / "a.tif") == [dict(segmentation=[square])]


def test_offsets_and_groups_by_hand(example):
    """Two cells of 3 x 3 pixels: what the targets say is what the head groups."""
    masks = np.zeros((2, 12, 12), bool)
    masks[0, 1:4, 1:4], masks[1, 6:9, 5:8] = True, True
    cells = LabelLayers.from_masks(masks)
    targets = example.OffsetTargets()(dict(gt_layers=cells))["gt_offsets"]
    assert targets[:, 1, 1].tolist() == [1, 1, 1] and targets[:, 8, 5].tolist() == [-1, 1, 1]
    assert targets[:, 0, 0].tolist() == [0, 0, 0]
    head = example.OffsetHead(in_channels=(4,), stride=1, reach=2)
    maps = torch.from_numpy(targets) / torch.tensor([2.0, 2, 1])[:, None, None]  # in units of reach
    maps[2] = 20 * maps[2] - 10
    found = head.group(maps)
    assert sorted(map(tuple, found.boxes().tolist())) == [(1, 1, 4, 4), (6, 5, 9, 8)]
    assert len(head.group(torch.full((3, 12, 12), -5.0))) == 0  # no cell


def test_aji_by_hand(example):
    """Kumar et al.: shared pixels of the best pairs / their unions and the masks that are left over."""
    masks = np.zeros((4, 10, 10), bool)
    masks[0, :4, :4] = masks[1, :4, 2:6] = masks[2, 8:, 8:] = masks[3, 6:8, :3] = True
    first, shifted, alone, missed = rle.encode(masks)
    aji = example.aggregated_jaccard
    assert aji([first], [first]) == 1 and np.isnan(aji([], []))
    assert aji([shifted], [first]) == pytest.approx(8 / 24)
    assert aji([shifted, alone], [first, missed]) == pytest.approx(8 / (24 + 4 + 6))
    assert aji([], [first]) == aji([first], []) == 0
