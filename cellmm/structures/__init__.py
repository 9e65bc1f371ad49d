"""Masks and samples: LabelLayers for ground truth, COCO RLE for predictions and files."""

from cellmm.structures.cell_sample import CellSample
from cellmm.structures.label_layers import LabelLayers
from cellmm.structures.semantic_maps import SEMANTIC_NAMES, cell_borders, semantic_maps

__all__ = [
    "SEMANTIC_NAMES",
    "CellSample",
    "LabelLayers",
    "cell_borders",
    "semantic_maps",
]
