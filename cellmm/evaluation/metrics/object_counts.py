"""The contribution of one class of one image to ObjectMetric."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np

from cellmm.evaluation import functional as F
from cellmm.structures import rle as rle_ops

MATCHED = 0.5  # the least IoU of a match, for PQ, the boundary and the fates


@dataclass
class ObjectCounts:
    """Sums, which can be added over classes and images.

    ``counts``: float64 (T, 4), as of ``count_matches`` by IoU threshold; ``matched``, ``matched_boundary``:
    float64 (4,), the same at IoU .5, and where the IoU is the smaller of mask and boundary IoU; ``boundary``:
    the sum of the boundary IoU over the matches; ``aji``, ``aji_plus``: float64 (2,), sums of the index;
    ``fates``: int64 (5,), cells by F.FATES; ``merges``, ``splits``: merged predictions, split cells;
    ``num_cells``, ``num_found``: cells, and predictions outside crowd regions.
    """

    counts: np.ndarray
    matched: np.ndarray = field(default_factory=lambda: np.zeros(4))
    matched_boundary: np.ndarray = field(default_factory=lambda: np.zeros(4))
    boundary: float = 0.0
    aji: np.ndarray = field(default_factory=lambda: np.zeros(2))
    aji_plus: np.ndarray = field(default_factory=lambda: np.zeros(2))
    fates: np.ndarray = field(default_factory=lambda: np.zeros(len(F.FATES), np.int64))
    merges: int = 0
    splits: int = 0
    num_cells: int = 0
    num_found: int = 0

    def __add__(self, other: "ObjectCounts") -> "ObjectCounts":
        return ObjectCounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def count_objects(
    found: F.ClassInImage, *, iou_thresholds: Sequence[float], boundary_width: int | None
) -> ObjectCounts:
    """Compare the predictions of one class in one image, all of them, with its cells.

    ``iou_thresholds``: of ``counts``; ``boundary_width``: pixels, None: the paper's.
    """
    pairs, errors = found.all_pairs, F.find_errors(found, threshold=MATCHED)
    areas = dict(pred_areas=rle_ops.area(found.masks), gt_areas=rle_ops.area(found.gt_masks))
    fates = F.cell_fates(errors)
    close = (pairs.iou >= MATCHED) & ~pairs.crowd[pairs.gt]
    overlap = np.zeros(len(pairs.iou))
    if close.any():
        width = boundary_width or F.published_width(found.masks[0]["size"])
        overlap[close] = F.boundary_iou(
            [found.masks[i] for i in pairs.pred[close]],
            [found.gt_masks[j] for j in pairs.gt[close]],
            width=width,
        )
    strict = replace(pairs, iou=np.where(close, np.minimum(pairs.iou, overlap), pairs.iou))
    matched = F.count_matches(pairs, thresholds=(MATCHED,))[0]
    return ObjectCounts(
        counts=F.count_matches(pairs, thresholds=iou_thresholds),
        matched=matched,
        matched_boundary=F.count_matches(strict, thresholds=(MATCHED,))[0],
        boundary=float(overlap[F.match_most(pairs, threshold=MATCHED)].sum()),
        aji=F.aggregated_jaccard(pairs, **areas),
        aji_plus=F.aggregated_jaccard_plus(pairs, **areas),
        fates=np.array([fates[fate] for fate in F.FATES], np.int64),
        merges=errors.counts()["merged"],
        splits=errors.counts()["split"],
        num_cells=int(np.count_nonzero(~pairs.crowd)),
        num_found=int(matched[0] + matched[1]),
    )
