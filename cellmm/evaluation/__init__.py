"""Evaluation: ``functional`` holds the mathematics, ``metrics`` the registered classes."""

from .metrics import CellCocoMetric, GlandMetric, SemanticMetric

__all__ = ["CellCocoMetric", "GlandMetric", "SemanticMetric"]
