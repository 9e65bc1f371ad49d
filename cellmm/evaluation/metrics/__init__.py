"""Metrics of the METRICS registry."""

from .cell_coco_metric import CellCocoMetric
from .foreground_metric import ForegroundMetric
from .frechet_metric import FrechetMetric
from .gland_metric import GlandMetric
from .object_metric import ObjectMetric
from .semantic_metric import SemanticMetric
from .translation_metric import TranslationMetric

__all__ = [
    "CellCocoMetric",
    "ForegroundMetric",
    "FrechetMetric",
    "GlandMetric",
    "ObjectMetric",
    "SemanticMetric",
    "TranslationMetric",
]
