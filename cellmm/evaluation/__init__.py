"""Evaluation: ``functional`` holds the mathematics, ``metrics`` the registered classes."""

from .metrics import CellCocoMetric

__all__ = ["CellCocoMetric"]
