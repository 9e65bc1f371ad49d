"""Metrics of the METRICS registry."""

from .cell_coco_metric import CellCocoMetric
from .semantic_metric import SemanticMetric

__all__ = ["CellCocoMetric", "SemanticMetric"]
