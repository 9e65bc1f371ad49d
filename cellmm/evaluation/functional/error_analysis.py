"""What costs average precision: each kind of error, and AP if it were repaired.

``find_errors`` assigns a kind to every wrong prediction of a class in an image, ``repair`` mends one kind
and leaves the rest, ``oracle`` replaces or drops predictions by the ground truth (sparseseunet 5.7.4), and
``average_precision`` scores the result. The kinds extend those of TIDE (Bolya et al., ECCV 2020) by two that
happen to touching and overlapping cells: merged and split.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pycocotools import mask as mask_utils

from cellmm.structures import rle as rle_ops

from .average_precision import (
    IOU_THRESHOLDS,
    RankedMatches,
    class_precisions,
    match_by_score,
    mean_of_defined,
    rank_matches,
)
from .overlaps import MaskPairs, overlapping_pairs

KINDS = ("merged", "split", "boundary", "duplicate", "false alarm")  # of predictions, in order of decision
REPAIRS = ("missed", *KINDS, "ranking")
ORACLES = ("true masks", "best matches")
AP_KEYS = ("AP", "AP50", "AP75", "AP_S", "AP_M", "AP_L")
ORACLE_ROWS = {"baseline": "baseline", "true masks": "w/ gt mask", "best matches": "gt matched"}  # table 5.11
RIGHT, IGNORED = "right", "ignored"
ON_CELL = 0.1  # the least IoU of a prediction that lies on a cell, as in TIDE
MOST = 0.5  # the least share of a cell that is covered, or of a prediction that is inside a cell
ALL_AREAS = (0.0, 1e10)  # px^2
ANY_IOU = 1e-12  # below that of a single shared pixel


@dataclass
class ClassInImage:
    """One class in one image: D predictions by falling score, and G cells, as COCO RLE.

    ``scores``: float64 (D,); ``gt_crowd``: bool (G,), regions that are not annotated one by one;
    ``gt_areas``: float64 (G,), px^2.
    """

    masks: list[dict]
    scores: np.ndarray
    gt_masks: list[dict]
    gt_crowd: np.ndarray
    gt_areas: np.ndarray

    def changed(self, masks: Sequence[dict], scores: Sequence[float]) -> "ClassInImage":
        """The same cells with other predictions, which are put in order; equal scores keep theirs."""
        scores = np.asarray(scores, np.float64)
        order = np.argsort(-scores, kind="stable")
        masks = [masks[i] for i in order]
        return ClassInImage(masks, scores[order], self.gt_masks, self.gt_crowd, self.gt_areas)

    def pairs(self, min_iou: float) -> MaskPairs:
        """Its predictions and cells that overlap."""
        return overlapping_pairs(self.masks, self.gt_masks, gt_crowd=self.gt_crowd, min_iou=min_iou)

    @cached_property
    def all_pairs(self) -> MaskPairs:
        """The pairs that share a pixel; kept, so that masks are compared only once."""
        return self.pairs(ANY_IOU)

    def ranked(
        self, area_ranges: Sequence[tuple[float, float]], pairs: MaskPairs | None = None
    ) -> RankedMatches:
        """Its matches for AP; ``pairs``: those with an IoU from .5 on at least, None: of ``all_pairs``."""
        if pairs is None:
            pairs = self.all_pairs.where(self.all_pairs.iou >= IOU_THRESHOLDS[0])
        return rank_matches(
            pairs,
            scores=self.scores,
            pred_areas=_areas(self.masks),
            gt_areas=self.gt_areas,
            area_ranges=area_ranges,
        )


@dataclass
class Errors:
    """The errors of one class in one image.

    ``kind``: a word for each of the D predictions: 'right', 'ignored' (a crowd region takes it) or one of
    KINDS; ``cell``: int64 (D,), the cell that each fits best, found or not, -1 where it touches none;
    ``iou``: float64 (D,), with that cell; ``own_cell``, ``own_iou``: the same in the best one-to-one
    matching, see ``one_to_one``; ``explains``: {prediction: its cells} of the merged (those that it covers),
    split and boundary ones; ``found``: bool (G,), cells with a right prediction; ``missed``: int64 (M,), the
    cells that no prediction finds and no error explains.
    """

    kind: list[str]
    cell: np.ndarray
    iou: np.ndarray
    own_cell: np.ndarray
    own_iou: np.ndarray
    explains: dict[int, list[int]]
    found: np.ndarray
    missed: np.ndarray

    def of_kind(self, kind: str) -> list[int]:
        """The predictions of this kind, best ranked first."""
        return [i for i, own in enumerate(self.kind) if own == kind]

    def counts(self) -> dict[str, int]:
        """Right and ignored predictions, wrong ones by kind ('split': the cells that are), 'missed' cells."""
        counts = {kind: len(self.of_kind(kind)) for kind in (RIGHT, IGNORED, *KINDS)}
        counts["split"] = len({self.explains[i][0] for i in self.of_kind("split")})
        return counts | {"missed": len(self.missed)}


def one_to_one(pairs: MaskPairs) -> tuple[np.ndarray, np.ndarray]:
    """Each prediction's own cell, int64 (num_pred,), -1 for none, and its IoU, float64 (num_pred,).

    Pairs are taken by falling IoU (so by falling Dice = 2 IoU / (1 + IoU)) as long as both are free; of equal
    ones the better ranked prediction's, then the first cell's. Crowd regions take no part.
    """
    cell, iou = np.full(pairs.num_pred, -1, np.int64), np.zeros(pairs.num_pred)
    taken = pairs.crowd.copy()
    for index in np.lexsort((pairs.gt, pairs.pred, -pairs.iou)).tolist():
        pred, gt = pairs.pred[index], pairs.gt[index]
        if cell[pred] < 0 and not taken[gt]:
            cell[pred], iou[pred], taken[gt] = gt, pairs.iou[index], True
    return cell, iou


def find_errors(instances: ClassInImage, *, threshold: float = 0.5) -> Errors:
    """Give each prediction one kind, at one IoU threshold.

    Predictions that COCO's matching pairs with a cell at ``threshold`` are right, whatever else they cover,
    and those that it gives to a crowd region are ignored. A cell that has a right prediction is found. The
    cell of another prediction is the one with its best IoU (the first of equals) among those that are not
    found, if that is at least .1, else among all: where cells cross, it may well fit a found one better. It
    is, the first that applies:

    1. merged: it covers at least half of each of two cells or more, and its IoU with their union is higher
       than with any cell.
    2. split: its cell is not found, at least half of it lies inside this cell, and it is one of two pieces
       or more that together cover at least half of the cell. Pieces are chosen by falling IoU: at least half
       of each is outside of those before it.
    3. boundary: it has an IoU of at least .1 with a cell that is neither found nor split. Pairs are taken by
       falling IoU as long as both are free (of equals the better ranked prediction's, then the first cell's).
    4. duplicate: it has an IoU of at least .1 with a cell, but all such are found, split or have a boundary.
    5. false alarm: its IoU with every cell is below .1.

    Missed are the cells that are not found and that no merged, split or boundary prediction explains.
    """
    crowd = np.asarray(instances.gt_crowd, bool)
    pairs = instances.all_pairs
    own_cell, own_iou = one_to_one(pairs)
    match = match_by_score(
        pairs.where(pairs.iou >= threshold - 1e-9), gt_ignore=crowd, thresholds=np.array([threshold])
    )[0]
    ignored = (match >= 0) & np.append(crowd, False)[match]
    right = (match >= 0) & ~ignored
    found = np.zeros(pairs.num_gt, bool)
    found[match[right]] = True
    kind = np.full(pairs.num_pred, "", object)
    kind[right], kind[ignored] = RIGHT, IGNORED

    pairs = pairs.where(~crowd[pairs.gt])
    pred_area, gt_area = _areas(instances.masks), _areas(instances.gt_masks)
    shared = pairs.iou / (1 + pairs.iou) * (pred_area[pairs.pred] + gt_area[pairs.gt])  # pixels
    on_cell = _at_least(pairs.iou, ON_CELL)
    best = _best(pairs, pairs.iou)
    cell, iou = np.append(pairs.gt, -1)[best], np.append(pairs.iou, 0)[best]

    explains = _merged(instances, pairs, _at_least(shared, MOST * gt_area[pairs.gt]), iou, kind == "")
    kind[list(explains)] = "merged"
    taken = found.copy()
    best = _best(pairs, pairs.iou + (on_cell & ~found[pairs.gt]))  # first those that are not found
    piece_of = np.append(pairs.gt, -1)[best]
    pieces = (kind == "") & ~np.append(found, True)[piece_of]
    pieces &= _at_least(np.append(shared, 0)[best], MOST * pred_area)
    piece_iou = np.append(pairs.iou, 0)[best]
    for those in _split(instances, np.where(pieces, piece_of, -1), piece_iou, gt_area):
        kind[those], taken[piece_of[those]] = "split", True
        explains |= {i: [int(piece_of[i])] for i in those}
    left = pairs.where(on_cell & (kind == "")[pairs.pred] & ~taken[pairs.gt])
    own = one_to_one(left)[0]
    kind[own >= 0] = "boundary"
    explains |= {i: [int(own[i])] for i in np.flatnonzero(own >= 0).tolist()}
    for i in np.flatnonzero(kind == "").tolist():
        kind[i] = "duplicate" if _at_least(iou[i], ON_CELL) else "false alarm"
    explained = found.copy()
    explained[[j for those in explains.values() for j in those]] = True
    missed = np.flatnonzero(~explained & ~crowd)
    return Errors(kind.tolist(), cell, iou, own_cell, own_iou, explains, found, missed)


def repair(instances: ClassInImage, errors: Errors, what: str, *, top_score: float) -> ClassInImage:
    """The predictions with one of REPAIRS made and all else unchanged; the same object if nothing changes.

    - missed: each missed cell gets a right prediction that ranks before all others, with ``top_score``.
    - merged: the prediction is replaced by those of its cells that are not found (nor given to a merged one
      that ranks before it), each with its score.
    - split: the best ranked piece becomes the cell, the other pieces go.
    - duplicate, false alarm: the prediction goes.
    - boundary: the prediction gets the mask of its cell.
    - ranking: masks stay. Predictions with a cell of their own (``one_to_one``) come first, by their IoU with
      it, the others after them by the IoU with the cell that they fit best: the best order at all thresholds.
    """
    cells = instances.gt_masks
    if what == "ranking":
        scores = np.where(errors.own_cell >= 0, errors.own_iou, errors.iou - 1)
        return instances.changed(instances.masks, scores)
    if what == "missed" and len(errors.missed) == 0:
        return instances
    if what == "missed":
        new = [cells[j] for j in errors.missed]
        scores = np.concatenate([np.full(len(new), top_score), instances.scores])
        return instances.changed(new + instances.masks, scores)
    if what not in KINDS:
        raise ValueError(f"what is {what!r}: one of {REPAIRS} is allowed")
    if what not in errors.kind:
        return instances
    masks, scores = [], []
    given = set(np.flatnonzero(errors.found).tolist())
    for i, (kind, mask) in enumerate(zip(errors.kind, instances.masks, strict=True)):
        if kind != what:
            new = [mask]
        elif what in ("duplicate", "false alarm"):
            new = []
        else:
            new = [cells[j] for j in errors.explains[i] if j not in given]
            given.update(errors.explains[i])
        masks += new
        scores += [instances.scores[i]] * len(new)
    return instances.changed(masks, scores)


def oracle(instances: ClassInImage, errors: Errors, what: str) -> ClassInImage:
    """The predictions as corrected by one of ORACLES (sparseseunet 5.7.4, table 5.11).

    - true masks ("w/ gt mask"): each prediction gets the mask of the cell with the best Dice, and keeps its
      score; one that touches no cell stays as it is. Two may get the same cell: the second one is then wrong.
    - best matches ("gt matched"): each cell keeps the prediction of best Dice, one to one (``one_to_one``);
      the other predictions go.

    Predictions that a crowd region takes stay in both.
    """
    ignored = np.array([kind == IGNORED for kind in errors.kind], bool)
    if what == "true masks":
        masks = [
            mask if stays or j < 0 else instances.gt_masks[j]
            for mask, stays, j in zip(instances.masks, ignored, errors.cell, strict=True)
        ]
        return instances.changed(masks, instances.scores)
    if what == "best matches":
        kept = np.flatnonzero(ignored | (errors.own_cell >= 0))
        return instances.changed([instances.masks[i] for i in kept], instances.scores[kept])
    raise ValueError(f"what is {what!r}: one of {ORACLES} is allowed")


def average_precision(
    images: Sequence[Mapping[int, ClassInImage]], *, area_ranges: Sequence[tuple[float, float]] = (ALL_AREAS,)
) -> np.ndarray:
    """AP float64 (A, T) by area range and IOU_THRESHOLDS, the mean over the classes that have cells.

    ``images``: {label: class} each; nan where no cell is to be found.
    """
    ranked = [{label: cells.ranked(area_ranges) for label, cells in image.items()} for image in images]
    labels = sorted({label for image in images for label in image})
    return mean_of_defined(class_precisions(ranked, labels, num_areas=len(area_ranges))[0], axis=0)


def confident_errors(
    images: Sequence[Mapping[int, ClassInImage]], errors: Sequence[Mapping[int, Errors]]
) -> int:
    """How many wrong predictions have a higher score than the median of the right ones of their class."""
    right: dict[int, list[float]] = {}
    wrong: dict[int, list[float]] = {}
    for image, of_image in zip(images, errors, strict=True):
        for label, found in of_image.items():
            for kind, score in zip(found.kind, image[label].scores.tolist(), strict=True):
                if kind != IGNORED:
                    (right if kind == RIGHT else wrong).setdefault(label, []).append(score)
    return sum(int((np.array(wrong[k]) > np.median(right[k])).sum()) for k in right if k in wrong)


def _merged(
    instances: ClassInImage, pairs: MaskPairs, covered: np.ndarray, iou: np.ndarray, wrong: np.ndarray
) -> dict[int, list[int]]:
    """{merged prediction: its cells} of those where ``wrong``; ``covered`` bool (P,), by pair."""
    start = np.searchsorted(pairs.pred, np.arange(pairs.num_pred + 1))
    parts = {}
    for i in np.flatnonzero(
        wrong & (np.bincount(pairs.pred[covered], minlength=pairs.num_pred) > 1)
    ).tolist():
        of_pred = slice(start[i], start[i + 1])
        those = pairs.gt[of_pred][covered[of_pred]].tolist()
        union = mask_utils.merge([instances.gt_masks[j] for j in those])
        if mask_utils.iou([instances.masks[i]], [union], [0])[0, 0] > iou[i]:
            parts[i] = those
    return parts


def _split(
    instances: ClassInImage, cell_of: np.ndarray, iou: np.ndarray, gt_area: np.ndarray
) -> Iterator[list[int]]:
    """The pieces of each split cell; ``cell_of`` int64 (D,): the cell that each may be a piece of, or -1."""
    for j in np.unique(cell_of[cell_of >= 0]).tolist():
        candidates = np.flatnonzero(cell_of == j)
        pieces, union = [], None
        for i in candidates[np.argsort(-iou[candidates], kind="stable")].tolist():
            mask = instances.masks[i]
            if union is None or _at_least(_outside(mask, union), MOST * _pixels(mask)):
                union = mask if union is None else mask_utils.merge([union, mask])
                pieces.append(i)
        cell = instances.gt_masks[j]
        if len(pieces) > 1 and _at_least(_pixels(cell) - _outside(cell, union), MOST * gt_area[j]):
            yield pieces


def _pixels(mask: dict) -> int:
    return int(mask_utils.area(mask))


def _outside(mask: dict, other: dict) -> int:
    """The number of pixels of ``mask`` outside ``other``."""
    return _pixels(mask_utils.merge([mask, other])) - _pixels(other)


def _best(pairs: MaskPairs, rank: np.ndarray) -> np.ndarray:
    """Each prediction's pair of highest ``rank`` (P,), the first cell's of equals; int64 (D,), -1: none."""
    best = np.full(pairs.num_pred, -1, np.int64)
    order = np.lexsort((-pairs.gt, rank))  # the best comes last, and stays
    best[pairs.pred[order]] = order
    return best


def _areas(masks: list[dict]) -> np.ndarray:
    return rle_ops.area(masks).astype(np.float64)


def _at_least(value: np.ndarray | float, least: np.ndarray | float) -> np.ndarray | bool:
    """value >= least, with tolerance for areas that were computed from an IoU."""
    return value >= least - 1e-9 * np.maximum(np.abs(least), 1)
