import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData

from cellmm.structures import CellSample
from cellmm.visualization.contact_sheet import PANEL, draw_contact_sheet


def item(channels=2, size=(64, 80), cells=2, **targets):
    layers = torch.zeros((max(cells, 1), *size), dtype=torch.int32)
    for i in range(cells):
        layers[i, 10 + 8 * i : 30 + 8 * i, 20:50] = i + 1
    sample = CellSample(metainfo=dict(img_path="folder/name.tif"))
    sample.gt_layers, sample.gt_instances = layers, InstanceData(labels=torch.zeros(cells, dtype=torch.long))
    for key, value in targets.items():
        setattr(sample, key, value)
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 4000, (channels, *size)).astype(np.uint16))
    return dict(inputs=image, data_samples=sample)


def columns(sheet) -> int:
    return round(sheet.shape[1] / (PANEL + 6))


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 8])
def test_an_image_of_any_number_of_channels_beside_its_cells(channels):
    sheet = draw_contact_sheet([item(channels), item(channels)])
    assert sheet.dtype == np.uint8 and columns(sheet) == 2
    plain, cells = sheet[60:250, :PANEL], sheet[60:250, PANEL + 6 : 2 * PANEL + 6]
    assert (plain != cells).any()


def test_a_panel_for_each_target():
    disks = torch.zeros((32, 40), dtype=torch.int32)
    disks[8:12, 14:18] = 2
    maps = BaseDataElement(cytoplasm=torch.ones(64, 80, dtype=torch.uint8), overlap=torch.zeros(64, 80))
    whole = item(
        gt_points=torch.tensor([[20.0, 35.0], [torch.nan, torch.nan]]),
        gt_disks=disks,
        gt_disk_weight=torch.ones(32, 40),
        gt_semantic=maps,
        gt_proximity=torch.rand(64, 80),
        ignore=torch.ones(64, 80, dtype=torch.bool),
    )
    sheet = draw_contact_sheet([whole, item()])  # a sample may lack what another one has
    assert columns(sheet) == 9
    disk_panel = sheet[22 + 22 : 22 + 22 + 256, 3 * (PANEL + 6) : 3 * (PANEL + 6) + PANEL]
    drawn = disk_panel.any(-1)
    assert drawn.mean() == pytest.approx(16 / (32 * 40), rel=0.01)


def test_samples_without_cells_and_of_one_pixel():
    assert draw_contact_sheet([item(cells=0), item(size=(1, 1), cells=0)]).size


def test_large_images_are_shrunk():
    sheet = draw_contact_sheet([item(size=(1500, 900))])
    assert sheet.shape[0] == 22 + 22 + PANEL


def test_what_cannot_be_shown():
    broken = item()
    broken["inputs"] = torch.full((1, 64, 80), torch.nan)
    with pytest.raises(ValueError, match="NaN"):
        draw_contact_sheet([broken])
    with pytest.raises(ValueError, match="at least 1"):
        draw_contact_sheet([])
