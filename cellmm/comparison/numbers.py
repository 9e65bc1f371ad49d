"""How the numbers of a comparison are written."""

import math
from collections.abc import Sequence

from cellmm.comparison.comparison import COUNT_ERROR, ERRORS, Comparison, Score

FEWER_IS_BETTER = (COUNT_ERROR, *ERRORS)


def number_text(column: str, value: float, sign: bool = False) -> str:
    """A score with three decimals, a number of errors whole; - where it is not defined.

    Examples:
        >>> number_text("AP", 0.76272), number_text("missed", 11.0), number_text("AP", float("nan"))
        ('0.763', '11', '-')
    """
    if math.isnan(value):
        return "-"
    plus = "+" if sign else ""
    return (
        f"{value:{plus}.0f}" if column in ERRORS else f"{value:{plus}.{2 if column == COUNT_ERROR else 3}f}"
    )


def interval_text(column: str, score: Score) -> str:
    """The value and its interval."""
    text = number_text(column, score.value)
    if math.isnan(score.low):
        return text
    return f"{text} ({number_text(column, score.low)} to {number_text(column, score.high)})"


def difference_text(column: str, score: Score) -> str:
    """The difference, its interval and p."""
    text = number_text(column, score.difference, sign=True)
    if math.isnan(score.difference_low):
        return text
    low, high = (
        number_text(column, value, sign=True) for value in (score.difference_low, score.difference_high)
    )
    return f"{text} ({low} to {high}), p {score.p:.3f}"


def markdown(comparison: Comparison) -> str:
    """The table with intervals, and below it the differences to the first result."""
    entries = comparison.entries
    lines = _rows(["", *comparison.columns])
    for entry in entries:
        cells = [interval_text(column, entry.scores[column]) for column in comparison.columns]
        lines.append("| " + " | ".join([_escaped(entry.name), *cells]) + " |")
    if len(entries) > 1:
        lines += ["", f"Difference to {entries[0].name}, with p:", ""]
        lines += _rows(["", *comparison.columns])
        for entry in entries[1:]:
            cells = [difference_text(column, entry.scores[column]) for column in comparison.columns]
            lines.append("| " + " | ".join([_escaped(entry.name), *cells]) + " |")
    return "\n".join(lines)


def _rows(head: Sequence[str]) -> list[str]:
    return ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
