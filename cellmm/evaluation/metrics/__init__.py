"""Metrics of the METRICS registry."""

from .cell_coco_metric import CellCocoMetric
from .frechet_metric import FrechetMetric
from .gland_metric import GlandMetric
from .object_metric import ObjectMetric
from .semantic_metric import SemanticMetric
from .translation_metric import TranslationMetric

__all__ = [
    "CellCocoMetric",
    "FrechetMetric",
    "GlandMetric",
    "ObjectMetric",
    "SemanticMetric",
    "TranslationMetric",
]
