"""Evaluation: ``functional`` holds the mathematics, ``metrics`` the registered classes."""

from .metrics import CellCocoMetric, ForegroundMetric, GlandMetric, ObjectMetric, SemanticMetric

__all__ = ["CellCocoMetric", "ForegroundMetric", "GlandMetric", "ObjectMetric", "SemanticMetric"]
