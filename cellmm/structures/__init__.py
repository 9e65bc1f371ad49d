"""Masks and samples: LabelLayers for ground truth, COCO RLE for predictions and files."""

from cellmm.structures.boundary_maps import (
    boundary_bell,
    cell_boundaries,
    cell_cuts,
    separation_weight,
)
from cellmm.structures.cell_sample import CellSample
from cellmm.structures.editable_cells import EditableCells
from cellmm.structures.filled_rings import fill_rings
from cellmm.structures.label_layers import LabelLayers
from cellmm.structures.mask_runs import MaskRuns
from cellmm.structures.original_frame import map_in_original_frame, masks_in_original_frame
from cellmm.structures.painting import assign_layers, paint_bands
from cellmm.structures.polygons import mask_outlines, outlines_of, rle_to_polygons
from cellmm.structures.predicted_instances import PredictedInstances
from cellmm.structures.semantic_maps import SEMANTIC_NAMES, cell_borders, semantic_maps
from cellmm.structures.symmetric_range import to_counts, to_symmetric

__all__ = [
    "SEMANTIC_NAMES",
    "CellSample",
    "EditableCells",
    "LabelLayers",
    "MaskRuns",
    "PredictedInstances",
    "assign_layers",
    "boundary_bell",
    "cell_borders",
    "cell_boundaries",
    "cell_cuts",
    "fill_rings",
    "map_in_original_frame",
    "mask_outlines",
    "masks_in_original_frame",
    "outlines_of",
    "paint_bands",
    "rle_to_polygons",
    "semantic_maps",
    "separation_weight",
    "to_counts",
    "to_symmetric",
]
