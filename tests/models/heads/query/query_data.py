"""Small heads, maps and cells that the tests of queries share."""

import torch
from mmengine.structures import InstanceData

from cellmm.models.feature_spec import feature_pyramid
from cellmm.registry import MODELS
from cellmm.structures import CellSample

CHANNELS = (4, 6, 8, 10)  # at strides 2, 4, 8, 16
SMALL = dict(dim=16, num_heads=2, feedforward=16, strides=(8, 4), layers_per_level=1, num_queries=6)


def build(**options):
    """A head with few weights, the same ones each time."""
    torch.manual_seed(0)
    return MODELS.build(
        dict(type="QueryHead", in_specs=feature_pyramid(CHANNELS, stride=2)) | SMALL | options
    )


def features(batch=2, size=(32, 48)):
    """Maps of images of ``size``, finest first."""
    generator = torch.Generator().manual_seed(1)
    return [
        torch.rand(batch, c, size[0] // 2 ** (i + 1), size[1] // 2 ** (i + 1), generator=generator)
        for i, c in enumerate(CHANNELS)
    ]


def sample(num_cells, size=(32, 48), num_classes=1):
    """Cells of 8 x 10 pixels on two layers, each of which shares two columns with the next one in its row."""
    layers = torch.zeros(2, *size, dtype=torch.int32)
    for i in range(num_cells):
        top, left = 8 * (i // 5), 8 * (i % 5)
        layers[i % 2, top : top + 8, left : left + 10] = i + 1
    result = CellSample(metainfo=dict(img_path="a.tif", img_shape=size))
    result.gt_layers = layers
    result.gt_instances = InstanceData(labels=torch.arange(num_cells) % num_classes)
    return result
