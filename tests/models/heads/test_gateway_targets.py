"""The truth under the feature map and under its windows, by hand."""

import numpy as np
import pytest
import torch

from cellmm.datasets.transforms.disk_targets import DiskTargets
from cellmm.datasets.transforms.packing import PackCellInputs
from cellmm.datasets.transforms.reference_points import ReferencePoints
from cellmm.models.heads.gateway_targets import ImageTargets, WindowTargets, crop, own_pixels
from cellmm.models.layers.pixel_grid import PixelGrid
from cellmm.structures import LabelLayers


def sample(stride=1):
    """An image of 24 x 32 pixels; cell 1 covers rows 4 to 11 and columns 6 to 15, cell 2 the rest of them."""
    layers = np.zeros((1, 24, 32), np.int32)
    layers[0, 4:12, 6:16], layers[0, 4:12, 16:28] = 1, 2
    results = dict(
        img=np.zeros((24, 32, 1), np.float32),
        img_path="wells/a1.tif",
        gt_layers=LabelLayers(layers),
        gt_labels=np.array([0, 1]),
        gt_ignore=np.zeros(2, bool),
    )
    for transform in (ReferencePoints(kind="inside", stride=stride, step=1), DiskTargets(radius=2)):
        results = transform(results)
    return PackCellInputs()(results)["data_samples"]


@pytest.mark.parametrize(("stride", "origin"), [(1, 0), (2, 0), (1, 5), (2, 4)])
def test_points_disks_and_windows_lie_on_the_same_grid(stride, origin):
    """Pixel k of the map holds pixels origin + stride k to origin + stride k + stride - 1 of the image."""
    given = sample(stride)
    shape = ((24 - 2 * origin) // stride, (32 - 2 * origin) // stride)
    targets = ImageTargets(given, PixelGrid(stride, origin), shape, num_classes=2)
    assert targets.disks.shape == targets.classes.shape == targets.weight.shape == shape
    assert targets.ids.tolist() == [1, 2]
    for number, (row, col) in enumerate(targets.points.round().long().tolist(), start=1):
        assert targets.disks[row, col] == number == targets.classes[row, col]
        inside = given.gt_points[number - 1].round().long().tolist()
        assert [origin + stride * row, origin + stride * col] == [
            pixel - (pixel - origin) % stride for pixel in inside
        ]
    window = targets.window((1, 2), (4, 6))
    top, left = origin + stride, origin + 2 * stride
    expected = given.gt_layers[:, top : top + 4 * stride, left : left + 6 * stride]
    assert torch.equal(window.layers, expected) and window.learned.shape == (4, 6)
    assert targets.own_pixels().shape == shape


def test_ignored_pixels_are_not_learned():
    given = sample(2)
    given.ignore = torch.zeros(24, 32, dtype=torch.bool)
    given.ignore[4, 9] = True
    window = ImageTargets(given, PixelGrid(2), (12, 16), num_classes=2).window((0, 0), (12, 16))
    assert window.learned[2, 4] == 0 and window.learned.sum() == 12 * 16 - 1
    assert window.layers[0, 4, 9] == 0 and window.layers[0, 4, 8] == 1


def test_points_on_the_grid():
    """Block 3 of stride 2 is rows 6 and 7: its middle, 6.5, is at 3; with 4 pixels before the map at 1."""
    given = sample(2)
    given.gt_points = torch.tensor([[6.5, 0.0], [7.0, 1.0]])
    points = [ImageTargets(given, PixelGrid(2, first), (8, 8), 2).points for first in (0, 4)]
    torch.testing.assert_close(points[0], torch.tensor([[3.0, -0.25], [3.25, 0.25]]))
    torch.testing.assert_close(points[1], points[0] - 2)


@pytest.mark.parametrize(
    ("first", "size", "rows"),
    [
        ((0, 0), (2, 3), [[1, 2, 3], [4, 5, 6]]),
        ((-1, 1), (2, 3), [[9, 9, 9], [2, 3, 9]]),
        ((1, 2), (2, 2), [[6, 9], [9, 9]]),
        ((2, 0), (1, 2), [[9, 9]]),
        ((0, -5), (1, 3), [[9, 9, 9]]),
    ],
)
def test_crop(first, size, rows):
    x = torch.tensor([[1, 2, 3], [4, 5, 6]])
    assert crop(x, first, size, fill=9).tolist() == rows
    assert crop(x[None], first, size, fill=9).tolist() == [rows]


def layers():
    """Cell 1 on rows 0 and 1, cell 2 on columns 2 and 3 of the other layer, cell 3 in a corner."""
    out = torch.zeros(2, 4, 6, dtype=torch.int32)
    out[0, :2] = 1
    out[1, :, 2:4] = 2
    out[0, 3, 5] = 3
    return out


def window(stride):
    """All of ``layers``, learned everywhere."""
    return WindowTargets(layers(), torch.ones(4 // stride, 6 // stride), stride)


def test_masks_and_own_pixels():
    masks = window(1).cells(torch.tensor([1, 2, 3, 4]))
    assert masks.sum((1, 2)).tolist() == [12, 8, 1, 0]
    assert masks[0, 0, 2] == masks[1, 0, 2] == 1  # both, where they cross
    shares = window(2).cells(torch.tensor([3, 2]))
    assert shares.tolist() == [[[0, 0, 0], [0, 0, 0.25]], [[0, 1, 0], [0, 1, 0]]]
    assert window(2).cells(torch.zeros(0, dtype=torch.long)).shape == (0, 2, 3)
    union = window(2).union(torch.tensor([3, 2]))
    assert union.tolist() == [[0, 1, 0], [0, 1, 0.25]] and not window(1).union(torch.tensor([4])).any()
    own = own_pixels(layers())
    assert own[0].tolist() == [1, 1, 0, 0, 1, 1] and own[3].tolist() == [0, 0, 2, 2, 0, 3]


def test_best_iou():
    """Of the mask's 8 pixels 6 are cell 1's twelve: 6 / 14; columns 2 and 3 are cell 2: 8 / 8."""
    mask = torch.zeros(4, 6, dtype=torch.bool)
    mask[0, :] = mask[2, :2] = True
    assert window(1).best_iou(mask).item() == pytest.approx(6 / 14)
    mask = torch.zeros(4, 6, dtype=torch.bool)
    mask[:, 2:4] = True
    assert window(1).best_iou(mask) == 1
    assert window(1).best_iou(torch.zeros_like(mask)) == 0
    assert window(2).best_iou(torch.ones(2, 3, dtype=torch.bool)).item() == pytest.approx(3 / 6)
    empty = WindowTargets(torch.zeros(1, 4, 6, dtype=torch.int32), torch.ones(4, 6), 1)
    assert empty.best_iou(mask) == 0
    half = window(1)
    half.learned[:, :3] = 0  # of the mask's 8 pixels 4 count
    assert half.best_iou(mask).item() == pytest.approx(4 / 8)
