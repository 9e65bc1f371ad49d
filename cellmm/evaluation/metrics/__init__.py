"""Metrics of the METRICS registry."""

from .cell_coco_metric import CellCocoMetric

__all__ = ["CellCocoMetric"]
