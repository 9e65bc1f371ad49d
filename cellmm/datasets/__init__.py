"""Datasets and the samplers that draw from them."""

from cellmm.datasets.base import CellDataset
from cellmm.datasets.bbbc010 import BBBC010Dataset
from cellmm.datasets.class_folders import ClassFolderDataset
from cellmm.datasets.coco import CellCocoDataset
from cellmm.datasets.dsb2018 import DSB2018Dataset
from cellmm.datasets.folders import AnnotatedFolderDataset
from cellmm.datasets.glas import GlaSDataset
from cellmm.datasets.label_images import LabelImageDataset
from cellmm.datasets.livecell import LIVECellDataset
from cellmm.datasets.mask_folders import MaskFolderDataset
from cellmm.datasets.paired_images import PairedImageDataset
from cellmm.datasets.samplers import DrawSampler
from cellmm.datasets.simulated import SimulatedDataset
from cellmm.datasets.simulated_classes import SimulatedClassesDataset
from cellmm.datasets.wrappers import ClassBalancedDataset, ConcatDataset, RepeatDataset

__all__ = [
    "AnnotatedFolderDataset",
    "BBBC010Dataset",
    "CellCocoDataset",
    "CellDataset",
    "ClassBalancedDataset",
    "ClassFolderDataset",
    "ConcatDataset",
    "DSB2018Dataset",
    "DrawSampler",
    "GlaSDataset",
    "LIVECellDataset",
    "LabelImageDataset",
    "MaskFolderDataset",
    "PairedImageDataset",
    "RepeatDataset",
    "SimulatedClassesDataset",
    "SimulatedDataset",
]
