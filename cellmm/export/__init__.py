"""Predictions in the formats of other programs."""

from cellmm.export.coco import samples_to_coco, write_coco

__all__ = ["samples_to_coco", "write_coco"]
