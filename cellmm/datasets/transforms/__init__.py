"""From files to what the model takes; each transform states the keys that it reads and writes."""

from cellmm.datasets.transforms.albumentations import Albumentations
from cellmm.datasets.transforms.framing import CropRegion, PadTo, ResizeTo
from cellmm.datasets.transforms.intensity import RandomIntensity
from cellmm.datasets.transforms.loading import LoadCells, LoadImage
from cellmm.datasets.transforms.normalize import Normalize
from cellmm.datasets.transforms.packing import PackCellInputs

__all__ = [
    "Albumentations",
    "CropRegion",
    "LoadCells",
    "LoadImage",
    "Normalize",
    "PackCellInputs",
    "PadTo",
    "RandomIntensity",
    "ResizeTo",
]
