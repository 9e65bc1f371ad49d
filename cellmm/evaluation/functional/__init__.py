"""The mathematics of evaluation, free of files and of registries."""

from .aggregated_jaccard import aggregated_jaccard, aggregated_jaccard_plus
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
from .boundary_iou import boundary_iou, published_width
from .cell_fates import FATES, cell_fates
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
from .gland_scores import (
    GLAND_SCORES,
    GlandMatches,
    ObjectScores,
    gland_scores,
    hausdorff_distance,
    match_glands,
)
from .overlaps import MaskPairs, overlapping_pairs
from .pixel_scores import pixel_counts, pixel_scores
from .segmentation_scores import (
    SCORE_THRESHOLDS,
    count_matches,
    match_closest,
    match_most,
    segmentation_scores,
)

__all__ = [
    "ALL_AREAS",
    "FATES",
    "GLAND_SCORES",
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
    "GlandMatches",
    "MaskPairs",
    "ObjectScores",
    "RankedMatches",
    "aggregated_jaccard",
    "aggregated_jaccard_plus",
    "average_precision",
    "boundary_iou",
    "cell_fates",
    "class_precisions",
    "confident_errors",
    "count_matches",
    "find_errors",
    "gland_scores",
    "hausdorff_distance",
    "match_by_score",
    "match_closest",
    "match_glands",
    "match_most",
    "mean_of_defined",
    "one_to_one",
    "oracle",
    "overlapping_pairs",
    "pixel_counts",
    "pixel_scores",
    "precision_and_recall",
    "published_width",
    "rank_matches",
    "repair",
    "segmentation_scores",
]
