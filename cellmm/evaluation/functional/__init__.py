"""The mathematics of evaluation, free of files and of registries."""

from .average_precision import (
    IOU_THRESHOLDS,
    RECALL_POINTS,
    RankedMatches,
    class_precisions,
    match_by_score,
    mean_of_defined,
    precision_and_recall,
    rank_matches,
)
from .error_analysis import (
    ALL_AREAS,
    AP_KEYS,
    KINDS,
    ORACLE_ROWS,
    ORACLES,
    REPAIRS,
    ClassInImage,
    Errors,
    average_precision,
    confident_errors,
    find_errors,
    one_to_one,
    oracle,
    repair,
)
from .overlaps import MaskPairs, overlapping_pairs
from .pixel_scores import pixel_counts, pixel_scores
from .segmentation_scores import SCORE_THRESHOLDS, count_matches, match_most, segmentation_scores

__all__ = [
    "ALL_AREAS",
    "IOU_THRESHOLDS",
    "KINDS",
    "ORACLES",
    "RECALL_POINTS",
    "AP_KEYS",
    "ORACLE_ROWS",
    "REPAIRS",
    "SCORE_THRESHOLDS",
    "ClassInImage",
    "Errors",
    "MaskPairs",
    "RankedMatches",
    "average_precision",
    "class_precisions",
    "confident_errors",
    "count_matches",
    "find_errors",
    "match_by_score",
    "match_most",
    "mean_of_defined",
    "one_to_one",
    "oracle",
    "overlapping_pairs",
    "pixel_counts",
    "pixel_scores",
    "precision_and_recall",
    "rank_matches",
    "repair",
    "segmentation_scores",
]
