"""The steps of a pipeline, from files to what the model takes."""

from cellmm.datasets.transforms.albumentations import Albumentations
from cellmm.datasets.transforms.auxiliary_maps import AuxiliaryMaps
from cellmm.datasets.transforms.boundary_targets import BoundaryTargets
from cellmm.datasets.transforms.contract import TransformContract
from cellmm.datasets.transforms.copy_paste import CopyPaste
from cellmm.datasets.transforms.crop_and_pad import CropRegion, MirrorPad, PadTo, Rescale, ResizeTo
from cellmm.datasets.transforms.diameter import RescaleToDiameter
from cellmm.datasets.transforms.disk_targets import DiskTargets
from cellmm.datasets.transforms.intensity import RandomIntensity
from cellmm.datasets.transforms.limited_crop import LimitedCrop
from cellmm.datasets.transforms.load_nuclei import LoadNuclei
from cellmm.datasets.transforms.loading import LoadCells, LoadImage
from cellmm.datasets.transforms.mixed_images import CutMix, MixUp, Mosaic
from cellmm.datasets.transforms.mmdet import (
    CenterCrop,
    LoadAnnotations,
    LoadImageFromFile,
    PackDetInputs,
    Pad,
    PhotoMetricDistortion,
    RandomCrop,
    RandomFlip,
    RandomResize,
    Resize,
)
from cellmm.datasets.transforms.normalize import Normalize
from cellmm.datasets.transforms.pack_image_pair import PackImagePair
from cellmm.datasets.transforms.packing import PackCellInputs
from cellmm.datasets.transforms.pixel_size import RescaleToPixelSize
from cellmm.datasets.transforms.pixel_weights import PixelWeights
from cellmm.datasets.transforms.proximity_map import ProximityMap
from cellmm.datasets.transforms.random_warp import RandomWarp
from cellmm.datasets.transforms.reference_points import ReferencePoints
from cellmm.datasets.transforms.sampling_density import SamplingDensity
from cellmm.datasets.transforms.semantic_targets import SemanticTargets

__all__ = [
    "Albumentations",
    "AuxiliaryMaps",
    "BoundaryTargets",
    "CenterCrop",
    "CopyPaste",
    "CropRegion",
    "CutMix",
    "DiskTargets",
    "LimitedCrop",
    "LoadAnnotations",
    "LoadCells",
    "LoadImage",
    "LoadImageFromFile",
    "LoadNuclei",
    "MirrorPad",
    "MixUp",
    "Mosaic",
    "Normalize",
    "PackCellInputs",
    "PackDetInputs",
    "PackImagePair",
    "Pad",
    "PadTo",
    "PhotoMetricDistortion",
    "PixelWeights",
    "ProximityMap",
    "RandomCrop",
    "RandomFlip",
    "RandomIntensity",
    "RandomResize",
    "RandomWarp",
    "ReferencePoints",
    "Rescale",
    "RescaleToDiameter",
    "RescaleToPixelSize",
    "Resize",
    "ResizeTo",
    "SamplingDensity",
    "SemanticTargets",
    "TransformContract",
]
