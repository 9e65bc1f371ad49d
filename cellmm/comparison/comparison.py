"""Scores of several results on the same images, with intervals by image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cellmm.comparison.result_sets import ResultSet
from cellmm.comparison.truth import Truth
from cellmm.errors import CellMMError
from cellmm.evaluation import functional as F
from cellmm.evaluation.metrics import CellCocoMetric
from cellmm.evaluation.metrics.image_result import ImageResult, read_sample, split_classes
from cellmm.evaluation.metrics.object_counts import ObjectCounts, count_objects
from cellmm.evaluation.metrics.result_files import threshold_key
from cellmm.evaluation.results_on_dataset import coco_metric, with_results

PRECISIONS = {"AP": slice(None), "AP50": slice(0, 1), "AP75": slice(5, 6), "AP90": slice(8, 9)}
ERRORS = F.REPAIRS[:-1]  # kinds of wrong predictions, and missed cells
COUNT_ERROR = "count error"
ERROR_IOU = 0.5
BOUNDARY_WIDTH = 2  # px of the band: the published 2 % of the diagonal is more than the radius of many cells


@dataclass(frozen=True)
class Score:
    """A number of one result: ``value``, its interval from ``low`` to ``high``, and against the first result
    ``difference`` from ``difference_low`` to ``difference_high`` with its two-sided ``p``. nan: not defined,
    or not asked for.
    """

    value: float
    low: float = float("nan")
    high: float = float("nan")
    difference: float = float("nan")
    difference_low: float = float("nan")
    difference_high: float = float("nan")
    p: float = float("nan")


@dataclass(frozen=True)
class Entry:
    """One result, scored.

    Args:
        score_thr: S, F1, PQ, the count error and the errors are of predictions with at least this score.
        scores: by column of the table.
        images: a row per image: ``img_id``, ``image``, ``cells``, ``predictions``, scores, counts.
        notes: what was assumed or left out, a line each.
    """

    name: str
    source: str
    has_scores: bool
    score_thr: float
    scores: dict[str, Score]
    images: list[dict] = field(repr=False)
    notes: tuple[str, ...]
    samples: list[dict] = field(repr=False)

    def errors(self, place: int) -> tuple[dict[int, F.ClassInImage], dict[int, F.Errors]]:
        """Cells, predictions and errors of an image, by label, for a picture."""
        return _errors(self.samples[place], self.score_thr)


@dataclass(frozen=True)
class Comparison:
    """
    Args:
        columns: of the table, in order.
        level: of the intervals, such as 0.95.
    """

    truth: Truth
    entries: list[Entry]
    columns: tuple[str, ...]
    resamples: int
    seed: int
    level: float

    @property
    def num_cells(self) -> int:
        """Annotated cells of all images, without crowd regions."""
        return sum(row["cells"] for row in self.entries[0].images)

    def worst(self, number: int, by: str = "mean") -> list[int]:
        """The places of images in order, worst first, at most ``number``.

        Args:
            by: ``mean``: lowest S on average over the entries; ``first``: lowest S of the first entry;
                ``gap``: the first entry is farthest behind the best of the others.
        """
        table = np.array([[row["S"] for row in entry.images] for entry in self.entries])
        table = np.nan_to_num(table, nan=1.0)  # neither cells nor predictions: nothing is wrong
        rank = {"mean": table.mean(0), "first": table[0], "gap": table[0] - table[1:].max(0, initial=0)}[by]
        return np.argsort(rank, kind="stable")[:number].tolist()


def compare(
    truth: Truth,
    result_sets: Sequence[ResultSet],
    *,
    score_thr: Mapping[str, float] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Comparison:
    """Score every result set on the truth; the first is what the others are compared with.

    Args:
        score_thr: {name of a result set: threshold}; else that of the truth's config, or 0.3, and 0 for
            results without scores.
        resamples: of the bootstrap over images; 0: no intervals.
        level: of the intervals.

    Raises:
        CellMMError: two result sets have the same name, or a threshold names none.
    """
    if not result_sets:
        raise CellMMError("nothing to compare: give NAME=RESULTS")
    given = [results.name for results in result_sets]
    if double := [name for name in given if given.count(name) > 1]:
        raise CellMMError(f"two results have the name {double[0]!r}: give each a name of its own")
    thresholds = dict(score_thr or {})
    if unknown := [name for name in thresholds if name not in given]:
        raise CellMMError(f"--score-thr {unknown[0]}: no such results; there are {', '.join(given)}")
    times = F.draw_resamples(len(truth.samples), resamples=resamples, seed=seed)
    entries: list[Entry] = []
    first: dict[str, tuple[float, np.ndarray]] = {}
    for results in result_sets:
        scored = _score(truth, results, thresholds.get(results.name))
        samples = _resampled(scored, times)
        scores = {}
        for column, value in scored.values.items():
            base, of_first = first.setdefault(column, (value, samples[column]))
            difference = samples[column] - of_first
            other = bool(entries)
            low, high = F.interval(difference, level) if other else (float("nan"), float("nan"))
            scores[column] = Score(
                value,
                *F.interval(samples[column], level),
                difference=value - base if other else float("nan"),
                difference_low=low,
                difference_high=high,
                p=F.two_sided_p(difference) if other else float("nan"),
            )
        entries.append(
            Entry(
                name=results.name,
                source=results.source,
                has_scores=results.has_scores,
                score_thr=scored.metric.score_thr,
                scores=scores,
                images=scored.images,
                notes=(*results.notes, *scored.notes),
                samples=scored.samples,
            )
        )
    return Comparison(truth, entries, tuple(entries[0].scores), resamples, seed, level)


@dataclass
class _Scored:
    """``results``: of the metric, an image each, in the order of ``samples``."""

    metric: CellCocoMetric
    results: list[ImageResult]
    samples: list[dict]
    images: list[dict]
    values: dict[str, float]
    notes: list[str]


def _score(truth: Truth, results: ResultSet, score_thr: float | None) -> _Scored:
    samples = with_results(truth.samples, results.results, meta=truth.meta, source=results.source)
    if score_thr is None and not results.has_scores:
        score_thr = 0.0
    evaluator = truth.evaluator or dict(type="CellCocoMetric")
    metric = coco_metric(evaluator, classes=truth.meta["classes"], score_thr=score_thr)
    metric.process(None, samples)
    of_images = list(metric.results)  # evaluate empties it
    numbers = metric.evaluate(len(samples))
    images = [_row(result, metric, sample) for result, sample in zip(of_images, samples, strict=True)]
    values = {key: numbers[key] for key in PRECISIONS}
    at = [threshold_key("S", threshold) for threshold in metric.iou_thresholds]
    values |= {key: numbers[key] for key in ("S", *(k for k in at if k in ("S50", "S90")), "PQ", "F1")}
    values["AJI"] = float(F.mean_of_defined([row["AJI"] for row in images]))
    values |= {key: _ratio(*sums) for key, sums in _sums(images).items()}
    values[COUNT_ERROR] = float(np.mean([row[COUNT_ERROR] for row in images]))
    values |= {kind: float(sum(row[kind] for row in images)) for kind in ERRORS}
    notes = []
    if below := sum(result.num_predictions - result.num_counted for result in of_images):
        total = sum(result.num_predictions for result in of_images)
        notes.append(
            f"{below} of {total} predictions score less than {metric.score_thr:g}: only AP counts "
            "them (--score-thr)"
        )
    if cut := sum(result.num_cut for result in of_images):
        notes.append(f"max_dets={metric.max_dets} of the config leaves out {cut} predictions")
    return _Scored(metric, of_images, samples, images, values, notes)


def _row(result: ImageResult, metric: CellCocoMetric, sample: dict) -> dict:
    """What ``images.csv`` says about an image."""
    counts = result.total_counts(len(metric.iou_thresholds))
    of_image = F.segmentation_scores(counts)
    row: dict = dict(img_id=result.img_id, image=result.name, cells=result.num_cells)
    row["predictions"] = result.num_counted
    row |= {name: float(F.mean_of_defined(of_image[name])) for name in ("S", "F1", "PQ")}
    for i, threshold in enumerate(metric.iou_thresholds):
        row |= {threshold_key(name, threshold): float(of_image[name][i]) for name in ("S", "F1", "PQ")}
    classes, errors = _errors(sample, metric.score_thr, metric.max_dets)
    options = dict(iou_thresholds=(ERROR_IOU,), boundary_width=BOUNDARY_WIDTH)
    found = [count_objects(of_class, **options) for of_class in classes.values()]
    total = sum(found, ObjectCounts(np.zeros((1, 4))))
    row |= dict(zip(("TP", "FP", "FN"), total.matched[:3].tolist(), strict=True))
    row |= {"AJI": _ratio(*total.aji), "boundary_IoU": _ratio(total.boundary, total.matched[0])}
    row[COUNT_ERROR] = float(abs(total.num_found - total.num_cells))
    return row | {kind: sum(of_class.counts()[kind] for of_class in errors.values()) for kind in ERRORS}


def _sums(images: Sequence[dict]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{column: numerator and denominator of each image} of shares of all images together, (B,) each."""
    table = {key: np.array([row[key] for row in images]) for key in ("TP", "FP", "FN", "boundary_IoU")}
    right = table["TP"]
    return {
        "precision50": (right, right + table["FP"]),
        "recall50": (right, right + table["FN"]),
        "boundary_IoU": (np.where(right > 0, table["boundary_IoU"], 0) * right, right),
    }


