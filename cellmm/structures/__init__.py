"""Masks and samples: LabelLayers for ground truth, COCO RLE for predictions and files."""

from cellmm.structures.cell_sample import CellSample
from cellmm.structures.label_layers import LabelLayers
from cellmm.structures.layered_tiff import read_label_layers, write_layered_tiff
from cellmm.structures.polygons import polygons_to_rle, rle_to_polygons

__all__ = [
    "CellSample",
    "LabelLayers",
    "polygons_to_rle",
    "read_label_layers",
    "rle_to_polygons",
    "write_layered_tiff",
]
