"""Predictions in the formats of other programs."""

from cellmm.export.coco import samples_to_coco, write_coco
from cellmm.export.maps import write_map

__all__ = ["samples_to_coco", "write_coco", "write_map"]
