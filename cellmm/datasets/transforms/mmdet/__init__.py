"""Transforms with the names and arguments of MMDetection's, which move the cells as they move the image.

Arguments that cannot mean anything here are refused with what to write instead;
docs/how_to/from_mmdetection.md compares them.
"""

from cellmm.datasets.transforms.mmdet.crop_and_pad import CenterCrop, Pad, RandomCrop
from cellmm.datasets.transforms.mmdet.flip import RandomFlip
from cellmm.datasets.transforms.mmdet.loading import LoadAnnotations, LoadImageFromFile
from cellmm.datasets.transforms.mmdet.packing import PackDetInputs
from cellmm.datasets.transforms.mmdet.photometric import PhotoMetricDistortion
from cellmm.datasets.transforms.mmdet.resize import RandomResize, Resize

__all__ = [
    "CenterCrop",
    "LoadAnnotations",
    "LoadImageFromFile",
    "PackDetInputs",
    "Pad",
    "PhotoMetricDistortion",
    "RandomCrop",
    "RandomFlip",
    "RandomResize",
    "Resize",
]
