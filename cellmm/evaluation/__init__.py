"""Evaluation: ``functional`` holds the mathematics, ``metrics`` the registered classes."""

from .metrics import CellCocoMetric, SemanticMetric

__all__ = ["CellCocoMetric", "SemanticMetric"]
