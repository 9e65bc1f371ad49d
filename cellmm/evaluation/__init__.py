"""Evaluation: ``functional`` holds the mathematics, ``metrics`` the registered classes."""

from .metrics import CellCocoMetric, GlandMetric, ObjectMetric, SemanticMetric

__all__ = ["CellCocoMetric", "GlandMetric", "ObjectMetric", "SemanticMetric"]
