"""How unsure a model is of an image, from the scores of its cells.

Active learning asks a person for the labels that tell a model most. Uncertainty sampling takes those that it
is least sure of, measured by entropy; query by committee takes those that several models disagree on. Here
the committee is one model that sees the image and its mirror image. Source: Settles (3.1, 3.2).
"""

from dataclasses import dataclass

import numpy as np

from cellmm.evaluation.functional import MaskPairs, count_matches, segmentation_scores
from cellmm.results import Instances
from cellmm.structures import MaskRuns

IN_DOUBT = 0.25  # a cell with a probability from this to 1 - this is one in doubt
MATCHED = 0.5  # IoU from which two masks are one cell


@dataclass(frozen=True)
class Uncertainty:
    """What a model is unsure of in one image.

    Args:
        cells: that are proposed, as their score is at or above the threshold.
        candidates: below it, which a person may want to add.
        in_doubt: of both, those near the threshold: ``keep_probs`` from 0.25 to 0.75.
        entropy: mean over both, in bits, 0 (sure) to 1; 0 without any.
        disagreement: 1 - PQ of the proposed cells against those of the mirror image, 0 (none) to 1; None: not
            looked for.
    """

    cells: int
    candidates: int
    in_doubt: int
    entropy: float
    disagreement: float | None = None

    @property
    def score(self) -> float:
        """What images are ranked by, 0 (sure) to 1: the entropy, or its mean with the disagreement."""
        if self.disagreement is None:
            return self.entropy
        return (self.entropy + self.disagreement) / 2

    @property
    def is_blank(self) -> bool:
        """Whether the model finds nothing at all, of which it cannot be unsure."""
        return not (self.cells or self.candidates or self.disagreement)


def least_score(threshold: float) -> float:
    """The score down to which cells below the threshold are candidates: half of it."""
    return threshold / 2


def keep_probs(scores: np.ndarray, threshold: float) -> np.ndarray:
    """Scores (N,) as probabilities that a cell is kept: 0 to 0, the threshold to 1/2, 1 to 1, linear between.

    A cell at the threshold is the one that the model is least sure of, whichever threshold that is.

    Examples:
        >>> keep_probs(np.array([0.2, 0.4, 0.7, 1.0]), 0.4).round(3).tolist()
        [0.25, 0.5, 0.75, 1.0]
    """
    return np.interp(scores, (0.0, threshold, 1.0), (0.0, 0.5, 1.0))


def entropies(probs: np.ndarray) -> np.ndarray:
    """-p log2 p - (1 - p) log2 (1 - p) in bits, of probabilities (N,); 0 at 0 and 1. Source: Settles (3.1).

    Examples:
        >>> entropies(np.array([0.0, 0.5, 0.11])).round(2).tolist()
        [0.0, 1.0, 0.5]
    """
    both = np.stack([probs, 1 - probs])
    safe = np.where(both > 0, both, 1.0)
    return (safe * -np.log2(safe)).sum(0) + 0.0  # not -0


def uncertainty_of(found: Instances, threshold: float, mirrored: Instances | None = None) -> Uncertainty:
    """How unsure a model is of an image.

    Args:
        found: its cells; those that score less than ``least_score(threshold)`` are left out.
        threshold: scores from here on are proposed.
        mirrored: the cells in the mirror image, turned back; None: no disagreement is computed.
    """
    scores = found.scores[found.scores >= np.float32(least_score(threshold))]
    probs = keep_probs(scores, threshold)
    cells = int((scores >= np.float32(threshold)).sum())
    disagreement = None
    if mirrored is not None:
        mine, theirs = (some.masks.select(some.scores >= np.float32(threshold)) for some in (found, mirrored))
        disagreement = disagreement_of(mine, theirs)
    return Uncertainty(
        cells=cells,
        candidates=len(scores) - cells,
        in_doubt=int(((probs >= IN_DOUBT) & (probs <= 1 - IN_DOUBT)).sum()),
        entropy=float(entropies(probs).mean()) if len(probs) else 0.0,
        disagreement=disagreement,
    )


def disagreement_of(mine: MaskRuns, theirs: MaskRuns) -> float:
    """1 - PQ of two segmentations of one image, at an IoU of 0.5; 0 where neither has a cell."""
    if not (len(mine) or len(theirs)):
        return 0.0
    i, j, shared = mine.intersections(theirs)
    iou = shared / (mine.areas()[i] + theirs.areas()[j] - shared)
    same = iou >= MATCHED
    pairs = MaskPairs(i[same], j[same], iou[same], len(mine), len(theirs), np.zeros(len(theirs), bool))
    return 1 - float(segmentation_scores(count_matches(pairs, thresholds=(MATCHED,))[0])["PQ"])
