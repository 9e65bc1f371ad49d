"""Results of any program scored on one truth, side by side."""

from cellmm.comparison.comparison import Comparison, compare
from cellmm.comparison.files import write_comparison
from cellmm.comparison.result_sets import ResultSet, read_result_set
from cellmm.comparison.truth import Truth, read_truth

__all__ = [
    "Comparison",
    "ResultSet",
    "Truth",
    "compare",
    "read_result_set",
    "read_truth",
    "write_comparison",
]
