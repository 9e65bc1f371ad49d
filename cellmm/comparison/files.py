"""The files of a comparison: a page, the table, a row per image."""

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from cellmm import __version__
from cellmm.comparison.comparison import Comparison, Score
from cellmm.comparison.page import write_page
from cellmm.io.files import atomic_path


def write_comparison(comparison: Comparison, out: Path, *, worst: int = 6, by: str = "mean") -> None:
    """Write ``index.html``, ``table.csv``, ``images.csv`` and ``comparison.json`` into the folder ``out``.

    The same results give the same bytes. The page is written last.

    Args:
        worst: how many images are drawn on the page.
        by: which, see ``Comparison.worst``.
    """
    _write_csv(out / "table.csv", _table(comparison))
    _write_csv(out / "images.csv", _images(comparison))
    with atomic_path(out / "comparison.json") as tmp:
        text = json.dumps(_content(comparison), indent=2, allow_nan=False)
        tmp.write_text(text + "\n", encoding="utf-8")
    write_page(out / "index.html", comparison, comparison.worst(worst, by))


def _table(comparison: Comparison) -> list[dict]:
    rows = []
    for entry in comparison.entries:
        for column in comparison.columns:
            score = asdict(entry.scores[column])
            rows.append(dict(name=entry.name, score=column, **score))
    return rows


def _images(comparison: Comparison) -> list[dict]:
    return [dict(name=entry.name, **row) for entry in comparison.entries for row in entry.images]


def _write_csv(path: Path, rows: Sequence[dict]) -> None:
    """Undefined numbers are left empty."""
    with atomic_path(path) as tmp, open(tmp, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({key: _plain(value) for key, value in row.items()})


def _plain(value: object) -> object:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return value


def _content(comparison: Comparison) -> dict:
    """What ``comparison.json`` holds; null where a number is not defined."""

    def scores(score: Score) -> dict:
        return {key: None if math.isnan(value) else value for key, value in asdict(score).items()}

    return dict(
        cellmm=__version__,
        truth=comparison.truth.name,
        images=len(comparison.truth.samples),
        cells=comparison.num_cells,
        classes=list(comparison.truth.meta["classes"]),
        resamples=comparison.resamples,
        seed=comparison.seed,
        level=comparison.level,
        results=[
            dict(
                name=entry.name,
                source=entry.source,
                has_scores=entry.has_scores,
                score_thr=entry.score_thr,
                notes=list(entry.notes),
                scores={column: scores(score) for column, score in entry.scores.items()},
            )
            for entry in comparison.entries
        ],
    )
