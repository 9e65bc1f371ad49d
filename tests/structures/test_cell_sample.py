import torch
from mmengine.structures import InstanceData

from cellmm.structures import CellSample


def sample_of(layers, num):
    sample = CellSample()
    sample.gt_layers = torch.tensor(layers, dtype=torch.int32)
    sample.gt_instances = InstanceData(labels=torch.zeros(num, dtype=torch.int64))
    return sample


def test_gt_masks_by_hand():
    # Two cells that share the pixel (0, 1), the second on the second layer.
    sample = sample_of([[[1, 1, 0], [1, 0, 0]], [[0, 2, 2], [0, 0, 0]]], 2)
    masks = sample.gt_masks()
    assert masks.tolist() == [[[1, 1, 0], [1, 0, 0]], [[0, 1, 1], [0, 0, 0]]]
    assert sample.gt_masks(shape=(3, 4)).shape == (2, 3, 4)
    assert sample.gt_masks(shape=(3, 4)).sum() == masks.sum()
    # Blocks of 2x2; the second column of blocks has only one column of pixels.
    assert sample.gt_masks(stride=2).tolist() == [[[0.75, 0.0]], [[0.25, 0.5]]]


def test_gt_masks_of_an_empty_image():
    assert sample_of([[[0, 0], [0, 0]]], 0).gt_masks(stride=2, shape=(2, 2)).shape == (0, 2, 2)