def _ratio(part: np.ndarray | float, whole: np.ndarray | float) -> float:
    """The share of two sums; nan where there is nothing to share."""
    whole = float(np.sum(whole))
    return float(np.sum(part)) / whole if whole > 0 else float("nan")


def _errors(
    sample: dict, score_thr: float, max_dets: int | None = None
) -> tuple[dict[int, F.ClassInImage], dict[int, F.Errors]]:
    classes = split_classes(*read_sample(sample)[:2], max_dets=max_dets, score_thr=score_thr)
    return classes, {label: F.find_errors(found, threshold=ERROR_IOU) for label, found in classes.items()}


def _resampled(scored: _Scored, times: np.ndarray) -> dict[str, np.ndarray]:
    """{column: its value in each resample, (R,)}."""
    ranked = [result.ranked for result in scored.results]
    labels = sorted({label for image in ranked for label in image})
    precisions = F.resampled_precisions(ranked, labels, times)
    found = {}
    sums = _sums(scored.images)
    for column in scored.values:
        if column in PRECISIONS:
            found[column] = precisions[:, PRECISIONS[column]].mean(axis=1)
            continue
        if column in sums:
            part, whole = (times @ values for values in sums[column])
            found[column] = part / np.where(whole > 0, whole, np.nan)
            continue
        values = np.array([row[column] for row in scored.images], np.float64)
        found[column] = times @ values if column in ERRORS else F.resampled_means(values, times)
    return found
