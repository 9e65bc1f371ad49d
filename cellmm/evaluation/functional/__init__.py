"""The mathematics of evaluation, free of files and of registries."""

from .aggregated_jaccard import aggregated_jaccard, aggregated_jaccard_plus
from .average_precision import (
    IOU_THRESHOLDS,
    RECALL_POINTS,
    PooledMatches,
    RankedMatches,
    class_precisions,
    match_by_score,
    mean_of_defined,
    pool_matches,
    pooled_precision_and_recall,
    precision_and_recall,
    rank_matches,
)
from .bootstrap import draw_resamples, interval, resampled_means, resampled_precisions, two_sided_p
from .boundary_iou import boundary_iou, published_width
from .cell_fates import FATES, cell_fates
from .confusion import confusion_matrix
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
from .foreground import foreground_counts, foreground_scores, within_reach
from .frechet import frechet_distance, spectrum_features
from .gland_scores import (
    GLAND_SCORES,
    GlandMatches,
    ObjectScores,
    gland_scores,
    hausdorff_distance,
    match_glands,
)
from .image_similarity import mean_absolute_error, power_spectrum_distance, radial_power, ssim
from .outline_oracles import OUTLINE_ROWS, outline_oracle
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
    "AP_KEYS",
    "FATES",
    "GLAND_SCORES",
    "IOU_THRESHOLDS",
    "KINDS",
    "ORACLES",
    "ORACLE_ROWS",
    "OUTLINE_ROWS",
    "RECALL_POINTS",
    "REPAIRS",
    "SCORE_THRESHOLDS",
    "ClassInImage",
    "Errors",
    "GlandMatches",
    "MaskPairs",
    "ObjectScores",
    "PooledMatches",
    "RankedMatches",
    "aggregated_jaccard",
    "aggregated_jaccard_plus",
    "average_precision",
    "boundary_iou",
    "cell_fates",
    "class_precisions",
    "confident_errors",
    "confusion_matrix",
    "count_matches",
    "draw_resamples",
    "find_errors",
    "foreground_counts",
    "foreground_scores",
    "frechet_distance",
    "gland_scores",
    "hausdorff_distance",
    "interval",
    "match_by_score",
    "match_closest",
    "match_glands",
    "match_most",
    "mean_absolute_error",
    "mean_of_defined",
    "one_to_one",
    "oracle",
    "outline_oracle",
    "overlapping_pairs",
    "pixel_counts",
    "pixel_scores",
    "pool_matches",
    "pooled_precision_and_recall",
    "power_spectrum_distance",
    "precision_and_recall",
    "published_width",
    "radial_power",
    "rank_matches",
    "repair",
    "resampled_means",
    "resampled_precisions",
    "segmentation_scores",
    "spectrum_features",
    "ssim",
    "two_sided_p",
    "within_reach",
]
