"""The page of a comparison: one HTML file that needs nothing else."""

import math
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import jinja2

import cellmm
from cellmm.comparison import numbers
from cellmm.comparison.comparison import Comparison
from cellmm.comparison.pictures import draw_side_by_side
from cellmm.io.files import atomic_path
from cellmm.results.report.page import data_uri
from cellmm.visualization.error_page import COLORS, MEANING
from cellmm.visualization.montage import encode_picture

CHARTS = ("AP", "S")
WIDTH, ROW, LEFT, RIGHT = 560, 26, 150, 20  # px of a chart


def write_page(path: Path, comparison: Comparison, places: Sequence[int]) -> None:
    """Write the page; ``places``: of the images that are drawn."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    page = environment.get_template("page.html").render(
        comparison=comparison,
        entries=comparison.entries,
        columns=comparison.columns,
        best={column: _best(comparison, column) for column in comparison.columns},
        number=numbers.number_text,
        difference=numbers.difference_text,
        is_defined=lambda value: not math.isnan(value),
        charts=[_chart(comparison, column) for column in CHARTS],
        images=[_image(comparison, place) for place in places],
        kinds=[(kind, color, MEANING[kind]) for kind, color in COLORS.items()],
        version=cellmm.__version__,
        css=files("cellmm.results.report").joinpath("page.css").read_text(encoding="utf-8"),
    )
    with atomic_path(path) as tmp:
        tmp.write_text(page, encoding="utf-8", newline="\n", errors="backslashreplace")


def _best(comparison: Comparison, column: str) -> float:
    """The best value of a column: errors are better the fewer they are."""
    values = [entry.scores[column].value for entry in comparison.entries]
    values = [value for value in values if not math.isnan(value)]
    if not values:
        return float("nan")
    return min(values) if column in numbers.FEWER_IS_BETTER else max(values)


def _image(comparison: Comparison, place: int) -> dict:
    picture, absent = draw_side_by_side(comparison, place)
    rows = [(entry.name, entry.images[place]) for entry in comparison.entries]
    return dict(
        name=rows[0][1]["image"],
        uri=data_uri(encode_picture(picture, ".jpg")),
        absent=absent,
        rows=rows,
    )


def _chart(comparison: Comparison, column: str) -> dict:
    """Where the dots and lines of a column are, px; scores run from 0 to 1."""

    def x(value: float) -> float:
        return round(LEFT + value * (WIDTH - LEFT - RIGHT), 1)

    rows = []
    for i, entry in enumerate(comparison.entries):
        score = entry.scores[column]
        if math.isnan(score.value):
            continue
        ends = None if math.isnan(score.low) else (x(score.low), x(score.high))
        rows.append(dict(name=entry.name, y=i * ROW + ROW / 2, x=x(score.value), ends=ends))
    bottom = len(comparison.entries) * ROW
    ticks = [(x(share), f"{share:g}") for share in (0, 0.25, 0.5, 0.75, 1)]
    return dict(column=column, rows=rows, ticks=ticks, bottom=bottom, height=bottom + 22, width=WIDTH)
