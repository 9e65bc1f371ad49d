"""Masks and samples: LabelLayers for ground truth, COCO RLE for predictions and files."""

from cellmm.structures.cell_sample import CellSample
from cellmm.structures.label_layers import LabelLayers
from cellmm.structures.mask_runs import MaskRuns
from cellmm.structures.original_frame import map_in_original_frame, masks_in_original_frame
from cellmm.structures.polygons import rle_to_polygons
from cellmm.structures.predicted_instances import PredictedInstances
from cellmm.structures.semantic_maps import SEMANTIC_NAMES, cell_borders, semantic_maps

__all__ = [
    "SEMANTIC_NAMES",
    "CellSample",
    "LabelLayers",
    "MaskRuns",
    "PredictedInstances",
    "cell_borders",
    "map_in_original_frame",
    "masks_in_original_frame",
    "rle_to_polygons",
    "semantic_maps",
]
