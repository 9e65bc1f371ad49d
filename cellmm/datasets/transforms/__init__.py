"""From files to what the model takes; each transform states the keys that it reads and writes."""

from cellmm.datasets.transforms.albumentations import Albumentations
from cellmm.datasets.transforms.contract import TransformContract
from cellmm.datasets.transforms.crop_and_pad import CropRegion, MirrorPad, PadTo, Rescale, ResizeTo
from cellmm.datasets.transforms.disk_targets import DiskTargets
from cellmm.datasets.transforms.intensity import RandomIntensity
from cellmm.datasets.transforms.load_nuclei import LoadNuclei
from cellmm.datasets.transforms.loading import LoadCells, LoadImage
from cellmm.datasets.transforms.normalize import Normalize
from cellmm.datasets.transforms.packing import PackCellInputs
from cellmm.datasets.transforms.proximity_map import ProximityMap
from cellmm.datasets.transforms.random_warp import RandomWarp
from cellmm.datasets.transforms.reference_points import ReferencePoints
from cellmm.datasets.transforms.sampling_density import SamplingDensity
from cellmm.datasets.transforms.semantic_targets import SemanticTargets

__all__ = [
    "Albumentations",
    "CropRegion",
    "DiskTargets",
    "LoadCells",
    "LoadImage",
    "LoadNuclei",
    "MirrorPad",
    "Normalize",
    "PackCellInputs",
    "PadTo",
    "ProximityMap",
    "RandomIntensity",
    "RandomWarp",
    "ReferencePoints",
    "Rescale",
    "ResizeTo",
    "SamplingDensity",
    "SemanticTargets",
    "TransformContract",
]
