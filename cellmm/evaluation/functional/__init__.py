"""The mathematics of evaluation, free of files and of registries."""

from .average_precision import (
    IOU_THRESHOLDS,
    RECALL_POINTS,
    RankedMatches,
    match_by_score,
    precision_and_recall,
    rank_matches,
)
from .overlaps import MaskPairs, overlapping_pairs
from .segmentation_scores import SCORE_THRESHOLDS, count_matches, match_most, segmentation_scores

__all__ = [
    "IOU_THRESHOLDS",
    "RECALL_POINTS",
    "SCORE_THRESHOLDS",
    "MaskPairs",
    "RankedMatches",
    "count_matches",
    "match_by_score",
    "match_most",
    "overlapping_pairs",
    "precision_and_recall",
    "rank_matches",
    "segmentation_scores",
]
